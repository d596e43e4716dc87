"""Collect the rows of a plan from a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from retbench.canon import Json
from retbench.contracts import Component, Facts, Protocol
from retbench.errors import ArtifactCorrupt, ArtifactError
from retbench.plan import Plan, PlannedCell
from retbench.plan.screening import hardening_of
from retbench.results.row import Row, Status, TieRange, read_interval
from retbench.results.warnings import find_warnings, warn_of_chance
from retbench.stages.scoring import CODE_FIELDS
from retbench.stages.states import WARNINGS
from retbench.store import Store
from retbench.suite import Cell


def collect(plan: Plan, store: Store, protocol: Protocol, failures: Mapping[str, str] | None = None) -> list[Row]:
    """Return a row for every cell of a plan, in the order of the plan.

    Args:
        plan: the cells with the keys of their scores.
        store: the store with the scores.
        protocol: the protocol of the suite.
        failures: the failures of the last run, by key of the step.
    """
    collector = _Collector(plan, store, protocol, failures or {})
    return warn_of_chance([collector.make_row(planned) for planned in plan.cells])


class _Collector:
    """Makes rows; reads each stored step and each component once."""

    def __init__(self, plan: Plan, store: Store, protocol: Protocol, failures: Mapping[str, str]) -> None:
        self.plan, self.store, self.protocol, self.failures = plan, store, protocol, failures
        self.metas: dict[str, dict[str, Json] | None] = {}
        self.facts: dict[int, Facts] = {}
        self.specs: dict[tuple[int, str], Json] = {}
        self.targets: dict[str, Json] = {}
        self.fit_warnings: dict[str, tuple[str, ...]] = {}

    def make_row(self, planned: PlannedCell) -> Row:
        """Return the row of a cell."""
        cell = planned.cell
        axes: dict[str, Any] = {**cell.axes, "variant": cell.variant}
        row = Row(**axes, status="skipped", reason=planned.reason or "", budget=_budget(cell), caveats=planned.caveats)
        if planned.failed:
            row = replace(row, **_explain_failure(row.reason))
        protocol = {**self._protocol, "task": cell.task, "bits": cell.bits}
        if planned.key is None:
            return replace(row, protocol=protocol)
        protocol["targets"] = self._targets(cell)
        row = replace(
            row,
            protocol=protocol,
            options=self._options(cell),
            data=self._data(cell),
            details=dict(planned.details),
            key=planned.key,
            steps=tuple(self.plan.ancestry(planned.key)),
        )
        try:
            summary = cast(dict[str, Any], self.store.summary(planned.key))
        except ArtifactError as error:
            return replace(row, **self._explain_absence(planned.key, error))
        protocol |= {
            "chance": summary["chance"],
            "scored_queries": summary["queries"],
            "ranked_queries": planned.queries,
        }
        protocol["target_labels"] = summary["target_labels"]
        warnings = (*find_warnings(row, summary), *self._fit_warnings(row.steps))
        return replace(
            row,
            status="done",
            warnings=tuple(dict.fromkeys(warnings)),
            metrics={name: read_interval(value) for name, value in summary["metrics"].items()},
            tie_ranges={name: TieRange(**value) for name, value in summary["tie_ranges"].items()},
            data={**row.data, **{name: summary[name] for name in CODE_FIELDS}},
            cost=self._cost(planned),
        )

    @property
    def _protocol(self) -> dict[str, Json]:
        return cast(dict[str, Json], self.protocol.model_dump(mode="json"))

    def _explain_absence(self, key: str, error: ArtifactError) -> dict[str, Any]:
        """Return the status and the reason of a cell without a stored score."""
        if reason := self.failures.get(key, ""):
            return _explain_failure(reason)
        return {"status": "missing", "reason": f"{error}; run the suite again" * isinstance(error, ArtifactCorrupt)}

    def _fit_warnings(self, steps: Sequence[str]) -> Iterator[str]:
        """Yield the warnings that the fits behind a row stored, prefixed by the component."""
        for key in steps:
            if key not in self.fit_warnings:
                self.fit_warnings[key] = self._read_fit_warnings(key)
            yield from self.fit_warnings[key]

    def _read_fit_warnings(self, key: str) -> tuple[str, ...]:
        step = self.plan.steps[key]
        if not step.name.startswith("fit"):
            return ()
        try:
            warnings = self.store.summary(key).get(WARNINGS, [])
        except ArtifactError:  # a removed artifact loses its warnings, not the metrics of its rows
            return ()
        return tuple(f"{step.method}: {warning}" for warning in cast(list[str], warnings))

    def _targets(self, cell: Cell) -> Json:
        name = cell.dataset.name
        if name not in self.targets:
            self.targets[name] = self.protocol.targets.identity(name)
        return self.targets[name]

    def _facts(self, cell: Cell) -> Facts:
        key = id(cell.dataset)
        if key not in self.facts:
            self.facts[key] = cell.dataset.facts()
        return self.facts[key]

    def _data(self, cell: Cell) -> dict[str, Json]:
        facts = self._facts(cell)
        sizes: dict[str, Json] = {str(split): size for split, size in facts.sizes.items()}
        hardening = hardening_of(cell)
        schedule = hardening.shortened(facts) if hardening else None
        shortened: dict[str, Json] = {"shortened": schedule} if schedule else {}
        return {**sizes, "image_size": list(facts.image_size), "classes": len(facts.classes), **shortened}

    def _options(self, cell: Cell) -> dict[str, Json]:
        facts = self._facts(cell)
        roles = {"dataset": cell.dataset, "hasher": cell.hasher, "attack": cell.attack, "surrogate": cell.surrogate}
        options = {role: self._spec(component, facts) for role, component in roles.items() if component is not None}
        defenses: dict[str, Json] = {defense.name: self._spec(defense, facts) for defense in cell.defenses}
        return {**options, "defense": defenses} if defenses else options

    def _spec(self, component: Component, facts: Facts) -> Json:
        """Return the options of a component, with the sha256 of a file in place of its path."""
        key = (id(component), facts.dataset)
        if key not in self.specs:
            self.specs[key] = component.spec(facts)["options"]
        return self.specs[key]

    def _cost(self, planned: PlannedCell) -> dict[str, Json]:
        cost: dict[str, Json] = {}
        for name, keys in (("attack", planned.attacked), ("defense", planned.purified)):
            metas = [meta for key in keys if (meta := self._meta(key)) is not None]
            if keys and len(metas) == len(keys):  # a removed or damaged shard loses the cost, not the metrics
                seconds = sum(cast(float, meta["seconds"]) for meta in metas)
                cost[f"{name}_seconds_per_query"] = seconds / planned.queries
                cost[f"{name}_peak_memory"] = max(cast(int, meta["peak_memory"]) for meta in metas)
        return cost

    def _meta(self, key: str) -> dict[str, Json] | None:
        if key not in self.metas:
            try:
                self.metas[key] = self.store.meta(key)
            except ArtifactError:
                self.metas[key] = None
        return self.metas[key]


def _explain_failure(reason: str) -> dict[str, Any]:
    """Return the status and the reason of a failed cell."""
    status: Status = "invalid" if reason.startswith("invalid:") else "failed"
    return {"status": status, "reason": reason.removeprefix("invalid: ")}  # the status has this word already


def _budget(cell: Cell) -> dict[str, Json]:
    if cell.attack is None:
        return {}
    ball = cell.attack.ball
    budget: dict[str, Json] = {"norm": ball.norm, "eps": ball.eps} if ball else {"norm": None, "eps": None}
    access: dict[str, Json] = {} if cell.attack.access == "gradient" else {"access": cell.attack.access}
    return {"goal": cell.attack.goal, **budget, **access}
