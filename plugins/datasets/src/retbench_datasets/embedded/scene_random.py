"""Random numbers for generated scenes, the same in every version of every library."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# SplitMix64 (Steele, Lea and Flood 2014): the increment and the two multipliers.
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, eq=False)
class SceneRandom:
    """Random numbers keyed by (seed, image index, purpose): each image has its own stream, independent of the batch.

    Counter-based and in integer arithmetic, because numpy may change the output of its generators between versions,
    and the images must not change with it. Results are float64: a last digit of a sine that differs between machines
    disappears when pixels are rounded to 8 bits.

    A purpose is part of the key: renaming one changes every image.

    Attributes:
        seed: seed of the dataset.
        indices: int64 (N,), the images.
    """

    seed: int
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    def select(self, rows: NDArray[np.int64]) -> SceneRandom:
        """Return the streams of the images at `rows`."""
        return SceneRandom(self.seed, self.indices[rows])

    def uniform(self, purpose: str, *shape: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """Return float64 (N, *shape) in [low, high)."""
        return low + (high - low) * self._fractions(purpose, math.prod(shape)).reshape(len(self), *shape)

    def integers(self, purpose: str, *shape: int, below: int) -> NDArray[np.int64]:
        """Return int64 (N, *shape), uniform over 0 to `below` - 1."""
        return self.uniform(purpose, *shape, high=below).astype(np.int64)

    def normal(self, purpose: str, *shape: int) -> NDArray[np.float64]:
        """Return float64 (N, *shape) from N(0, 1), by the Box-Muller transform."""
        count = math.prod(shape)
        half = (count + 1) // 2
        fractions = self._fractions(purpose, 2 * half).reshape(len(self), 2, half)
        radii, angles = np.sqrt(-2.0 * np.log1p(-fractions[:, 0])), 2.0 * np.pi * fractions[:, 1]
        pairs = np.concatenate([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
        return pairs[:, :count].reshape(len(self), *shape)

    def _fractions(self, purpose: str, count: int) -> NDArray[np.float64]:
        key = hashlib.blake2b(f"{self.seed}\0{purpose}".encode(), digest_size=8).digest()
        counters = np.frombuffer(key, dtype="<u8") + (self.indices.astype(np.uint64) + np.uint64(1)) * _INCREMENT
        streams = _mix_bits(counters)
        bits = _mix_bits(streams[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _INCREMENT)
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix_bits(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the finalizer of SplitMix64 to every element."""
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST_MULTIPLIER
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND_MULTIPLIER
    return bits ^ (bits >> np.uint64(31))
