"""Several bundles as one, where their numbers may stand side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar, cast

from torch import Tensor

from retbench.bundle.bundle import Bundle, name_cell
from retbench.canon import Json, canonical, digest
from retbench.errors import ArtifactMissing, BundleError
from retbench.results import Evidence, Row

V = TypeVar("V")
AGREED = ("relevance", "map", "depth", "ties", "quantise", "confidence", "resamples")
"""Fields of the protocol that are the same in all rows of one dataset and task."""
SAMPLED = ("targets", "ranked_queries", "scored_queries")
"""Fields that are the same where the same queries were ranked; a variant of a dataset may have others."""
SAID = ("options", "budget", "protocol", "data", "caveats", "details", "envelopes", "steps")
"""What two rows of one score say alike; only what it cost them may differ."""
TOLERANCE = 1e-9
"""Between two computations of one number."""
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class _Source(NamedTuple):
    """A row and the bundle it comes from."""

    row: Row
    bundle: Bundle


class _Difference(NamedTuple):
    """A field and its two values, and what else is to be told of it."""

    field: str
    one: Any
    other: Any
    told: str = ""

    def __str__(self) -> str:
        return f"{self.field}: got {_told(self.one)} and {_told(self.other)}, expected the same{self.told}"


def merge(bundles: Sequence[Bundle]) -> Bundle:
    """Returns one bundle with the rows of all; of texts of one name, such as a layout's, the first bundle's is kept.

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
            cells[name] = _chosen(name, cells[name], found) if name in cells else found
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
        " + ".join(dict.fromkeys(part.title for part in parts)),
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
                    got = f"{_told(before)} and {_told(value)}, expected the same; report them apart"
                    raise BundleError(f"{field} differs between {name} and {bundle.name}: got {got}")


def _agreed(row: Row, bundle: Bundle) -> Iterator[tuple[str, Json]]:
    """Yields what must agree wherever a row stands beside others."""
    recipe, of = bundle.recipe(row.key), f"of dataset {row.dataset}"
    for field in AGREED:
        yield f"protocol.{field} {of}, task {row.task}", row.protocol[field]
    of = f"{of} [{row.variant}]" if row.variant else of
    yield f"fingerprint {of}", recipe.get("dataset")
    for field in SAMPLED:
        yield f"protocol.{field} {of}", row.protocol[field]
    yield f"sample of queries {of}", recipe.get("queries")


def _chosen(name: str, first: _Source, second: _Source) -> _Source:
    """Returns which of two rows of a cell stays; raises BundleError where they contradict each other."""
    if second.row.status != "done" or first.row.status != "done":
        return first if first.row.status == "done" or second.row.status != "done" else second
    between = f"{name} differs between {first.bundle.name} and {second.bundle.name}"
    if first.row.key != second.row.key:
        options = _differences(first.row.options, second.row.options, "options")
        recipes = _traced(first.row.key, second.row.key, first.bundle, second.bundle, "score")
        raise BundleError(f"{between}: {next(chain(options, recipes))}")
    for metric in dict.fromkeys((*first.row.metrics, *second.row.metrics)):
        left, right = (source.row.metrics.get(metric) for source in (first, second))
        if left is None or right is None or any(not _near(*pair) for pair in zip(left, right, strict=True)):
            told = " and ".join(f"{found.value:.6g}" if found else "none" for found in (left, right))
            raise BundleError(f"{between}: {metric.upper().replace('_', '-')} {told}")
    one, other = first.row.record(), second.row.record()
    if difference := next(chain.from_iterable(_differences(one[name], other[name], name) for name in SAID), None):
        raise BundleError(f"{between}: {difference}")
    return first


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE or (one != one and other != other)


def _differences(one: Json, other: Json, where: str) -> Iterator[_Difference]:
    """Yields the fields in which two JSON values differ; lists of one length item by item."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other}):
            yield from _differences(one.get(name), other.get(name), f"{where}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, pair in enumerate(zip(one, other, strict=True)):
            yield from _differences(*pair, f"{where}.{at}")
    elif not _same(one, other):
        yield _Difference(where, one, other)


def _same(one: Json, other: Json) -> bool:
    numbers = all(isinstance(value, float) for value in (one, other))
    return _near(cast(float, one), cast(float, other)) if numbers else one == other


def _traced(one: str, other: str, first: Bundle, second: Bundle, where: str) -> Iterator[_Difference]:
    """Yields in what the recipes of two steps differ: what says something first, then that of their inputs."""
    found = list(_differences(dict(first.recipe(one)), dict(second.recipe(other)), where))
    told = _made(one, other, first, second)
    speaking = (each for each in found if not _DIGEST.search(canonical([each.one, each.other])))
    yield from (each._replace(told=told) for each in speaking)
    for field, left, right, _ in found:
        if isinstance(left, str) and isinstance(right, str) and first.recipe(left) and second.recipe(right):
            yield from _traced(left, right, first, second, field)
    yield from (each._replace(told=told) for each in found)


def _made(one: str, other: str, first: Bundle, second: Bundle) -> str:
    """Returns what two steps are called, and the versions in which they differ."""
    left, right = first.evidence.steps.get(one), second.evidence.steps.get(other)
    if left is None or right is None:
        return ""
    versions = _differences(left.environment.get("versions"), right.environment.get("versions"), "versions")
    others = "".join(f", {each.field} {_told(each.one)} and {_told(each.other)}" for each in versions)
    return f" (in {left.stage}: {left.label}{others})"


def _told(value: Any) -> str:
    return canonical(value).strip('"')
