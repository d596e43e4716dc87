"""A plan: unique steps in runnable order, and the cells they answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from retbench.canon import Json
from retbench.stages import Stage
from retbench.suite import Cell


class PlannedCell(NamedTuple):
    """A cell with the key of its score, or the reason it is skipped.

    Attributes:
        attacked, purified: keys of the shards whose cost is the attack's and the defense's.
        queries: how many queries it ranks.
        caveats: what a reader must know about its numbers.
        details: what its components record beside their options, by component.
    """

    cell: Cell
    key: str | None
    reason: str | None = None
    attacked: tuple[str, ...] = ()
    purified: tuple[str, ...] = ()
    queries: int = 0
    caveats: tuple[str, ...] = ()
    details: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True)
class Plan:
    """Unique steps in runnable order, and the cells they answer."""

    cells: tuple[PlannedCell, ...]
    steps: dict[str, Stage] = field(default_factory=dict)

    def counts(self) -> Counter[str]:
        """Return how many steps each stage has, in the order they first run."""
        return Counter(stage.name for stage in self.steps.values())

    def ancestry(self, key: str) -> Iterator[str]:
        """Yield the keys of a step's inputs, theirs before them, and the step itself last; each once."""
        seen: set[str] = set()

        def walk(at: str) -> Iterator[str]:
            if at not in seen and at in self.steps:
                seen.add(at)
                for upstream in self.steps[at].inputs:
                    yield from walk(upstream)
                yield at

        yield from walk(key)
