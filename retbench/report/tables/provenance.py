"""The provenance of a table: protocol, components, machines, versions and cost of its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from retbench.canon import Json
from retbench.errors import UserError
from retbench.report.tables.detail import UNBOUNDED, access_of, budget_of, protocol_of
from retbench.report.tables.layout import printed_name
from retbench.report.tables.mixture import training_notes, training_threads
from retbench.report.tables.sample import seeds_of
from retbench.results import Evidence, Row, StepRecord, steps_of_rows

Lines = Iterator[tuple[str, str]]


def table_provenance(rows: Sequence[Row], evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """Return label and text of the lines on the source of some rows' numbers; a label may occur more than once.

    Protocol, threat, components, seeds and targets come from the rows; machines, versions and cost from
    the stored steps that were computed for them.
    """
    steps = steps_of_rows(rows, evidence.steps)
    done = [row for row in rows if row.status == "done"]
    return tuple(
        line
        for lines in (
            _suite(rows, evidence),
            _protocol(done or rows),
            _targets(done, evidence),
            _threats(done),
            _options(done),
            _details(done),
            _caveats(done),
            _budgets_differ(done),
            _machines(steps),
            _trainings(steps),
            _cost(steps),
        )
        for line in lines
    )


def report_provenance(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """Return label and text of the lines on a whole report: its suite, machines, versions and cost."""
    steps = steps_of_rows(evidence.rows, evidence.steps)
    return (*_suite(evidence.rows, evidence), *_machines(steps), *_trainings(steps), *_cost(steps))


def check_uniform(rows: Sequence[Row], evidence: Evidence, title: str) -> None:
    """Raise UserError if a table mixes devices, precisions, versions, or numbers of threads in trainings on a CPU."""
    steps = steps_of_rows(rows, evidence.steps)
    for what, values in (
        ("devices", _devices(steps)),
        ("precisions", _precisions(steps)),
        ("versions", _versions(steps)),
        ("numbers of threads in training", training_threads(steps)),
    ):
        if len(values) > 1:
            raise UserError(
                f"report --uniform: {title}: it mixes {what}: got {' and '.join(values)}, expected one; run the suite "
                "again with one of them, in a store of its own"
            )


def _suite(rows: Sequence[Row], evidence: Evidence) -> Lines:
    waiting = sum(row.status == "missing" for row in rows)
    if waiting:
        yield "unfinished", f"{waiting} of {len(rows)} cells have not run yet; repeat `retbench run` to continue"
    yield "suite", f"{evidence.title}, digest {evidence.digest[:16]}"
    if evidence.notice:
        yield "source", evidence.notice


def _protocol(rows: Sequence[Row]) -> Lines:
    tasks = ", ".join(dict.fromkeys(printed_name("task", row.task) for row in rows))
    for protocol in dict.fromkeys(protocol_of(row) for row in rows):
        yield "protocol", f"{tasks}; {protocol}"
    labels = {row.dataset: row.protocol["target_labels"] for row in rows if "target_labels" in row.protocol}
    confidence = {100 * cast(float, row.protocol["confidence"]) for row in rows}
    drawn = "queries and seeds" if any(row.members for row in rows) else "queries"
    clusters = ", ".join(f"{dataset} {count}" for dataset, count in labels.items())
    yield (
        "intervals",
        f"{' and '.join(f'{level:g}' for level in sorted(confidence))} % over {drawn}: of shares, MAP and "
        "T-MAP bounded intervals, of other numbers a bootstrap; for numbers that depend on the target, queries with "
        f"the same target label are one cluster (distinct target labels: {clusters or 'none'})",
    )
    seeds = {seed for row in rows for seed in seeds_of(row)}
    few = (
        "; intervals over only two seeds understate the variation between seeds"
        if any(len(row.members) == 2 for row in rows)
        else ""
    )
    yield "seeds", f"{', '.join(str(seed) for seed in sorted(seeds))}{few}"


def _targets(rows: Sequence[Row], evidence: Evidence) -> Lines:
    """Yield the key of each dataset's draw of targets, a digest of everything the draw depends on."""
    keys = ((row.dataset, key) for row in rows for key in row.steps)
    drawn = {dataset: key for dataset, key in keys if key in evidence.steps and evidence.steps[key].stage == "targets"}
    if drawn:
        yield "targets", "drawn by step " + ", ".join(f"{key[:16]} ({dataset})" for dataset, key in drawn.items())


def _threats(rows: Sequence[Row]) -> Lines:
    attacked: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.budget:
            attacked[f"{row.attack} on {row.dataset}, {row.budget['goal']}, {row.threat}"].append(row)
    for attack, each in attacked.items():
        budgets = _join_budgets(dict.fromkeys(budget_of(row) for row in each))
        yield "threat", f"{attack}: {'; '.join(filter(None, (budgets, access_of(each))))}"


def _join_budgets(budgets: Iterable[str]) -> str:
    """Return the budgets of an attack on one line; of measured ones, the minimum and the maximum."""
    declared = [budget for budget in budgets if not budget.startswith(UNBOUNDED)]
    measured = sorted(
        float(budget.removeprefix(UNBOUNDED).removesuffix("/255")) for budget in budgets if budget.startswith(UNBOUNDED)
    )
    if measured:
        low, high = f"{measured[0]:.1f}", f"{measured[-1]:.1f}"
        declared.append(f"{UNBOUNDED} {low if low == high else f'{low} to {high}'}/255")
    return ", ".join(declared)


def _budgets_differ(rows: Sequence[Row]) -> Lines:
    """Yield a note if a table has attacks with a budget and attacks without one."""
    unbounded = dict.fromkeys(row.attack for row in rows if row.budget and row.budget["eps"] is None)
    if unbounded and any(row.budget and row.budget["eps"] is not None for row in rows):
        yield (
            "note",
            f"{', '.join(unbounded)}: no budget limits the change of an image, as it does for other attacks here",
        )


def _options(rows: Sequence[Row]) -> Lines:
    """Yield the options of each attack, without nested ones."""
    attacks_by_text: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        options = cast(dict[str, Json], row.options.get("attack", {}))
        plain = {name: value for name, value in sorted(options.items()) if isinstance(value, int | float | str)}
        if plain:
            text = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in plain.items())
            attacks_by_text[text][f"{row.attack} on {row.dataset}"] = None
    for text, attacks in attacks_by_text.items():
        yield "attack options", f"{', '.join(attacks)}: {text}"


def _details(rows: Sequence[Row]) -> Lines:
    """Yield the values that components derived from their options; equal ones share a line."""
    owners: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for component, details in row.details.items():
            pieces = sorted(cast(dict[str, Json], details).items())
            details = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in pieces)
            kind, _, name = component.partition(" ")
            swept = f" {row.variant}" if row.variant and name in str(getattr(row, kind, "")).split("+") else ""
            owners[details][f"{name}{swept}"] = None
    for details, names in owners.items():
        yield "derived values", f"{', '.join(names)}: {details}"


def _plain(value: Json) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _caveats(rows: Sequence[Row]) -> Lines:
    for caveat in dict.fromkeys(caveat for row in rows for caveat in row.caveats):
        yield "note", caveat


def _machines(steps: Sequence[StepRecord]) -> Lines:
    if devices := _devices(steps):
        threads = " or ".join(dict.fromkeys(str(step.environment["threads"]) for step in steps))
        threads += " thread" if threads == "1" else " threads"
        yield "computed on", f"{'; '.join(devices)}, {threads}; networks in {' and '.join(_precisions(steps))}"
    agreements = [
        cast(float, step.summary["float32_agreement"]) for step in steps if "float32_agreement" in step.summary
    ]
    if agreements and min(agreements) < 1:
        yield (
            "precision",
            f"at least {100 * min(agreements):.2f} % of the checked code bits equal those of float32 networks",
        )
    for versions in _versions(steps):
        yield "versions", versions


def _trainings(steps: Sequence[StepRecord]) -> Lines:
    for note in training_notes(steps):
        yield "note", note


def _devices(steps: Sequence[StepRecord]) -> list[str]:
    return list(dict.fromkeys(f"{step.environment['device']} ({step.environment['device_name']})" for step in steps))


def _precisions(steps: Sequence[StepRecord]) -> list[str]:
    """Return the precisions of networks, except in attacks, which always use float32."""
    return sorted({step.precision for step in steps if step.precision and step.stage != "attack"})


def _versions(steps: Sequence[StepRecord]) -> list[str]:
    """Return each distinct combination of versions that steps were computed by."""
    combinations: dict[str, None] = {}
    for step in steps:
        versions = cast(dict[str, str], step.environment.get("versions", {}))
        named = [f"{name} {version}" for name, version in sorted(versions.items())] or ["retbench unrecorded"]
        combinations[", ".join([*named, f"torch {step.environment['torch']}"])] = None
    return list(combinations)


def _cost(steps: Sequence[StepRecord]) -> Lines:
    if not steps:
        return
    seconds: dict[str, float] = defaultdict(float)
    for step in steps:
        seconds[step.stage] += step.seconds
    pieces = ", ".join(f"{stage} {value:.0f} s" for stage, value in sorted(seconds.items(), key=lambda s: -s[1]))
    memory = max(step.peak_memory for step in steps) / 2**20
    yield "wall time", f"{_minutes(sum(seconds.values()))}: {pieces}; peak memory {memory:.0f} MiB"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"
