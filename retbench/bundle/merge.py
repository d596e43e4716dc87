"""Merge several bundles into one, provided that their numbers may be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from torch import Tensor

from retbench.bundle.bundle import Bundle, name_cell
from retbench.bundle.records import one_line
from retbench.canon import Json, canonical, digest
from retbench.difference import Pair, agree, format_value, pair_leaves
from retbench.errors import ArtifactMissing, BundleError
from retbench.lineage import RecipeDifference, find_recipe_differences
from retbench.results import Evidence, Row, steps_of_rows, trainings_by

V = TypeVar("V")
TASK_FIELDS = ("relevance", "map", "depth", "ties", "quantize", "confidence", "resamples")
"""Protocol fields that must match in all rows of one dataset and task."""
QUERY_FIELDS = ("targets", "ranked_queries", "scored_queries")
"""Protocol fields that must match in all rows of one dataset; a variant of the dataset may have others."""
ROW_FIELDS = ("options", "budget", "protocol", "data", "caveats", "warnings", "details", "tie_ranges", "steps")
"""Fields in which two rows with the same score must agree; only their cost may differ."""
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class _BundledRow(NamedTuple):
    """A row and the bundle that it is from."""

    row: Row
    bundle: Bundle


def merge(bundles: Sequence[Bundle]) -> Bundle:
    """Return one bundle with the rows of all bundles.

    A cell that occurs in several bundles has one row: a done row if any bundle has one. The suites may differ. Of
    layouts and claims with the same name, and of artifacts with the same key, the first bundle's are kept. Artifacts of
    one recipe may differ between machines in their bytes, so verify each bundle before it is merged.

    Raises:
        BundleError: two rows of a cell differ in recipe, numbers or other fields, or two rows of one dataset and task
            differ in protocol, queries, targets or data. The message names both bundles and both values.
        ValueError: no bundle is given.
    """
    if not bundles:
        raise ValueError("merge: no bundles: got none, expected at least one")
    if len(bundles) == 1:
        return bundles[0]
    _check_protocols(bundles)
    cells: dict[str, _BundledRow] = {}
    for bundle in bundles:
        for row in bundle.evidence.rows:
            name, candidate = name_cell(row), _BundledRow(row, bundle)
            cells[name] = _choose_row(name, cells[name], candidate) if name in cells else candidate
    return Bundle(
        " + ".join(bundle.name for bundle in bundles),
        _merge_evidence(bundles, tuple(chosen.row for chosen in cells.values())),
        tuple(suite for bundle in bundles for suite in bundle.suites),
        _merge_mappings([bundle.layouts for bundle in bundles]),
        _merge_mappings([bundle.claims for bundle in bundles]),
        tuple(gallery for bundle in bundles for gallery in bundle.galleries),
        _merge_mappings([bundle.labels for bundle in bundles]),
        _merge_mappings([bundle.artifacts for bundle in bundles]),
        _merge_mappings([bundle.recipes for bundle in bundles]),
    )


def _merge_mappings(mappings: Sequence[Mapping[str, V]]) -> dict[str, V]:
    """Return the entries of all mappings; the first mapping wins where names are equal."""
    return {name: value for mapping in reversed(mappings) for name, value in mapping.items()}


def _merge_evidence(bundles: Sequence[Bundle], rows: tuple[Row, ...]) -> Evidence:
    parts = [bundle.evidence for bundle in bundles]

    def scores(key: str) -> Mapping[str, Tensor]:
        for bundle in bundles:
            if key in bundle.artifacts:
                return bundle.evidence.scores(key)
        raise ArtifactMissing(f"{' + '.join(bundle.name for bundle in bundles)}: no artifact {key[:12]}")

    return Evidence(
        " + ".join(dict.fromkeys(part.title for part in parts)),
        " ".join(dict.fromkeys(part.description for part in parts if part.description)),
        digest([part.digest for part in parts]),
        rows,
        _merge_mappings([part.steps for part in parts]),
        scores,
    )


def _check_protocols(bundles: Sequence[Bundle]) -> None:
    """Raise BundleError for the first field that must match between two bundles and does not."""
    known: dict[str, tuple[Json, str]] = {}
    for bundle in bundles:
        for row in bundle.done_rows:
            for field, value in _fields_to_match(row, bundle):
                earlier, name = known.setdefault(field, (value, bundle.name))
                if canonical(earlier) != canonical(value):
                    got = f"{format_value(earlier)} and {format_value(value)}, expected the same value"
                    raise BundleError(
                        f"{field} differs between {name} and {bundle.name}: got {got}; report the bundles separately"
                    )


def _fields_to_match(row: Row, bundle: Bundle) -> Iterator[tuple[str, Json]]:
    """Yield the name and value of each field that must match before two rows may be compared."""
    recipe, scope = bundle.recipe(row.key), f"of dataset {row.dataset}"
    for field in TASK_FIELDS:
        yield f"protocol.{field} {scope}, task {row.task}", row.protocol[field]
    scope = f"{scope} [{row.variant}]" if row.variant else scope
    yield f"fingerprint {scope}", recipe.get("dataset")
    for field in QUERY_FIELDS:
        yield f"protocol.{field} {scope}", row.protocol[field]
    yield f"sample of queries {scope}", recipe.get("queries")


def _choose_row(name: str, first: _BundledRow, second: _BundledRow) -> _BundledRow:
    """Return the row of a cell to keep; raises BundleError if both are done and contradict each other."""
    if second.row.status != "done" or first.row.status != "done":
        return first if first.row.status == "done" or second.row.status != "done" else second
    where = f"{one_line(name)} differs between {first.bundle.name} and {second.bundle.name}"
    left, right = first.row.record(), second.row.record()
    if first.row.key != second.row.key:
        options = (_format_pair(pair) for pair in _differences(left["options"], right["options"], "options"))
        raise BundleError(f"{where}: {next(options, '') or _explain_keys(first, second)}")
    for metric in dict.fromkeys((*first.row.metrics, *second.row.metrics)):
        intervals = [bundled.row.metrics.get(metric) for bundled in (first, second)]
        if None in intervals or not agree(*intervals):
            values = " and ".join(f"{interval.value:.6g}" if interval else "none" for interval in intervals)
            metric_name, threads = metric.upper().replace("_", "-"), _describe_threads(first, second)
            raise BundleError(f"{where}: {metric_name}: got {values}, expected the same value{threads}")
    for field in ROW_FIELDS:
        for pair in _differences(left[field], right[field], field):
            raise BundleError(f"{where}: {_format_pair(pair)}")
    return first


def _differences(left: Json, right: Json, path: str) -> Iterator[Pair]:
    """Yield the fields in which two JSON values differ; lists of equal length are compared item by item."""
    return (pair for pair in pair_leaves(left, right, "items", path) if not agree(pair.left, pair.right))


def _format_pair(pair: Pair) -> str:
    return f"{pair.path}: got {format_value(pair.left)} and {format_value(pair.right)}, expected the same value"


def _explain_keys(first: _BundledRow, second: _BundledRow) -> str:
    """Return the first field in which the recipes of two scores, or of their inputs, differ.

    A field whose values can be read comes first; if all of them are digests, the one furthest from the score.
    """
    keys = (first.row.key, second.row.key)
    found = [*find_recipe_differences(*keys, first.bundle.recipe, second.bundle.recipe, "score")]
    readable = (each for each in found if not _DIGEST.search(canonical([each.left, each.right])))
    # Equal recipes under two keys have no difference; `verify_bundle` finds recipes that do not have their key.
    no_difference = RecipeDifference(*keys, "score", "", *keys)
    deepest = max(found, key=lambda each: each.path.count("."), default=no_difference)
    difference = next(readable, deepest)
    pair = Pair(difference.path, difference.left, difference.right)
    return f"{_format_pair(pair)}{_describe_steps(difference, first.bundle, second.bundle)}"


def _describe_threads(first: _BundledRow, second: _BundledRow) -> str:
    """Return the numbers of threads of the trainings behind two rows, in parentheses; empty where they are the same."""
    counts = [
        " or ".join(trainings_by("threads", steps_of_rows([each.row], each.bundle.evidence.steps)))
        for each in (first, second)
    ]
    return f" (trained with {counts[0]} and {counts[1]} threads)" if all(counts) and counts[0] != counts[1] else ""


def _describe_steps(difference: RecipeDifference, first: Bundle, second: Bundle) -> str:
    """Return the label of the step whose recipe has a difference, and the versions that differ between the bundles."""
    left, right = first.evidence.steps.get(difference.left_key), second.evidence.steps.get(difference.right_key)
    if left is None or right is None:
        return ""
    versions = _differences(left.environment.get("versions"), right.environment.get("versions"), "versions")
    differing = "".join(f", {path} {format_value(one)} and {format_value(other)}" for path, one, other in versions)
    return f" (in {left.stage}: {left.label}{differing})"
