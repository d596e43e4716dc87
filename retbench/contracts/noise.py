"""Random numbers that do not depend on how the work was cut."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

# SplitMix64 (Steele, Lea and Flood 2014): the increment and the two multipliers, as signed 64-bit integers.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


@dataclass(frozen=True)
class Noise:
    """Returns random tensors keyed by (seed, id, purpose, copy, step): one lane of numbers for each id.

    The numbers of an id are the same in any batch, shard, worker and device kind (up to float32 rounding of log and
    cosine), because they come from a counter-based generator: SplitMix64 over the key and the element's index.
    Streams of different purposes are independent, so turning one use of noise on does not change another.

    Attributes:
        seed: the cell's seed.
        ids: what the lanes belong to: query ids, or one name for a fit.
        device: where the tensors are made.
        copy_index: which independent repetition this is (code voting, expectation over transformation).
    """

    seed: int
    ids: tuple[str, ...]
    device: torch.device = field(default=torch.device("cpu"))
    copy_index: int = 0

    def copy(self, index: int) -> Noise:
        """Return an independent source for the same ids: repetition `index` of this one."""
        return replace(self, copy_index=self.copy_index * 65_537 + index + 1)

    def of(self, user: str) -> Noise:
        """Return a source for the same ids that is independent of this one and of every other user's.

        Its seed is a digest: whoever holds it cannot get back to this source, and so cannot repeat its draws.
        """
        seed = hashlib.blake2b(f"{self.seed}\0{user}".encode(), digest_size=8).digest()
        return replace(self, seed=int.from_bytes(seed, "little") >> 1)

    def link(self, position: int) -> Noise:
        """Return the source of the purifier at a position in a row: the first has this one, others their own."""
        return replace(self, seed=self.seed + position * 1_000_003)

    def rows(self, start: int, stop: int) -> Noise:
        """Return the source of the lanes `start` to `stop`, for a part of a batch."""
        return replace(self, ids=self.ids[start:stop])

    def uniform(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        """Return float32 (B, *shape) in [0, 1), B the number of ids; empty for no ids."""
        bits = self._bits(purpose, math.prod(shape), step)
        return _fraction(bits, 40).reshape(len(self.ids), *shape)

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        """Return float32 (B, *shape) from N(0, 1), by Box and Muller's transform; empty for no ids."""
        count = math.prod(shape)
        bits = self._bits(purpose, (count + 1) // 2, step)
        radius = _fraction(bits, 40).neg_().log1p_().mul_(-2.0).sqrt_()
        angle = _fraction(bits, 16).mul_(2.0 * math.pi)
        pairs = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        return pairs[:, :count].reshape(len(self.ids), *shape)

    def generator(self, purpose: str) -> torch.Generator:
        """Return a CPU generator for what a fit draws in sequence (shuffles, noise levels); needs exactly one id."""
        if len(self.ids) != 1:
            raise ValueError(f"noise: a sequential generator serves one id: got {len(self.ids)}")
        key = int(self._keys(purpose)[0])
        return torch.Generator().manual_seed(key & (2**63 - 1))

    def _keys(self, purpose: str) -> Tensor:
        return _keys(self.seed, self.ids, purpose, self.copy_index)

    def _bits(self, purpose: str, count: int, step: int) -> Tensor:
        keys = self._keys(purpose).to(self.device)
        lanes = _mix(keys ^ _mix(torch.tensor(step + 1, device=self.device) * _GOLDEN))
        counters = torch.arange(1, count + 1, device=self.device).mul_(_GOLDEN)
        return _mix(lanes[:, None] + counters)


@lru_cache(maxsize=1024)
def _keys(seed: int, ids: tuple[str, ...], purpose: str, copy: int) -> Tensor:
    digests = (hashlib.blake2b(f"{seed}\0{purpose}\0{copy}\0{name}".encode(), digest_size=8).digest() for name in ids)
    return torch.tensor([int.from_bytes(d, "little", signed=True) for d in digests], dtype=torch.int64)


def _mix(bits: Tensor) -> Tensor:
    """Return SplitMix64's finaliser of int64 `bits`; shifts are made logical by masking the sign's copies."""
    bits = (bits ^ ((bits >> 30) & 0x3FFFFFFFF)) * _FIRST
    bits = (bits ^ ((bits >> 27) & 0x1FFFFFFFFF)) * _SECOND
    return bits ^ ((bits >> 31) & 0x1FFFFFFFF)


def _fraction(bits: Tensor, shift: int) -> Tensor:
    """Return the 24 bits of `bits` above `shift` as float32 in [0, 1): as many as a float32 holds exactly."""
    return ((bits >> shift) & 0xFFFFFF).float().mul_(2.0**-24)
