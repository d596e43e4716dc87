"""What a reader needs to believe a table, or to make it again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from retbench.canon import Json
from retbench.errors import ArtifactError
from retbench.plan import Plan
from retbench.report.layout import common_names
from retbench.results import Row
from retbench.stages import EncodeSplit
from retbench.store import Store

FEW_CODES = 3
"""Distinct codes of a database below which a report says that its hasher has collapsed."""


def provenance(rows: Sequence[Row], plan: Plan, store: Store, versions: Sequence[str]) -> list[str]:
    """Returns lines on protocol, threat, chance level, machine, versions and cost of these rows.

    Args:
        rows: the rows a report shows.
        plan: what they were planned as.
        store: where their artifacts are; what is not stored is left out.
        versions: `name version` of the plugins.
    """
    done = [row for row in rows if row.status == "done"]
    metas = [meta for key in plan.steps if (meta := _meta(store, key)) is not None]
    lines = [*_unfinished(rows), _protocol(rows), *_threats(done), *_chances(done), *_details(done), *_caveats(done)]
    lines += [*_collapsed(plan, store), *_machines(metas), *_agreement(plan, store)]
    return [*lines, f"Versions: {', '.join(versions)}.", _cost(metas)]


def _meta(store: Store, key: str) -> dict[str, Json] | None:
    """Returns the meta of a stored step; None for one that is not there, or is damaged and will run again."""
    try:
        return store.meta(key)
    except ArtifactError:
        return None


def _unfinished(rows: Sequence[Row]) -> list[str]:
    """Returns how many cells have not run yet, if any: their places hold a dash."""
    waiting = sum(row.status == "missing" for row in rows)
    told = f"Unfinished: {waiting} of {len(rows)} cells have not run yet; the same `retbench run` goes on."
    return [told] if waiting else []


def _collapsed(plan: Plan, store: Store) -> list[str]:
    """Returns which hashers gave a whole database one code or two, among which nothing can be told apart."""
    told = []
    for key, step in plan.steps.items():
        if isinstance(step, EncodeSplit) and step.split == "database" and _meta(store, key) is not None:
            distinct = cast(int, store.facts(key)["distinct"])
            if distinct < min(FEW_CODES, step.units):
                told.append(f"{step.work} has {distinct} distinct codes for {step.units} {step.modality}s")
    return [f"Collapsed: {'; '.join(dict.fromkeys(told))}."] if told else []


def _agreement(plan: Plan, store: Store) -> list[str]:
    """Returns how far the codes of a lower precision are those of float32, where any were computed in one."""
    keys = [key for key, step in plan.steps.items() if step.name == "encode" and _meta(store, key) is not None]
    worst = min((cast(float, store.facts(key)["float32_agreement"]) for key in keys), default=1.0)
    return [f"At least {100 * worst:.2f} % of the bits checked are those of float32 networks."] if worst < 1 else []


def _cost(metas: Sequence[Mapping[str, Json]]) -> str:
    seconds: dict[str, float] = defaultdict(float)
    for meta in metas:
        seconds[str(cast(dict[str, Any], meta["recipe"])["stage"])] += cast(float, meta["seconds"])
    pieces = ", ".join(f"{stage} {value:.0f} s" for stage, value in sorted(seconds.items(), key=lambda s: -s[1]))
    return f"Computing it took {_minutes(sum(seconds.values()))}: {pieces}."


def _protocol(rows: Sequence[Row]) -> str:
    told: dict[str, Any] = dict(rows[0].protocol)
    targets = told["targets"]
    depth = f" at {told['depth']}" if told["depth"] else ""
    above = f", carried by more than {targets['above']} items" if targets["above"] else ""
    tasks = dict.fromkeys(common_names()["task"][row.task] for row in rows)
    pieces = [
        f"{_counts(rows) or told['queries']} queries, {', '.join(tasks)}",
        f"MAP {told['map']}{depth}, ties {told['ties']}, relevance {told['relevance']}",
        f"targets {targets['rule']}{above}, {_draw(rows)}",
        f"{'8-bit' if told['quantise'] else 'float'} images",
        f"{100 * told['confidence']:g} % bootstrap intervals over queries",
    ]
    return f"Protocol: {'; '.join(pieces)}."


def _draw(rows: Sequence[Row]) -> str:
    """Returns what the targets hang on besides their rule: the seed, or the first digits of each file's sha256."""
    targets = [cast(dict[str, Any], row.protocol["targets"]) for row in rows if row.status == "done"]
    files = dict.fromkeys(str(drawn["file"])[:15] for drawn in targets if drawn["file"])
    return " and ".join(files) or f"seed {cast(dict[str, Any], rows[0].protocol['targets'])['seed']}"


def _counts(rows: Sequence[Row]) -> str:
    """Returns how many queries were ranked: `100`, or `100 and 200` where data sets differ."""
    found = {int(cast(Any, row.protocol["ranked_queries"])) for row in rows if row.status == "done"}
    return " and ".join(map(str, sorted(found)))


def _threats(rows: Sequence[Row]) -> list[str]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.budget:
            groups[f"{row.attack} on {row.dataset}: {row.budget['goal']}, {row.budget['visibility']}"].append(row)
    told = [f"{who}, {ball}" for who, attacked in groups.items() for ball in dict.fromkeys(_balls(attacked))]
    return [f"Threat: {'; '.join(told)}."] if told else []


def _balls(rows: Sequence[Row]) -> Iterator[str]:
    """Yields the declared budgets of some rows of one attack; for those without one, how far their images went."""
    for row in rows:
        if row.budget["eps"] is not None:
            yield f"{row.budget['norm']} {cast(float, row.budget['eps']) * 255:.3g}/255"
    changes = [row.metrics["perceptibility"].value * 255 for row in rows if row.budget["eps"] is None]
    if changes:
        low, high = f"{min(changes):.1f}", f"{max(changes):.1f}"
        yield f"unbounded, measured root mean square {low if low == high else f'{low} to {high}'}/255"


def _chances(rows: Sequence[Row]) -> list[str]:
    chances = ((row.dataset, cast(Any, row.protocol["chance"])["t_map"]) for row in rows)
    told = dict.fromkeys(f"{dataset} {100 * chance:.2f} %" for dataset, chance in chances if chance is not None)
    return [f"A random ranking has a T-MAP of about: {', '.join(told)}."] if told else []


def _details(rows: Sequence[Row]) -> list[str]:
    """Returns what components recorded beside their options, those that recorded the same together."""
    owners: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for component, details in row.details.items():
            told = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in cast(Any, details).items())
            kind, _, name = component.partition(" ")
            swept = f" {row.variant}" if row.variant and name in str(getattr(row, kind, "")).split("+") else ""
            owners[told][f"{name}{swept}"] = None
    return [f"{', '.join(names)}: {told}." for told, names in owners.items()]


def _plain(value: Json) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _caveats(rows: Sequence[Row]) -> list[str]:
    return [f"Note: {caveat}." for caveat in dict.fromkeys(told for row in rows for told in row.caveats)]


def _machines(metas: Sequence[Mapping[str, Json]]) -> list[str]:
    found = dict.fromkeys(
        f"{env['device']} ({env['device_name']}, {env['threads']} threads), torch {env['torch']}"
        for env in (cast(dict[str, Any], meta["environment"]) for meta in metas)
    )
    precisions = {str(cast(dict[str, Any], meta["recipe"]).get("precision")) for meta in metas} - {"None"}
    return [f"Computed on: {'; '.join(found)}; networks in {' and '.join(sorted(precisions))}."] if found else []


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"
