"""Random numbers for generated scenes, the same in every version of every library."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# SplitMix64 (Steele, Lea and Flood 2014): the increment and the two multipliers.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, eq=False)
class SceneRandom:
    """Numbers keyed by (seed, picture's index, purpose): one lane for each picture, whatever else is drawn beside it.

    Counter-based and in plain integer arithmetic, because numpy may change what its generators' methods return
    between versions, and a picture must not change with it. In float64, so that another machine's last digit of a
    sine is lost when pixels are rounded to 8 bits.

    Attributes:
        seed: the dataset's seed.
        indices: int64 (N,), the pictures.
    """

    seed: int
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    def select(self, rows: NDArray[np.int64]) -> SceneRandom:
        """Returns the draws of some of the pictures, by row."""
        return SceneRandom(self.seed, self.indices[rows])

    def uniform(self, purpose: str, *shape: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """Returns float64 (N, *shape) in [low, high)."""
        return low + (high - low) * self._fractions(purpose, math.prod(shape)).reshape(len(self), *shape)

    def integers(self, purpose: str, *shape: int, below: int) -> NDArray[np.int64]:
        """Returns int64 (N, *shape), uniform over 0 to `below` - 1."""
        return self.uniform(purpose, *shape, high=below).astype(np.int64)

    def normal(self, purpose: str, *shape: int) -> NDArray[np.float64]:
        """Returns float64 (N, *shape) from N(0, 1), by Box and Muller's transform."""
        count = math.prod(shape)
        half = (count + 1) // 2
        fractions = self._fractions(purpose, 2 * half).reshape(len(self), 2, half)
        radii, angles = np.sqrt(-2.0 * np.log1p(-fractions[:, 0])), 2.0 * np.pi * fractions[:, 1]
        pairs = np.concatenate([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
        return pairs[:, :count].reshape(len(self), *shape)

    def _fractions(self, purpose: str, count: int) -> NDArray[np.float64]:
        key = hashlib.blake2b(f"{self.seed}\0{purpose}".encode(), digest_size=8).digest()
        lanes = _mix(np.frombuffer(key, dtype="<u8") + (self.indices.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
        bits = _mix(lanes[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns SplitMix64's finaliser of every element."""
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))
