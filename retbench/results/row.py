"""A row: the numbers of one cell and everything that they depend on, as a flat record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, cast

from retbench.canon import Json
from retbench.metrics import Interval
from retbench.suite import AXES

ROW_AXES = (*AXES, "variant")
"""The fields of a row that identify its cell: the axes of the matrix, and the label of swept options."""
LISTS = ("caveats", "warnings", "members", "steps")
"""The fields that are lists in JSON."""
Status = Literal["done", "skipped", "failed", "invalid", "missing"]


class TieRange(NamedTuple):
    """The mean of a metric over queries, 0 to 1, with all ties broken against the queries and in favor of them."""

    worst: float
    best: float


@dataclass(frozen=True)
class Row:
    """The numbers of one cell and everything that they depend on.

    Attributes:
        dataset, hasher, bits, task, attack, surrogate, defense, threat, seed, variant: the labels of the axes.
        status: `done`; `missing` (not run); or with a reason `skipped`, `failed` or `invalid` (a breach of contract).
        reason: the reason for the status; may be empty for `missing`.
        metrics: intervals by metric, 0 to 1: `map`, `t_map`; for changed images `perceptibility`, `purified_rmse` and
            `ssim`. For a black-box attack also `attack_queries`, the mean number of queries to the network that it used
            for a query image.
        tie_ranges: the ranges of `map` and `t_map` over all orders inside ties, where ties can change them.
        protocol: the fields that must match before two rows may be compared.
        options: the options by role (`dataset`, `hasher`, `attack`, `surrogate`; `defense`: by component).
        data: the sizes of the splits, `image_size`, the number of `classes`; of the database the number of
            `distinct_codes`, the share of its `largest_code` and its `label_variety` (see `describe_codes`); how far a
            hardening was `shortened`; for pooled rows the `seeds`, and the reasons of `lost` ones.
        budget: the declared goal, norm and eps of the attack, and for a black-box attack its `access`; how many queries
            it may use is its option `query_budget`.
        caveats: what readers should know about the numbers; printed under every table.
        warnings: reasons not to trust the numbers; footnotes of every number. A row with one never wins a contest.
        details: values derived from the options, by component (for example the start noise level).
        cost: the seconds per query of attack and defense, and the peak memory of their steps in bytes.
        key: the key of the score; empty without one.
        members: the score keys of the pooled seeds; empty for a row of one seed.
        steps: the keys of all steps behind the row, its score last; empty without a score.
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
    warnings: tuple[str, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)
    cost: Mapping[str, Json] = field(default_factory=dict)
    key: str = ""
    members: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()

    @property
    def access(self) -> str:
        """What the attack gets from the network: gradient, score or decision; empty without an attack."""
        return str(self.budget.get("access", "gradient")) if self.budget else ""

    @property
    def query_budget(self) -> int | None:
        """The largest number of queries of a black-box attack for each query image; None for another row."""
        options = self.options.get("attack")
        budget = options.get("query_budget") if isinstance(options, Mapping) else None
        return budget if self.access in ("score", "decision") and isinstance(budget, int) else None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its scores, one for each seed; empty without a score."""
        return self.members or ((self.key,) if self.key else ())

    def record(self) -> dict[str, Json]:
        """Return the row as JSON, with null for NaN, the mean over no queries."""
        metrics = {name: _record_interval(interval) for name, interval in self.metrics.items()}
        tie_ranges = {name: tie_range._asdict() for name, tie_range in self.tie_ranges.items()}
        lists = {name: list(getattr(self, name)) for name in LISTS}
        return {**asdict(self), **lists, "metrics": cast(Json, metrics), "tie_ranges": cast(Json, tie_ranges)}


def read_row(record: Mapping[str, Any]) -> Row:
    """Return the row of a record, the inverse of `Row.record`; raises TypeError or KeyError for a malformed record."""
    metrics = {name: read_interval(value) for name, value in record["metrics"].items()}
    tie_ranges = {name: TieRange(**value) for name, value in record["tie_ranges"].items()}
    lists = {name: tuple(record[name]) for name in LISTS}
    return Row(**{**record, **lists, "metrics": metrics, "tie_ranges": tie_ranges})


def _record_interval(interval: Interval) -> dict[str, Json]:
    return {name: None if value != value else value for name, value in interval._asdict().items()}


def read_interval(value: Mapping[str, float | None]) -> Interval:
    """Return an interval from JSON, with NaN for null."""
    return Interval(*(float("nan") if value[part] is None else cast(float, value[part]) for part in Interval._fields))
