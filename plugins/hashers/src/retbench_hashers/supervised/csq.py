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

MAX_DRAWS = 20
"""Maximum number of draws of a set of random centers."""


class CSQ(SupervisedHasher):
    """Cross-entropy of each bit with the center of the image's classes, and a quantization penalty.

    With u the relaxed codes of a batch and c their centers (section 3),

        L = mean_ik BCE((u_ik + 1) / 2, (c_ik + 1) / 2) + lambda mean_ik (|u_ik| - 1)^2.

    The centers of C classes are the first C rows of a Hadamard matrix and its negative. There are too few rows if K is
    not a power of two, or if 2K < C. `missing_centers: random`, as in the code of CgAT and DeepHash, then adds random
    balanced vectors, drawn up to 20 times until they are well spread; `refuse`, as in the code of SAAT, skips the cell.
    The center of an image of several classes is the bitwise majority of their centers. Ties, and images without a
    class, take the bits of one random vector, which depends on `seed`.

    The weight of the penalty is 1e-4 in the code of CgAT and DeepHash, 0.05 in that of SAAT. DeepHash applies tanh in
    the loss and the others in the network, which gives the same values. The memory is not used.
    """

    name: ClassVar[str] = "csq"
    source: ClassVar[str] = "Yuan et al. 2020, section 3; centers as in the codes of SAAT, CgAT and DeepHash"

    quantization: float = Field(1e-4, ge=0, le=1000, description="lambda, weight of the quantization penalty")
    missing_centers: Literal["random", "refuse"] = Field(
        "random",
        description="centers of classes beyond the rows of a Hadamard matrix: random, or refuse to skip the cell",
    )
    seed: int = Field(0, ge=0, le=2**31, description="seed of the random centers and of the bits of a tie")

    def supports(self, facts: Facts) -> str | None:
        available, classes = len(hadamard_rows(facts.bits)), len(facts.classes)
        if self.missing_centers == "random" or available >= classes:
            return None
        return (
            f"too few Hadamard centers: got {available} with {facts.bits} bits, expected {classes}, one per class; "
            f"take a power of two of at least {(classes + 1) // 2} bits, or missing_centers: random"
        )

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        codebook = _cached_codebook(labels.shape[1], outputs.shape[1], self.seed, outputs.device)
        centers = codebook.image_centers(labels[rows])
        central = binary_cross_entropy((outputs + 1) / 2, (centers + 1) / 2)
        return central + self.quantization * (outputs.abs() - 1).square().mean()


class Codebook(NamedTuple):
    """The centers of classes, and the bits that replace ties.

    Attributes:
        centers: float32 (C, K), -1 or +1.
        tie_bits: float32 (K,), -1 or +1.
    """

    centers: Tensor
    tie_bits: Tensor

    def image_centers(self, labels: Tensor) -> Tensor:
        """Return the bitwise majority of the centers of each row of `labels` (B, C): float32 (B, K), -1 or +1."""
        sums = labels.float() @ self.centers
        return torch.where(sums == 0, self.tie_bits, sums.sign())


def draw_codebook(classes: int, bits: int, seed: int) -> Codebook:
    """Return the centers of `classes` classes and the tie bits; they depend on the arguments only."""
    generator = torch.Generator().manual_seed(seed)
    tie_bits = 2.0 * torch.randint(2, (bits,), generator=generator) - 1
    hadamard = hadamard_rows(bits)[:classes]
    if len(hadamard) == classes:
        return Codebook(hadamard, tie_bits)
    for _ in range(MAX_DRAWS):
        drawn = [_draw_balanced(bits, generator) for _ in range(classes - len(hadamard))]
        centers = torch.cat([hadamard, torch.stack(drawn)])
        if _well_spread(centers):
            break
    return Codebook(centers, tie_bits)


def hadamard_rows(bits: int) -> Tensor:
    """Return the rows of Sylvester's matrix and their negatives: float32 (2K, K); (0, K) if K is no power of two."""
    if bits < 1 or bits & (bits - 1):
        return torch.empty(0, bits)
    matrix = torch.ones(1, 1)
    while len(matrix) < bits:
        matrix = torch.cat([torch.cat([matrix, matrix], dim=1), torch.cat([matrix, -matrix], dim=1)])
    return torch.cat([matrix, -matrix])


@lru_cache(maxsize=8)
def _cached_codebook(classes: int, bits: int, seed: int, device: torch.device) -> Codebook:
    """Return the codebook on a device; it is cached because every step needs it."""
    return Codebook(*(tensor.to(device) for tensor in draw_codebook(classes, bits, seed)))


def _draw_balanced(bits: int, generator: torch.Generator) -> Tensor:
    """Return a random float32 (K,) with -1 in half of its entries, rounded down, and +1 in the others."""
    vector = torch.ones(bits)
    vector[torch.randperm(bits, generator=generator)[: bits // 2]] = -1
    return vector


def _well_spread(centers: Tensor) -> bool:
    """Return whether all Hamming distances exceed K/4 and their mean is at least K/2, as in CgAT and DeepHash."""
    bits = centers.shape[1]
    distances = ((bits - centers @ centers.T) / 2)[tuple(torch.triu_indices(len(centers), len(centers), 1))]
    return bool((distances > bits / 4).all() and distances.mean() >= bits / 2)
