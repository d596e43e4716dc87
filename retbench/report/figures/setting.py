"""The rows of one dataset and hasher, by what was done to the queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from retbench.metrics import Interval
from retbench.report.filename import slug
from retbench.report.tables.pool import pool_seeds
from retbench.report.tables.sample import Sample, interval_of, sample_of
from retbench.results import Evidence, Row

NONE = "none"
Names = Callable[[str, str | int], str]
"""The printed name of a value of an axis."""


class Condition(NamedTuple):
    """What was done to the queries: the labels of an attack and a defense, and the swept options."""

    attack: str = NONE
    defense: str = NONE
    variant: str = ""


@dataclass(frozen=True)
class Setting:
    """One dataset and hasher under one task, code length and threat.

    Attributes:
        title: dataset and hasher, as printed.
        rows: the done row of each condition, its seeds pooled.
        evidence: what they are from.
        names: the printed names of its labels.
    """

    title: str
    rows: Mapping[Condition, Row]
    evidence: Evidence
    names: Names

    def sample(self, condition: Condition, name: str) -> Sample | None:
        """Return the values behind a condition's number; None where there is no row, or its scores lack them."""
        row = self.rows.get(condition)
        return sample_of(row, name, self.evidence.scores) if row else None

    def interval(self, condition: Condition, sample: Sample) -> Interval:
        """Return the mean of a sample in percent, with the interval that the protocol of a condition asks for."""
        interval = interval_of(sample, self.rows[condition])
        return Interval(*(100 * part for part in interval))

    def beside(self, condition: Condition, **changed: str) -> Condition:
        """Return a condition to compare with: of the same swept options, or, where no row has them, of none."""
        other = condition._replace(**changed)
        return other if other in self.rows else other._replace(variant="")

    def printed(self, condition: Condition) -> tuple[str, str]:
        """Return attack and defense as printed, each empty where there is none; swept options follow the last."""
        attack = "" if condition.attack == NONE else self.names("attack", condition.attack)
        defense = "" if condition.defense == NONE else self.names("defense", condition.defense)
        if not condition.variant:
            return attack, defense
        variant = self.names("variant", condition.variant)
        return (attack, f"{defense} {variant}") if defense else (f"{attack} {variant}".strip(), "")


class Group(NamedTuple):
    """The settings of one picture, and, where several differ, what tells it from others, in words and in file names."""

    words: tuple[str, ...]
    stem: str
    settings: tuple[Setting, ...]


def group_rows(evidence: Evidence, names: Names, *, swept: bool) -> list[Group]:
    """Return the done rows by task, code length and threat, seeds pooled; those of swept options if `swept`.

    Rows of attacks made on another hasher are left out. A row without a defense is under every threat: there is
    nothing for the attacker to see.
    """
    rows = [row for row in evidence.rows if row.status == "done" and row.surrogate == NONE and row.keys]
    rows = pool_seeds([row for row in rows if swept or not row.variant], evidence.scores)
    places = list(_places(rows))
    several = [len({place[at] for place in places}) > 1 for at in range(3)]
    groups = []
    for task, bits, threat in places:
        axes = (
            (task, names("task", task)),
            (str(bits), f"{bits} bits"),
            (threat, f"{names('threat', threat)} attacker"),
        )
        shown = [pair for pair, differs in zip(axes, several, strict=True) if differs]
        stem = slug("-".join(label for label, _ in shown)) if shown else ""
        here = [row for row in rows if _is_under(row, task, bits, threat)]
        groups.append(Group(tuple(word for _, word in shown), stem, tuple(_settings(here, evidence, names))))
    return groups


def _places(rows: Sequence[Row]) -> Iterator[tuple[str, int, str]]:
    """Yield task, bits and threat of each picture; a threat counts where something is defended, if anything is."""
    for task, bits in dict.fromkeys((row.task, row.bits) for row in rows):
        here = [row for row in rows if (row.task, row.bits) == (task, bits)]
        for threat in dict.fromkeys(row.threat for row in here if row.defense != NONE) or [here[0].threat]:
            yield task, bits, threat


def _is_under(row: Row, task: str, bits: int, threat: str) -> bool:
    return (row.task, row.bits) == (task, bits) and (row.threat == threat or row.defense == NONE)


def _settings(rows: Sequence[Row], evidence: Evidence, names: Names) -> Iterator[Setting]:
    for dataset, hasher in dict.fromkeys((row.dataset, row.hasher) for row in rows):
        mine = [row for row in rows if (row.dataset, row.hasher) == (dataset, hasher)]
        title = f"{names('dataset', dataset)}, {names('hasher', hasher)}"
        yield Setting(title, {Condition(row.attack, row.defense, row.variant): row for row in mine}, evidence, names)
