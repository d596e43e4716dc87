"""Central similarity quantization.

Yuan, Wang, Zhang, Tay, Jie, Liu and Feng 2020, "Central Similarity Quantization for Efficient Image and Video
Retrieval", CVPR.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from retbench import Facts
from retbench_hashers.supervised.supervised_hasher import SupervisedHasher

TRIES = 20
"""Most draws of a set of random centers."""


class CSQ(SupervisedHasher):
    """The cross-entropy of each bit against the center of the image's classes, and a quantization penalty.

    With u the relaxed codes of a batch and c their centers (section 3),

        L = mean_ik BCE((u_ik + 1) / 2, (c_ik + 1) / 2) + lambda mean_ik (|u_ik| - 1)^2.

    The centers of C classes are the first C rows of a Hadamard matrix and its negative. The code length may have no
    such matrix (it is not a power of two), or too few rows (2K < C): with `missing_centers: random`, as in the codes
    of CgAT and DeepHash, random balanced vectors are used, drawn anew up to 20 times until they are well spread; with
    `refuse`, as in SAAT's, such cells are skipped. An image of several classes has the majority of their centers, bit
    by bit; ties, and images without a class, take the bits of one random vector, which `seed` fixes.

    The penalty's weight is 1e-4 in the codes of CgAT and DeepHash, 0.05 in SAAT's. DeepHash applies tanh inside the
    loss and the others in the network, which computes the same. The memory is not read.
    """

    name: ClassVar[str] = "csq"
    source: ClassVar[str] = "Yuan et al. 2020, section 3; centers as in the codes of SAAT, CgAT and DeepHash"

    quantization: float = Field(1e-4, ge=0, le=1000, description="lambda, weight of the quantization penalty")
    missing_centers: Literal["random", "refuse"] = Field(
        "random", description="centers of classes beyond the rows of a Hadamard matrix: random, or refuse the cell"
    )
    seed: int = Field(0, ge=0, le=2**31, description="seed of the random centers and of the bits of a tie")

    def supports(self, facts: Facts) -> str | None:
        given, classes = len(hadamard_rows(facts.bits)), len(facts.classes)
        if self.missing_centers == "random" or given >= classes:
            return None
        return (
            f"{facts.bits} bits have {given} Hadamard centers for {classes} classes; take a power of two of at least "
            f"{(classes + 1) // 2} bits, or missing_centers: random"
        )

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        codebook = _codebook(labels.shape[1], outputs.shape[1], self.seed, outputs.device)
        centers = codebook.of(labels[rows])
        central = binary_cross_entropy((outputs + 1) / 2, (centers + 1) / 2)
        return central + self.quantization * (outputs.abs() - 1).square().mean()


class Codebook(NamedTuple):
    """The centers of classes, and the bits that break ties between them.

    Attributes:
        centers: float32 (C, K), -1 or +1.
        ties: float32 (K,), -1 or +1.
    """

    centers: Tensor
    ties: Tensor

    def of(self, labels: Tensor) -> Tensor:
        """Return float32 (B, K), -1 or +1: the majority of the centers of each row of multi-hot `labels` (B, C)."""
        sums = labels.float() @ self.centers
        return torch.where(sums == 0, self.ties, sums.sign())


def draw_codebook(classes: int, bits: int, seed: int) -> Codebook:
    """Return the centers of `classes` classes and the tie vector, the same for the same arguments on any device."""
    generator = torch.Generator().manual_seed(seed)
    ties = 2.0 * torch.randint(2, (bits,), generator=generator) - 1
    given = hadamard_rows(bits)[:classes]
    if len(given) == classes:
        return Codebook(given, ties)
    for _ in range(TRIES):
        drawn = [_balanced(bits, generator) for _ in range(classes - len(given))]
        centers = torch.cat([given, torch.stack(drawn)])
        if _well_spread(centers):
            break
    return Codebook(centers, ties)


def hadamard_rows(bits: int) -> Tensor:
    """Return float32 (2K, K), the rows of Sylvester's matrix, then their negatives; (0, K) for no power of two."""
    if bits < 1 or bits & (bits - 1):
        return torch.empty(0, bits)
    matrix = torch.ones(1, 1)
    while len(matrix) < bits:
        matrix = torch.cat([torch.cat([matrix, matrix], dim=1), torch.cat([matrix, -matrix], dim=1)])
    return torch.cat([matrix, -matrix])


@lru_cache(maxsize=8)
def _codebook(classes: int, bits: int, seed: int, device: torch.device) -> Codebook:
    """Return the codebook on a device; cached, because every step needs it."""
    return Codebook(*(tensor.to(device) for tensor in draw_codebook(classes, bits, seed)))


def _balanced(bits: int, generator: torch.Generator) -> Tensor:
    """Return float32 (K,), -1 at half of the places, rounded down, and +1 at the others."""
    vector = torch.ones(bits)
    vector[torch.randperm(bits, generator=generator)[: bits // 2]] = -1
    return vector


def _well_spread(centers: Tensor) -> bool:
    """Return whether all Hamming distances exceed K/4 and their mean is K/2 or more, as in CgAT and DeepHash."""
    bits = centers.shape[1]
    distances = ((bits - centers @ centers.T) / 2)[tuple(torch.triu_indices(len(centers), len(centers), 1))]
    return bool((distances > bits / 4).all() and distances.mean() >= bits / 2)
