"""The rows of one dataset and hasher, by what was done to the queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from retbench.metrics import Interval
from retbench.report.filename import slug
from retbench.report.tables.pool import pool_seeds
from retbench.report.tables.sample import Sample, compute_interval, sample_of
from retbench.results import Evidence, Row

NONE = "none"
NameLookup = Callable[[str, str | int], str]
"""Returns the printed name of a value of an axis."""


class Condition(NamedTuple):
    """What was done to the queries: the labels of an attack and a defense, and the swept options."""

    attack: str = NONE
    defense: str = NONE
    variant: str = ""


@dataclass(frozen=True)
class PanelData:
    """The data of one panel: one dataset and hasher under one task, code length and threat.

    Attributes:
        title: dataset and hasher, as printed.
        rows: the done row of each condition, its seeds pooled.
        evidence: the source of the rows.
        names: the printed names of its labels.
    """

    title: str
    rows: Mapping[Condition, Row]
    evidence: Evidence
    names: NameLookup

    def sample(self, condition: Condition, name: str) -> Sample | None:
        """Return the per-query values of a condition; None if it has no row, or its scores lack them."""
        row = self.rows.get(condition)
        return sample_of(row, name, self.evidence.scores) if row else None

    def interval(self, condition: Condition, sample: Sample) -> Interval:
        """Return the mean of a sample in percent, with the confidence interval of the condition's protocol."""
        interval = compute_interval(sample, self.rows[condition])
        return Interval(*(100 * bound for bound in interval))

    def baseline(self, condition: Condition, **changed: str) -> Condition:
        """Return a condition to compare with: with the same swept options or, if no row has those, with none."""
        other = condition._replace(**changed)
        return other if other in self.rows else other._replace(variant="")

    def printed_names(self, condition: Condition) -> tuple[str, str]:
        """Return attack and defense as printed, each empty where there is none; swept options follow the last one."""
        attack = "" if condition.attack == NONE else self.names("attack", condition.attack)
        defense = "" if condition.defense == NONE else self.names("defense", condition.defense)
        if not condition.variant:
            return attack, defense
        variant = self.names("variant", condition.variant)
        return (attack, f"{defense} {variant}") if defense else (f"{attack} {variant}".strip(), "")


class FigureGroup(NamedTuple):
    """The panels of one figure.

    Attributes:
        title_parts: the values that distinguish it from other groups, as printed.
        stem: the same, for file names; empty if there is one group.
        panels: one for each dataset and hasher.
    """

    title_parts: tuple[str, ...]
    stem: str
    panels: tuple[PanelData, ...]


def group_rows(evidence: Evidence, names: NameLookup, *, swept: bool) -> list[FigureGroup]:
    """Return the done rows grouped by task, code length and threat, seeds pooled.

    Rows of attacks made on another hasher are left out. A row without a defense belongs to every threat, because there
    is no defense for the attacker to see.

    Args:
        evidence: the rows and their per-query values.
        names: the printed name of a value of an axis.
        swept: include rows with swept options.
    """
    rows = [row for row in evidence.rows if row.status == "done" and row.surrogate == NONE and row.keys]
    rows = pool_seeds([row for row in rows if swept or not row.variant], evidence.scores)
    keys = list(_group_keys(rows))
    varies = [len({key[at] for key in keys}) > 1 for at in range(3)]
    groups = []
    for task, bits, threat in keys:
        axes = (
            (task, names("task", task)),
            (str(bits), f"{bits} bits"),
            (threat, f"{names('threat', threat)} attacker"),
        )
        shown = [pair for pair, varied in zip(axes, varies, strict=True) if varied]
        stem = slug("-".join(label for label, _ in shown)) if shown else ""
        members = [row for row in rows if _belongs_to(row, task, bits, threat)]
        groups.append(FigureGroup(tuple(part for _, part in shown), stem, tuple(_panels(members, evidence, names))))
    return groups


def _group_keys(rows: Sequence[Row]) -> Iterator[tuple[str, int, str]]:
    """Yield task, bits and threat of each group; the threats are those of defended rows, if there are any."""
    for task, bits in dict.fromkeys((row.task, row.bits) for row in rows):
        members = [row for row in rows if (row.task, row.bits) == (task, bits)]
        for threat in dict.fromkeys(row.threat for row in members if row.defense != NONE) or [members[0].threat]:
            yield task, bits, threat


def _belongs_to(row: Row, task: str, bits: int, threat: str) -> bool:
    return (row.task, row.bits) == (task, bits) and (row.threat == threat or row.defense == NONE)


def _panels(rows: Sequence[Row], evidence: Evidence, names: NameLookup) -> Iterator[PanelData]:
    for dataset, hasher in dict.fromkeys((row.dataset, row.hasher) for row in rows):
        members = [row for row in rows if (row.dataset, row.hasher) == (dataset, hasher)]
        title = f"{names('dataset', dataset)}, {names('hasher', hasher)}"
        by_condition = {Condition(row.attack, row.defense, row.variant): row for row in members}
        yield PanelData(title, by_condition, evidence, names)
