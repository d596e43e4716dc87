"""Measured beside published: which published number a cell has, and whether the two agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from retbench.canon import Json
from retbench.metrics import Interval
from retbench.report.published.claims import Claim, Ledger
from retbench.report.tables.detail import format_eps
from retbench.report.tables.layout import common_names, printed_name
from retbench.report.tables.table import Judgment, Published, Verdict
from retbench.report.tables.unit import Unit
from retbench.results import Row


class _Absent:
    """In place of a condition that a row does not record."""


def judge(row: Row, metric: str, interval: Interval, ledger: Ledger) -> Judgment | None:
    """Return the judgment of a ledger on a measured number, or None where it lacks the cell.

    A cell is one of the ledger's if metric, hasher, bits, task, attack, surrogate, defense, threat and variant are the
    same. Where the ledger has it for other datasets only, all their numbers are shown, as not comparable. Else each
    condition that the paper states must be the row's, numbers up to a relative 1e-6; one that the row does not record
    counts as different, because it may be. If all are, the two agree where the published number lies in the interval,
    widened by half a unit of its last digit.

    Args:
        row: a cell that is done.
        metric: of the row.
        interval: the measured value, 0..1.
        ledger: what was published.
    """
    elsewhere = [claim for claim in ledger.claims if claim.metric == metric and _is_of(claim, row)]
    here = [claim for claim in elsewhere if claim.axes["dataset"] == row.dataset]
    if here:
        return _compared(row, here, interval, ledger)
    return _on_other_data(row, elsewhere, ledger) if elsewhere else None


def _is_of(claim: Claim, row: Row) -> bool:
    """Return whether a claim is of a row's cell, on whatever dataset."""
    return all(getattr(row, axis) == value for axis, value in claim.axes.items() if axis != "dataset")


def _on_other_data(row: Row, claims: Sequence[Claim], ledger: Ledger) -> Judgment:
    datasets = dict.fromkeys(str(claim.axes["dataset"]) for claim in claims)
    there = ", ".join(printed_name("dataset", name) for name in datasets)
    reason = f"dataset differs: measured on {printed_name('dataset', row.dataset)}, published on {there}"
    return _published(claims, None, "not comparable", ledger, (reason,))


def _compared(row: Row, claims: Sequence[Claim], interval: Interval, ledger: Ledger) -> Judgment:
    """Return the judgment of a number on the paper's own data; of several published ones, of the nearest."""
    measured, low, high = (Unit.PERCENT.scale * bound for bound in interval)
    claim = min(claims, key=lambda claim: abs(claim.value - measured))
    if math.isnan(measured) or math.isnan(low):
        reasons = ["nothing was measured" if math.isnan(measured) else "nothing is known of its uncertainty"]
    else:
        reasons = [reason for path, said in claim.conditions.items() if (reason := _difference(row, path, said))]
    if reasons:
        notes = (f"not comparable because {'; '.join(reasons)}", *_remarks(claim))
        return _published(claims, None, "not comparable", ledger, notes)
    half = 0.5 * 10**-ledger.decimals
    verdict: Verdict = "agrees" if low - half <= claim.value <= high + half else "differs"
    notes = (*_left_open(claim), *_remarks(claim))
    return _published(claims, measured - claim.value, verdict, ledger, notes)


def _published(
    claims: Sequence[Claim], difference: float | None, verdict: Verdict, ledger: Ledger, notes: tuple[str, ...]
) -> Judgment:
    tables = list(dict.fromkeys(claim.table for claim in claims))
    source = f"{ledger.paper}, Table{'s' if len(tables) > 1 else ''} {' and '.join(tables)}"
    values = tuple(sorted({claim.value for claim in claims}))
    return Judgment(Published(values, difference, verdict, source), notes)


def _difference(row: Row, path: str, said: Json) -> str:
    """Return how a row differs from the paper at a path; empty where it does not, or the paper states nothing."""
    if said is None:
        return ""
    measured = _recorded(row, path)
    if isinstance(measured, _Absent):
        return f"{condition_name(path)} differs: not recorded, published {_format_fact(said, path)}"
    if _same(measured, said):
        return ""
    return f"{condition_name(path)} differs: {_format_fact(measured, path)}, published {_format_fact(said, path)}"


def _recorded(row: Row, path: str) -> Json | _Absent:
    """Return what a row holds at a dotted path."""
    first, *others = path.split(".")
    value = getattr(row, first, _Absent())
    for key in others:
        value = value[key] if isinstance(value, Mapping) and key in value else _Absent()
    return value


def _same(measured: Json, said: Json) -> bool:
    if isinstance(measured, list | tuple) and isinstance(said, list | tuple):
        return len(measured) == len(said) and all(map(_same, measured, said))
    numbers = [value for value in (measured, said) if isinstance(value, int | float) and not isinstance(value, bool)]
    return math.isclose(*numbers, rel_tol=1e-6) if len(numbers) == 2 else measured == said


def _format_fact(value: Json, path: str = "") -> str:
    if path.endswith(".eps") and isinstance(value, float):
        return format_eps(value)
    if isinstance(value, list | tuple):
        return " x ".join(_format_fact(item) for item in value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _left_open(claim: Claim) -> tuple[str, ...]:
    """Return the note on the conditions that a paper leaves open; nothing where it states all of them."""
    names = ", ".join(condition_name(path) for path, said in claim.conditions.items() if said is None)
    return (f"compared as far as {claim.paper} says; not stated: {names}",) if names else ()


def _remarks(claim: Claim) -> tuple[str, ...]:
    return tuple(f"{claim.paper}: {note}" for note in claim.notes)


def condition_name(path: str) -> str:
    """Return the printed name of a condition: by `names.yaml`, else the last piece of its path in words."""
    return common_names()["condition"].get(path, path.rpartition(".")[2].replace("_", " "))
