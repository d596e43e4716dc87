"""The provenance of a table: protocol, components, machines, versions and cost of its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from retbench.canon import Json
from retbench.errors import UserError
from retbench.report.tables.detail import budget_of, protocol_of
from retbench.report.tables.layout import printed_name
from retbench.report.tables.sample import seeds_of
from retbench.results import Evidence, Row, StepRecord, shown_steps

FEW_CODES = 3
"""Distinct codes of a database below which a report warns that its hasher has collapsed."""
Lines = Iterator[tuple[str, str]]


def provenance(rows: Sequence[Row], evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """Return label and text of the lines on what some rows rest on; a label may come more than once.

    Protocol, threat, chance level, components, seeds and targets come from the rows; machines, versions and cost from
    the steps that were computed for them, those not stored left out.
    """
    steps = shown_steps(rows, evidence.steps)
    done = [row for row in rows if row.status == "done"]
    return tuple(
        line
        for lines in (
            _suite(rows, evidence),
            _protocol(done or rows),
            _targets(done, evidence),
            _threats(done),
            _chances(done),
            _options(done),
            _details(done),
            _caveats(done),
            _collapsed(rows),
            _machines(steps),
            _cost(steps),
        )
        for line in lines
    )


def summary(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """Return label and text of the lines on a whole report: what it is of, who computed it, and what that took."""
    steps = shown_steps(evidence.rows, evidence.steps)
    return (*_suite(evidence.rows, evidence), *_machines(steps), *_cost(steps))


def check_uniform(rows: Sequence[Row], evidence: Evidence, title: str) -> None:
    """Raise UserError where the numbers of a table were computed on several kinds of device or by several versions."""
    steps = shown_steps(rows, evidence.steps)
    for what, found in (
        ("devices", _devices(steps)),
        ("precisions", _precisions(steps)),
        ("versions", _versions(steps)),
    ):
        if len(found) > 1:
            raise UserError(
                f"report --uniform: {title}: it mixes {what}: got {' and '.join(found)}, expected one; run the suite "
                "again with one of them in a store of its own"
            )


def _suite(rows: Sequence[Row], evidence: Evidence) -> Lines:
    waiting = sum(row.status == "missing" for row in rows)
    if waiting:
        yield "unfinished", f"{waiting} of {len(rows)} cells have not run yet; the same `retbench run` goes on"
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
        f"{' and '.join(f'{level:g}' for level in sorted(confidence))} % bootstrap over {drawn}; where a number hangs "
        f"on the target, queries of one target label are drawn together ({clusters or 'none'} distinct target labels)",
    )
    seeds = {seed for row in rows for seed in seeds_of(row)}
    few = "; intervals over two seeds cannot reach beyond the two" if any(len(row.members) == 2 for row in rows) else ""
    yield "seeds", f"{', '.join(str(seed) for seed in sorted(seeds))}{few}"


def _targets(rows: Sequence[Row], evidence: Evidence) -> Lines:
    """Yield the address of each dataset's draw of targets, which is the digest of all that it depends on."""
    keys = ((row.dataset, key) for row in rows for key in row.steps)
    drawn = {dataset: key for dataset, key in keys if key in evidence.steps and evidence.steps[key].stage == "targets"}
    if drawn:
        yield "targets", ", ".join(f"{dataset} {key[:16]}" for dataset, key in drawn.items())


def _threats(rows: Sequence[Row]) -> Lines:
    groups: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        if row.budget:
            who = f"{row.attack} on {row.dataset}, {row.budget['goal']}, {row.threat}"
            groups[who][budget_of(row)] = None
    for who, balls in groups.items():
        yield "threat", f"{who}: {_span(balls)}"


def _span(balls: Iterable[str]) -> str:
    """Return the budgets of an attack; measured ones as the least and the most."""
    declared = [ball for ball in balls if not ball.startswith("unbounded")]
    measured = sorted(float(ball.split()[-1].removesuffix("/255")) for ball in balls if ball.startswith("unbounded"))
    if measured:
        low, high = f"{measured[0]:.1f}", f"{measured[-1]:.1f}"
        declared.append(f"unbounded, measured root mean square {low if low == high else f'{low} to {high}'}/255")
    return ", ".join(declared)


def _chances(rows: Sequence[Row]) -> Lines:
    chances = ((row.dataset, cast(Any, row.protocol["chance"])["t_map"]) for row in rows)
    found = dict.fromkeys(f"{dataset} {100 * chance:.2f} %" for dataset, chance in chances if chance is not None)
    if found:
        yield "chance", f"a random ranking has a T-MAP of about {', '.join(found)}"


def _options(rows: Sequence[Row]) -> Lines:
    """Yield the plain options of each attack; nested ones, and those of other components, are in the JSON."""
    budgets: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        options = cast(dict[str, Json], row.options.get("attack", {}))
        plain = {name: value for name, value in sorted(options.items()) if isinstance(value, int | float | str)}
        if plain:
            text = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in plain.items())
            budgets[text][f"{row.attack} on {row.dataset}"] = None
    for text, attacks in budgets.items():
        yield "options", f"{', '.join(attacks)}: {text}"


def _details(rows: Sequence[Row]) -> Lines:
    """Yield what components recorded beside their options, those that recorded the same together."""
    owners: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for component, details in row.details.items():
            pieces = sorted(cast(dict[str, Json], details).items())
            details = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in pieces)
            kind, _, name = component.partition(" ")
            swept = f" {row.variant}" if row.variant and name in str(getattr(row, kind, "")).split("+") else ""
            owners[details][f"{name}{swept}"] = None
    for details, names in owners.items():
        yield "details", f"{', '.join(names)}: {details}"


def _plain(value: Json) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _caveats(rows: Sequence[Row]) -> Lines:
    for caveat in dict.fromkeys(caveat for row in rows for caveat in row.caveats):
        yield "note", caveat


def _collapsed(rows: Sequence[Row]) -> Lines:
    """Yield the cells whose database has one code or two, too few to rank by."""
    lines: dict[str, None] = {}
    for row in rows:
        codes, size = cast(int, row.data.get("distinct_codes", FEW_CODES)), cast(int, row.data.get("database", 0))
        if codes < min(FEW_CODES, size):
            behind = "" if row.defense == "none" else f" behind {row.defense}"
            lines[f"{row.hasher}{behind} has {codes} distinct codes for the {size} items of {row.dataset}"] = None
    yield from (("collapsed", line) for line in lines)


def _machines(steps: Sequence[StepRecord]) -> Lines:
    if devices := _devices(steps):
        threads = " or ".join(dict.fromkeys(str(step.environment["threads"]) for step in steps))
        threads += " thread" if threads == "1" else " threads"
        yield "computed on", f"{'; '.join(devices)}, {threads}; networks in {' and '.join(_precisions(steps))}"
    agreements = [
        cast(float, step.summary["float32_agreement"]) for step in steps if "float32_agreement" in step.summary
    ]
    if agreements and min(agreements) < 1:
        yield "precision", f"at least {100 * min(agreements):.2f} % of the bits checked are those of float32 networks"
    for versions in _versions(steps):
        yield "versions", versions


def _devices(steps: Sequence[StepRecord]) -> list[str]:
    return list(dict.fromkeys(f"{step.environment['device']} ({step.environment['device_name']})" for step in steps))


def _precisions(steps: Sequence[StepRecord]) -> list[str]:
    """Return the precisions of networks that are not float32 whatever the run's is, as attacks are."""
    return sorted({step.precision for step in steps if step.precision and step.stage != "attack"})


def _versions(steps: Sequence[StepRecord]) -> list[str]:
    """Return each mix of versions that steps were computed by."""
    found: dict[str, None] = {}
    for step in steps:
        versions = cast(dict[str, str], step.environment.get("versions", {}))
        named = [f"{name} {version}" for name, version in sorted(versions.items())] or ["retbench unrecorded"]
        found[", ".join([*named, f"torch {step.environment['torch']}"])] = None
    return list(found)


def _cost(steps: Sequence[StepRecord]) -> Lines:
    if not steps:
        return
    seconds: dict[str, float] = defaultdict(float)
    for step in steps:
        seconds[step.stage] += step.seconds
    pieces = ", ".join(f"{stage} {value:.0f} s" for stage, value in sorted(seconds.items(), key=lambda s: -s[1]))
    memory = max(step.peak_memory for step in steps) / 2**20
    yield "wall time", f"{_minutes(sum(seconds.values()))}: {pieces}; at most {memory:.0f} MiB of memory"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"
