"""A plan: unique steps in runnable order, and the cells that need them."""

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
    """A cell with the key of its score, or the reason that it is skipped or has failed.

    Attributes:
        cell: the cell.
        key: the key of its score; None for a cell that cannot run.
        reason: the reason that it cannot run; None for a cell that can.
        failed: whether the reason is an error, such as a defect of its dataset, which makes the run fail; a cell that
            cannot run for another reason is skipped.
        attacked: the keys of the attacked shards, which cost the attack's time.
        purified: the keys of the purified shards of all purifiers, which cost the defense's time.
        queries: the number of ranked queries.
        caveats: warnings about its numbers.
        details: values derived from the options of its components, by component.
    """

    cell: Cell
    key: str | None
    reason: str | None = None
    failed: bool = False
    attacked: tuple[str, ...] = ()
    purified: tuple[str, ...] = ()
    queries: int = 0
    caveats: tuple[str, ...] = ()
    details: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True)
class Plan:
    """Unique steps by key, in runnable order, and the cells that need them."""

    cells: tuple[PlannedCell, ...]
    steps: dict[str, Stage] = field(default_factory=dict)

    def counts(self) -> Counter[str]:
        """Return the number of steps of each stage, in the order in which the stages first run."""
        return Counter(stage.name for stage in self.steps.values())

    def ancestry(self, key: str) -> Iterator[str]:
        """Yield the keys of all steps that a step depends on, inputs first, and its own key last; each key once."""
        visited: set[str] = set()

        def visit(current: str) -> Iterator[str]:
            if current not in visited and current in self.steps:
                visited.add(current)
                for upstream in self.steps[current].inputs:
                    yield from visit(upstream)
                yield current

        yield from visit(key)
