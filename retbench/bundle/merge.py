"""Several bundles as one, where their numbers may be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from torch import Tensor

from retbench.bundle.bundle import Bundle, name_cell
from retbench.canon import Json, canonical, digest
from retbench.difference import Pair, agree, format_value, pair_leaves
from retbench.errors import ArtifactMissing, BundleError
from retbench.lineage import Root, find_roots
from retbench.results import Evidence, Row

V = TypeVar("V")
AGREED = ("relevance", "map", "depth", "ties", "quantize", "confidence", "resamples")
"""Fields of the protocol that are the same in all rows of one dataset and task."""
SAMPLED = ("targets", "ranked_queries", "scored_queries")
"""Fields that are the same where the same queries were ranked; a variant of a dataset may have others."""
COMPARED = ("options", "budget", "protocol", "data", "caveats", "details", "tie_ranges", "steps")
"""Fields in which two rows of one score must agree; only what it cost them may differ."""
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class _Source(NamedTuple):
    """A row and the bundle it comes from."""

    row: Row
    bundle: Bundle


def merge(bundles: Sequence[Bundle]) -> Bundle:
    """Return one bundle with the rows of all; of texts of one name, such as a layout's, the first bundle's is kept.

    A cell that several have is there once: done where one has it done. Suites may differ. What is computed by one
    recipe may differ in its bytes between machines: an artifact is that of the first bundle, so each of them is to be
    verified alone.

    Raises:
        BundleError: a cell whose recipes, numbers or facts differ; protocols, queries, targets or data that do, of one
            dataset and task; names both bundles and both values.
        ValueError: no bundle.
    """
    if not bundles:
        raise ValueError("merge: no bundles: got none, expected at least one")
    if len(bundles) == 1:
        return bundles[0]
    _check_protocols(bundles)
    cells: dict[str, _Source] = {}
    for bundle in bundles:
        for row in bundle.evidence.rows:
            name, found = name_cell(row), _Source(row, bundle)
            cells[name] = _choose(name, cells[name], found) if name in cells else found
    return Bundle(
        " + ".join(bundle.name for bundle in bundles),
        _evidence(bundles, tuple(source.row for source in cells.values())),
        tuple(suite for bundle in bundles for suite in bundle.suites),
        _first([bundle.layouts for bundle in bundles]),
        _first([bundle.claims for bundle in bundles]),
        tuple(gallery for bundle in bundles for gallery in bundle.galleries),
        _first([bundle.labels for bundle in bundles]),
        _first([bundle.artifacts for bundle in bundles]),
        _first([bundle.recipes for bundle in bundles]),
    )


def _first(mappings: Sequence[Mapping[str, V]]) -> dict[str, V]:
    """Return the entries of all; of equal names, the first mapping's."""
    return {name: value for mapping in reversed(mappings) for name, value in mapping.items()}


def _evidence(bundles: Sequence[Bundle], rows: tuple[Row, ...]) -> Evidence:
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
        _first([part.steps for part in parts]),
        scores,
    )


def _check_protocols(bundles: Sequence[Bundle]) -> None:
    """Raise BundleError for the first thing that must agree between the rows of two bundles, and does not."""
    known: dict[str, tuple[Json, str]] = {}
    for bundle in bundles:
        for row in bundle.done:
            for field, value in _agreed(row, bundle):
                before, name = known.setdefault(field, (value, bundle.name))
                if canonical(before) != canonical(value):
                    got = f"{format_value(before)} and {format_value(value)}, expected the same; report them apart"
                    raise BundleError(f"{field} differs between {name} and {bundle.name}: got {got}")


def _agreed(row: Row, bundle: Bundle) -> Iterator[tuple[str, Json]]:
    """Yield the fields that must agree before a row may be compared with others, and their values."""
    recipe, of = bundle.recipe(row.key), f"of dataset {row.dataset}"
    for field in AGREED:
        yield f"protocol.{field} {of}, task {row.task}", row.protocol[field]
    of = f"{of} [{row.variant}]" if row.variant else of
    yield f"fingerprint {of}", recipe.get("dataset")
    for field in SAMPLED:
        yield f"protocol.{field} {of}", row.protocol[field]
    yield f"sample of queries {of}", recipe.get("queries")


def _choose(name: str, first: _Source, second: _Source) -> _Source:
    """Return which of two rows of a cell stays; raises BundleError where they contradict each other."""
    if second.row.status != "done" or first.row.status != "done":
        return first if first.row.status == "done" or second.row.status != "done" else second
    between = f"{name} differs between {first.bundle.name} and {second.bundle.name}"
    one, other = first.row.record(), second.row.record()
    if first.row.key != second.row.key:
        options = (_format_pair(pair) for pair in _differences(one["options"], other["options"], "options"))
        raise BundleError(f"{between}: {next(options, '') or _explain(first, second)}")
    for metric in dict.fromkeys((*first.row.metrics, *second.row.metrics)):
        left, right = (source.row.metrics.get(metric) for source in (first, second))
        if left is None or right is None or not agree(left, right):
            values = " and ".join(f"{found.value:.6g}" if found else "none" for found in (left, right))
            raise BundleError(f"{between}: {metric.upper().replace('_', '-')} {values}")
    for field in COMPARED:
        for pair in _differences(one[field], other[field], field):
            raise BundleError(f"{between}: {_format_pair(pair)}")
    return first


def _differences(one: Json, other: Json, where: str) -> Iterator[Pair]:
    """Yield the fields in which two JSON values differ; lists of one length item by item."""
    return (pair for pair in pair_leaves(one, other, "items", where) if not agree(pair.left, pair.right))


def _format_pair(pair: Pair) -> str:
    return f"{pair.path}: got {format_value(pair.left)} and {format_value(pair.right)}, expected the same"


def _explain(first: _Source, second: _Source) -> str:
    """Return at which root two scores differ: the first that is more than digests, else the furthest from the score."""
    keys = (first.row.key, second.row.key)
    roots = [*find_roots(*keys, first.bundle.recipe, second.bundle.recipe, "score")]
    readable = (root for root in roots if not _DIGEST.search(canonical([root.left, root.right])))
    # Two equal recipes under two keys have no root; whether a recipe has its key is for `verify_bundle` to find.
    furthest = max(roots, key=lambda root: root.path.count("."), default=Root(*keys, "score", "", *keys))
    root = next(readable, furthest)
    pair = Pair(root.path, root.left, root.right)
    return f"{_format_pair(pair)}{_describe_steps(root, first.bundle, second.bundle)}"


def _describe_steps(root: Root, first: Bundle, second: Bundle) -> str:
    """Return the name of the step that holds a root, and the versions in which the two of it differ."""
    left, right = first.evidence.steps.get(root.before), second.evidence.steps.get(root.after)
    if left is None or right is None:
        return ""
    versions = _differences(left.environment.get("versions"), right.environment.get("versions"), "versions")
    others = "".join(f", {path} {format_value(one)} and {format_value(other)}" for path, one, other in versions)
    return f" (in {left.stage}: {left.label}{others})"
