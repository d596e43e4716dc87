"""Several bundles as one, where their numbers may stand side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from retbench.bundle.bundle import Bundle, name_cell
from retbench.canon import Json, canonical, digest
from retbench.errors import ArtifactMissing, BundleError
from retbench.results import Evidence, Row

V = TypeVar("V")
AGREED = ("relevance", "map", "depth", "ties", "quantise", "confidence")
"""Fields of the protocol that are the same in all rows that may stand side by side."""
TOLERANCE = 1e-9
"""Between two computations of one number."""
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class _Source(NamedTuple):
    """A row and the bundle it comes from."""

    row: Row
    bundle: Bundle


class _Difference(NamedTuple):
    """A field and its two values."""

    field: str
    one: Any
    other: Any


def merge(bundles: Sequence[Bundle]) -> Bundle:
    """Returns one bundle with the rows of all; of what they share, such as a layout or a gallery, the first has it.

    A cell that several have is there once: done where one has it done. Suites may differ. What is computed by one
    recipe may differ in its bytes between machines: an artifact is that of the first bundle, so each of them is to be
    verified alone.

    Raises:
        BundleError: a cell whose recipes or numbers differ; protocols that differ in what must agree, or targets or
            data of one dataset that do; names both bundles and both values.
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
            cells[name] = _chosen(name, cells[name], found) if name in cells else found
    return Bundle(
        " + ".join(bundle.name for bundle in bundles),
        _evidence(bundles, tuple(source.row for source in cells.values())),
        tuple(suite for bundle in bundles for suite in bundle.suites),
        _first([bundle.layouts for bundle in bundles]),
        _first([bundle.claims for bundle in bundles]),
        next((bundle.gallery for bundle in bundles if bundle.gallery is not None), None),
        _first([bundle.labels for bundle in bundles]),
        _first([bundle.artifacts for bundle in bundles]),
    )


def _first(mappings: Sequence[Mapping[str, V]]) -> dict[str, V]:
    """Returns the entries of all; of equal names, the first mapping's."""
    return {name: value for mapping in reversed(mappings) for name, value in mapping.items()}


def _evidence(bundles: Sequence[Bundle], rows: tuple[Row, ...]) -> Evidence:
    parts = [bundle.evidence for bundle in bundles]

    def scores(key: str) -> Mapping[str, Tensor]:
        for bundle in bundles:
            if key in bundle.artifacts:
                return bundle.evidence.scores(key)
        raise ArtifactMissing(f"{' + '.join(bundle.name for bundle in bundles)}: no artifact {key[:12]}")

    return Evidence(
        " + ".join(part.title for part in parts),
        " ".join(dict.fromkeys(part.description for part in parts if part.description)),
        digest([part.digest for part in parts]),
        rows,
        _first([part.steps for part in parts]),
        scores,
    )


def _check_protocols(bundles: Sequence[Bundle]) -> None:
    """Raises BundleError for the first thing that must agree between the rows of two bundles, and does not."""
    known: dict[str, tuple[Json, str]] = {}
    for bundle in bundles:
        for row in bundle.done:
            for field, value in _agreed(row, bundle):
                before, name = known.setdefault(field, (value, bundle.name))
                if canonical(before) != canonical(value):
                    got = f"{_told(before)} and {_told(value)}"
                    raise BundleError(f"{field} differs between {name} and {bundle.name}: got {got}, expected the same")


def _agreed(row: Row, bundle: Bundle) -> Iterator[tuple[str, Json]]:
    """Yields what must agree wherever a row stands beside others."""
    yield from ((f"protocol.{field}", row.protocol[field]) for field in AGREED)
    of = f"of dataset {row.dataset}{f' [{row.variant}]' if row.variant else ''}"
    yield f"protocol.targets {of}", row.protocol["targets"]
    yield f"fingerprint {of}", bundle.artifacts[row.key].recipe.get("dataset")


def _chosen(name: str, first: _Source, second: _Source) -> _Source:
    """Returns which of two rows of a cell stays; raises BundleError where they contradict each other."""
    if second.row.status != "done" or first.row.status != "done":
        return first if first.row.status == "done" or second.row.status != "done" else second
    between = f"{name} differs between {first.bundle.name} and {second.bundle.name}"
    if first.row.key != second.row.key:
        options = _differences(first.row.options, second.row.options, "options")
        recipes = _traced(first.row.key, second.row.key, first.bundle, second.bundle, "score")
        field, one, other = next(chain(options, recipes))
        raise BundleError(f"{between}: {field}: got {_told(one)} and {_told(other)}, expected the same")
    for metric in dict.fromkeys((*first.row.metrics, *second.row.metrics)):
        left, right = (source.row.metrics.get(metric) for source in (first, second))
        if left is None or right is None or any(not _near(*pair) for pair in zip(left, right, strict=True)):
            told = " and ".join(f"{found.value:.6g}" if found else "none" for found in (left, right))
            raise BundleError(f"{between}: {metric.upper().replace('_', '-')} {told}")
    return first


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE or (one != one and other != other)


def _differences(one: Json, other: Json, where: str) -> Iterator[_Difference]:
    """Yields the fields in which two JSON values differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other}):
            yield from _differences(one.get(name), other.get(name), f"{where}.{name}")
    elif one != other:
        yield _Difference(where, one, other)


def _traced(one: str, other: str, first: Bundle, second: Bundle, where: str) -> Iterator[_Difference]:
    """Yields in what the recipes of two artifacts differ: what says something first, then that of their inputs."""
    found = list(_differences(first.artifacts[one].recipe, second.artifacts[other].recipe, where))
    yield from (each for each in found if not _DIGEST.search(canonical([each.one, each.other])))
    for field, left, right in found:
        if left in first.artifacts and right in second.artifacts:
            yield from _traced(left, right, first, second, field)
    yield from found


def _told(value: Any) -> str:
    return canonical(value).strip('"')
