"""One cell of the matrix as a flat record: its numbers and everything they depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, cast

from retbench.canon import Json
from retbench.metrics import Interval
from retbench.suite import AXES

ROW_AXES = (*AXES, "variant")
"""The fields of a row that name its cell: the axes of a suite's matrix, and the label of its swept options."""
Status = Literal["done", "skipped", "failed", "invalid", "missing"]


class TieRange(NamedTuple):
    """A mean over queries when ties are broken against them, and in favor of them: 0..1."""

    worst: float
    best: float


@dataclass(frozen=True)
class Row:
    """One cell's numbers and everything they depend on.

    Attributes:
        dataset, hasher, bits, task, attack, surrogate, defense, threat, seed, variant: the axes, by label.
        status: `done`; `skipped`, `failed` or `invalid` (a breach of contract) with the reason; `missing`: not run.
        metrics: intervals in 0..1: `map`, `t_map`; where images were changed `perceptibility`, `purified_rmse`, `ssim`.
        tie_ranges: of `map` and `t_map`, where the order inside ties can move them.
        protocol: what must agree before the row is put beside another.
        options: those of its components, by role: `dataset`, `hasher`, `attack`, `surrogate`, and `defense` by name.
        data: sizes of the splits, `image_size`, number of `classes`, `distinct_codes` of the database, the `seeds` that
            were pooled, and why others were `lost`.
        budget: the attack's declared goal, norm and eps.
        caveats: what a reader must know of its numbers, from its components.
        details: what its components record beside their options, by component: where a purifier's walk starts.
        cost: seconds per query of attack and defense, and the peak memory of the costliest of those steps in bytes.
        key: the score's key; empty where there is none.
        members: the score keys of the seeds that were pooled in it; empty for a row of one seed.
        steps: keys of everything that was computed for it, its score last; empty where there is no score.
    """

    dataset: str
    hasher: str
    bits: int
    task: str
    attack: str
    surrogate: str
    defense: str
    threat: str
    seed: int
    variant: str
    status: Status
    reason: str = ""
    metrics: Mapping[str, Interval] = field(default_factory=dict)
    tie_ranges: Mapping[str, TieRange] = field(default_factory=dict)
    protocol: Mapping[str, Json] = field(default_factory=dict)
    options: Mapping[str, Json] = field(default_factory=dict)
    data: Mapping[str, Json] = field(default_factory=dict)
    budget: Mapping[str, Json] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)
    cost: Mapping[str, Json] = field(default_factory=dict)
    key: str = ""
    members: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the scores that its numbers come from: one a seed; empty where there is none."""
        return self.members or ((self.key,) if self.key else ())

    def record(self) -> dict[str, Json]:
        """Return the row as JSON; an interval that is a mean over nothing has nulls."""
        metrics = {name: _plain(interval) for name, interval in self.metrics.items()}
        tie_ranges = {name: tie_range._asdict() for name, tie_range in self.tie_ranges.items()}
        lists = {name: list(getattr(self, name)) for name in ("caveats", "members", "steps")}
        return {**asdict(self), **lists, "metrics": cast(Json, metrics), "tie_ranges": cast(Json, tie_ranges)}


def read_row(record: Mapping[str, Any]) -> Row:
    """Return the row of a record: the inverse of `Row.record`; raises TypeError or KeyError for what is not one."""
    metrics = {name: read_interval(value) for name, value in record["metrics"].items()}
    tie_ranges = {name: TieRange(**value) for name, value in record["tie_ranges"].items()}
    lists = {name: tuple(record[name]) for name in ("caveats", "members", "steps")}
    return Row(**{**record, **lists, "metrics": metrics, "tie_ranges": tie_ranges})


def _plain(interval: Interval) -> dict[str, Json]:
    return {name: None if value != value else value for name, value in interval._asdict().items()}


def read_interval(value: Mapping[str, float | None]) -> Interval:
    """Return an interval from JSON, with null for a mean over nothing."""
    return Interval(*(float("nan") if value[part] is None else cast(float, value[part]) for part in Interval._fields))
