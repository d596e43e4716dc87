"""Comparison of measured with published numbers: the published number of a cell, and whether the two agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from retbench.canon import Json
from retbench.metrics import Interval
from retbench.report.published.claims import Claim, Ledger
from retbench.report.tables.detail import format_eps
from retbench.report.tables.layout import common_names, printed_name
from retbench.report.tables.table import PublishedComparison, PublishedValue, Verdict
from retbench.report.tables.unit import Unit
from retbench.results import Row


class _NotRecorded:
    """The value of a condition that a row does not record."""


def compare_published(row: Row, metric: str, interval: Interval, ledger: Ledger) -> PublishedComparison | None:
    """Compare a measured number with the published one; return None if the ledger does not have the cell.

    The ledger has the cell if metric, hasher, bits, task, attack, surrogate, defense, threat and variant are the same.
    If it has the cell for other datasets only, all their numbers are returned, as not comparable. Otherwise each
    condition that the paper states must equal the row's, numbers up to a relative 1e-6; a condition that the row does
    not record counts as different. If all are equal, the numbers agree if the published one is in the confidence
    interval, widened by half a unit of its last digit.

    Args:
        row: a done cell.
        metric: of the row.
        interval: the measured value, 0..1.
        ledger: the published numbers.
    """
    any_dataset = [claim for claim in ledger.claims if claim.metric == metric and _is_same_cell(claim, row)]
    same_dataset = [claim for claim in any_dataset if claim.axes["dataset"] == row.dataset]
    if same_dataset:
        return _compare_on_dataset(row, same_dataset, interval, ledger)
    return _compare_on_other_datasets(row, any_dataset, ledger) if any_dataset else None


def _is_same_cell(claim: Claim, row: Row) -> bool:
    """Return whether a claim is about a row's cell, on any dataset."""
    return all(getattr(row, axis) == value for axis, value in claim.axes.items() if axis != "dataset")


def _compare_on_other_datasets(row: Row, claims: Sequence[Claim], ledger: Ledger) -> PublishedComparison:
    datasets = dict.fromkeys(str(claim.axes["dataset"]) for claim in claims)
    published = ", ".join(printed_name("dataset", name) for name in datasets)
    reason = f"dataset differs: measured on {printed_name('dataset', row.dataset)}, published on {published}"
    return _comparison(claims, None, "not comparable", ledger, (reason,))


def _compare_on_dataset(row: Row, claims: Sequence[Claim], interval: Interval, ledger: Ledger) -> PublishedComparison:
    """Compare a number on the paper's own dataset; of several published numbers, with the nearest."""
    measured, low, high = (Unit.PERCENT.scale * bound for bound in interval)
    claim = min(claims, key=lambda claim: abs(claim.value - measured))
    if math.isnan(measured):
        reasons = ["no value was measured"]
    elif math.isnan(low):
        reasons = ["the measured value has no confidence interval"]
    else:
        reasons = [reason for path, stated in claim.conditions.items() if (reason := _difference(row, path, stated))]
    if reasons:
        notes = (f"not comparable because {'; '.join(reasons)}", *_remarks(claim))
        return _comparison(claims, None, "not comparable", ledger, notes)
    half = 0.5 * 10**-ledger.decimals
    verdict: Verdict = "agrees" if low - half <= claim.value <= high + half else "differs"
    notes = (*_unstated(claim), *_remarks(claim))
    return _comparison(claims, measured - claim.value, verdict, ledger, notes)


def _comparison(
    claims: Sequence[Claim], difference: float | None, verdict: Verdict, ledger: Ledger, notes: tuple[str, ...]
) -> PublishedComparison:
    tables = list(dict.fromkeys(claim.table for claim in claims))
    source = f"{ledger.paper}, Table{'s' if len(tables) > 1 else ''} {' and '.join(tables)}"
    values = tuple(sorted({claim.value for claim in claims}))
    return PublishedComparison(PublishedValue(values, difference, verdict, source), notes)


def _difference(row: Row, path: str, stated: Json) -> str:
    """Return how a row differs from the paper in a condition; empty if it does not, or the paper states nothing."""
    if stated is None:
        return ""
    measured = _recorded(row, path)
    if isinstance(measured, _NotRecorded):
        return f"{condition_name(path)} is not recorded, published {_format(stated, path)}"
    if _equal(measured, stated):
        return ""
    return f"{condition_name(path)} differs: measured {_format(measured, path)}, published {_format(stated, path)}"


def _recorded(row: Row, path: str) -> Json | _NotRecorded:
    """Return the value of a row at a dotted path."""
    first, *others = path.split(".")
    value = getattr(row, first, _NotRecorded())
    for key in others:
        value = value[key] if isinstance(value, Mapping) and key in value else _NotRecorded()
    return value


def _equal(measured: Json, stated: Json) -> bool:
    if isinstance(measured, list | tuple) and isinstance(stated, list | tuple):
        return len(measured) == len(stated) and all(map(_equal, measured, stated))
    numbers = [value for value in (measured, stated) if isinstance(value, int | float) and not isinstance(value, bool)]
    return math.isclose(*numbers, rel_tol=1e-6) if len(numbers) == 2 else measured == stated


def _format(value: Json, path: str = "") -> str:
    if path.endswith(".eps") and isinstance(value, float):
        return format_eps(value)
    if isinstance(value, list | tuple):
        return " x ".join(_format(item) for item in value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _unstated(claim: Claim) -> tuple[str, ...]:
    """Return a note on the conditions that a paper does not state; none if it states all of them."""
    names = ", ".join(condition_name(path) for path, stated in claim.conditions.items() if stated is None)
    return (f"compared on the stated conditions; {claim.paper} does not state: {names}",) if names else ()


def _remarks(claim: Claim) -> tuple[str, ...]:
    return tuple(f"{claim.paper}: {note}" for note in claim.notes)


def condition_name(path: str) -> str:
    """Return the printed name of a condition: by `names.yaml`, else the last piece of its path in words."""
    return common_names()["condition"].get(path, path.rpartition(".")[2].replace("_", " "))
