"""From a plan and a store to rows: one flat record for each cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast

from retbench.canon import Json
from retbench.contracts import Protocol, Threat
from retbench.errors import ArtifactCorrupt, ArtifactError
from retbench.metrics import Interval
from retbench.plan import Plan, PlannedCell
from retbench.store import Store

Status = Literal["done", "skipped", "failed", "invalid", "missing"]


@dataclass(frozen=True)
class Row:
    """One cell's numbers and everything they hang on.

    Attributes:
        dataset, hasher, bits, task, attack, surrogate, defense, threat, seed, variant: the axes, by label.
        status: `done`; `skipped`, `failed` or `invalid` (a breach of contract) with the reason; `missing`: not run.
        metrics: intervals in 0..1: `map`, `t_map`; where images were changed `perceptibility`, `visibility`, `ssim`.
        protocol: what must agree before the row is put beside another.
        budget: the attack's declared goal, norm and eps.
        caveats: what a reader must know of its numbers, from its components.
        details: what its components record beside their options, by component: where a purifier's walk starts.
        cost: seconds per query of attack and defense, and the peak memory of the costliest of those steps in bytes.
        key: the score's key; empty where there is none.
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
    protocol: Mapping[str, Json] = field(default_factory=dict)
    budget: Mapping[str, Json] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)
    cost: Mapping[str, Json] = field(default_factory=dict)
    key: str = ""

    def record(self) -> dict[str, Json]:
        """Returns the row as JSON; an interval that is a mean over nothing has nulls."""
        metrics = {name: _plain(interval) for name, interval in self.metrics.items()}
        return {**asdict(self), "caveats": list(self.caveats), "metrics": cast(Json, metrics)}


def collect(plan: Plan, store: Store, protocol: Protocol, failures: Mapping[str, str] | None = None) -> list[Row]:
    """Returns a row for every cell of a plan, in its order.

    Args:
        plan: the cells and their score keys.
        store: where the scores are.
        protocol: the suite's.
        failures: reasons of the steps that failed in the run just done, by key.
    """
    return [_row(planned, store, protocol, failures or {}) for planned in plan.cells]


def _row(planned: PlannedCell, store: Store, protocol: Protocol, failures: Mapping[str, str]) -> Row:
    axes: dict[str, Any] = {**planned.cell.axes, "variant": planned.cell.variant}
    row = Row(**axes, status="skipped", reason=planned.reason or "", budget=_budget(planned), caveats=planned.caveats)
    row = replace(row, details=dict(planned.details))
    told = {**protocol.model_dump(mode="json"), "task": planned.cell.task, "bits": planned.cell.bits}
    if planned.key is None:
        return replace(row, protocol=told)
    told["targets"] = protocol.targets.identity(planned.cell.dataset.name)
    try:
        facts = store.facts(planned.key)
    except ArtifactError as error:
        reason = failures.get(planned.key, "")
        status: Status = "invalid" if reason.startswith("invalid:") else "failed" if reason else "missing"
        if status == "missing" and isinstance(error, ArtifactCorrupt):
            reason = f"{error}; run the suite again"
        return replace(row, protocol=told, status=status, reason=reason, key=planned.key)
    told |= {"chance": facts["chance"], "scored_queries": facts["queries"], "ranked_queries": planned.queries}
    metrics = {name: _interval(value) for name, value in cast(dict[str, Any], facts["metrics"]).items()}
    cost = _cost(planned, store)
    return replace(row, protocol=told, status="done", metrics=metrics, cost=cost, key=planned.key)


def _budget(planned: PlannedCell) -> dict[str, Json]:
    attack = planned.cell.attack
    if attack is None:
        return {}
    threat = Threat(attack.goal, attack.ball, planned.cell.visibility)
    ball = threat.ball._asdict() if threat.ball else {"norm": None, "eps": None}
    return {"goal": threat.goal, "visibility": threat.visibility, **ball}


def _cost(planned: PlannedCell, store: Store) -> dict[str, Json]:
    cost: dict[str, Json] = {}
    for name, keys in (("attack", planned.attacked), ("defense", planned.purified)):
        try:
            metas = [store.meta(key) for key in keys]
        except ArtifactError:
            continue  # removed or damaged since: the numbers stand, what they cost is not known any more
        if metas:
            seconds = sum(cast(float, meta["seconds"]) for meta in metas)
            cost[f"{name}_seconds_per_query"] = seconds / planned.queries
            cost[f"{name}_peak_memory"] = max(cast(int, meta["peak_memory"]) for meta in metas)
    return cost


def _interval(value: Mapping[str, float | None]) -> Interval:
    return Interval(*(float("nan") if value[part] is None else cast(float, value[part]) for part in Interval._fields))


def _plain(interval: Interval) -> dict[str, Json]:
    return {name: None if value != value else value for name, value in interval._asdict().items()}
