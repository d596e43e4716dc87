"""Random numbers that do not depend on batches, shards or workers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from retbench.errors import ContractBreach

# The constants of SplitMix64 (Steele, Lea and Flood 2014) as signed 64-bit integers.
_INCREMENT = 0x9E3779B97F4A7C15 - (1 << 64)
_MULTIPLIER_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MULTIPLIER_2 = 0x94D049BB133111EB - (1 << 64)


@dataclass(frozen=True)
class Noise:
    """A source of random tensors with one row of numbers per id, keyed by (seed, id, purpose, copy, step).

    The numbers of an id are the same in every batch, shard, worker and device type (up to float32 rounding of logarithm
    and cosine), because they come from a counter-based generator: SplitMix64 over the key and the element's index.
    Streams of different purposes are independent, so that adding one use of noise does not change another.

    A component draws from the source that it is given, and from those derived from it. While an attack or a purifier
    runs, it cannot make a source for the ids of queries (see `reserve_noise`): with the seed of the suite, it would
    repeat the random numbers of other components.

    Attributes:
        seed: the cell's seed.
        ids: ids of the rows: query ids, or a single name for a fit.
        device: the device of the returned tensors.
        copy_index: index of the independent repetition (code voting, expectation over transformation).
    """

    seed: int
    ids: tuple[str, ...]
    device: torch.device = field(default=torch.device("cpu"))
    copy_index: int = 0

    def __post_init__(self) -> None:
        for component, reserved in _RESERVED:
            if shared := reserved.intersection(self.ids):
                problem = f"it made its own source of noise for {min(shared)}; draw from the `noise` that it is given"
                raise ContractBreach(component, problem)

    def copy(self, index: int) -> Noise:
        """Return repetition `index` of this source: independent numbers for the same ids."""
        return self._replace(copy_index=self.copy_index * 65_537 + index + 1)

    def derive(self, name: str) -> Noise:
        """Return an independent source for the same ids, with a seed derived from this one's and `name`.

        The new seed is a hash, so that its owner (for example an attacker) cannot recover this source and repeat its
        random numbers.
        """
        seed = hashlib.blake2b(f"{self.seed}\0{name}".encode(), digest_size=8).digest()
        return self._replace(seed=int.from_bytes(seed, "little") >> 1)

    def at_position(self, position: int) -> Noise:
        """Return the source of the purifier at a position in a chain; the first purifier, at 0, uses this source."""
        return self._replace(seed=self.seed + position * 1_000_003)

    def rows(self, start: int, stop: int) -> Noise:
        """Return the source of the ids `start` to `stop`, for a part of a batch."""
        return self._replace(ids=self.ids[start:stop])

    def draws(self, rows: Sequence[int], indices: Sequence[int]) -> Noise:
        """Return a source with one row of numbers for each pair of a row of this one and the index of a draw.

        The numbers of a pair do not depend on the other pairs, so several images of one query can be drawn for together
        or one after the other.
        """
        ids = (f"{self.ids[row]}\0{index}" for row, index in zip(rows, indices, strict=True))
        return self._replace(ids=tuple(ids))

    def uniform(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        """Return uniform numbers in [0, 1): float32 (B, *shape), where B is the number of ids.

        Args:
            purpose: the use of the numbers; different purposes give independent numbers.
            shape: shape of the numbers of one id.
            step: index of the draw, for a purpose that draws repeatedly.
        """
        bits = self._bits(purpose, math.prod(shape), step)
        return _fraction(bits, 40).reshape(len(self.ids), *shape)

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        """Return standard normal numbers: float32 (B, *shape), where B is the number of ids.

        Args:
            purpose: the use of the numbers; different purposes give independent numbers.
            shape: shape of the numbers of one id.
            step: index of the draw, for a purpose that draws repeatedly.

        Source: Box and Muller 1958.
        """
        count = math.prod(shape)
        bits = self._bits(purpose, (count + 1) // 2, step)
        radius = _fraction(bits, 40).neg_().log1p_().mul_(-2.0).sqrt_()
        angle = _fraction(bits, 16).mul_(2.0 * math.pi)
        pairs = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        return pairs[:, :count].reshape(len(self.ids), *shape)

    def generator(self, purpose: str) -> torch.Generator:
        """Return a CPU generator for the sequential draws of a fit, such as shuffles.

        Raises:
            ValueError: the source has no id or several.
        """
        if len(self.ids) != 1:
            raise ValueError(f"noise: a sequential generator needs exactly one id: got {len(self.ids)}")
        key = int(self._keys(purpose)[0])
        return torch.Generator().manual_seed(key & (2**63 - 1))

    def _replace(self, **changes: Any) -> Noise:
        """Return a source with other attributes; it is derived from this one, so its ids are not checked again."""
        source = object.__new__(Noise)
        source.__dict__.update(vars(self), **changes)
        return source

    def _keys(self, purpose: str) -> Tensor:
        return _keys(self.seed, self.ids, purpose, self.copy_index)

    def _bits(self, purpose: str, count: int, step: int) -> Tensor:
        keys = self._keys(purpose).to(self.device)
        states = _mix(keys ^ _mix(torch.tensor(step + 1, device=self.device) * _INCREMENT))
        counters = torch.arange(1, count + 1, device=self.device).mul_(_INCREMENT)
        return _mix(states[:, None] + counters)


# Component and ids of each block; no context variable, which the threads of a component would not inherit.
_RESERVED: list[tuple[str, frozenset[str]]] = []


@contextmanager
def reserve_noise(component: str, ids: Sequence[str]) -> Iterator[None]:
    """Let nobody make a `Noise` for these ids in this block; sources that exist, and those derived from them, work.

    So a component cannot draw the random numbers of another one by mistake or by the seed that its own source shows.
    It is no protection from code that circumvents the class, which could read the results as well.

    Args:
        component: the component that runs, which the error names.
        ids: the reserved ids; none reserve nothing.

    Raises:
        ContractBreach: a source was made for one of the ids; raised where it is made.
    """
    _RESERVED.append((component, frozenset(ids)))
    try:
        yield
    finally:
        _RESERVED.pop()


@lru_cache(maxsize=64)  # of up to some hundred kilobytes each; a batch needs a few
def _keys(seed: int, ids: tuple[str, ...], purpose: str, copy: int) -> Tensor:
    digests = (hashlib.blake2b(f"{seed}\0{purpose}\0{copy}\0{name}".encode(), digest_size=8).digest() for name in ids)
    return torch.tensor([int.from_bytes(d, "little", signed=True) for d in digests], dtype=torch.int64)


def _mix(bits: Tensor) -> Tensor:
    """Return the SplitMix64 output function of int64 `bits`; the masks turn arithmetic shifts into logical ones."""
    bits = (bits ^ ((bits >> 30) & 0x3FFFFFFFF)) * _MULTIPLIER_1
    bits = (bits ^ ((bits >> 27) & 0x1FFFFFFFFF)) * _MULTIPLIER_2
    return bits ^ ((bits >> 31) & 0x1FFFFFFFF)


def _fraction(bits: Tensor, shift: int) -> Tensor:
    """Return the 24 bits of `bits` above `shift` as float32 in [0, 1); float32 represents 24 bits exactly."""
    return ((bits >> shift) & 0xFFFFFF).float().mul_(2.0**-24)
