"""From a suite to its cells, every component built with the options that hold in that cell."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from retbench.catalog import Catalog
from retbench.contracts import Attack, Component, Dataset, Defense, Hardening, Hasher
from retbench.contracts.facts import Task
from retbench.contracts.threat import Threat
from retbench.document import Document, KeyPath
from retbench.errors import OptionError, SuiteError, UnknownName, suggest
from retbench.suite.model import AXES, COMPONENT_AXES, NONE, Choice, Matrix, Options, Suite
from retbench.suite.read import LoadedSuite
from retbench.suite.selection import Selection

C = TypeVar("C", bound=Component)
Point = dict[str, Any]
EVERYTHING = Selection()


@dataclass(frozen=True)
class Cell:
    """One point of the matrix, its components built.

    Attributes:
        axes: the labels of all axes, in order; what a row prints.
        variant: the labels of swept options; empty without a sweep.
        dataset, hasher, bits, task, attack, surrogate, defenses, threat, seed: what the labels stand for.
    """

    axes: Mapping[str, str | int]
    variant: str
    dataset: Dataset
    hasher: Hasher
    bits: int
    task: Task
    attack: Attack | None
    surrogate: Hasher | None
    defenses: tuple[Defense, ...]
    threat: Threat
    seed: int

    @property
    def name(self) -> str:
        """The cell's axes as one path, such as `digits/dpsh/32/i2i/dhta/none/retpur/oblivious/0`."""
        variant = f"[{self.variant}]" if self.variant else ""
        return "/".join(str(value) for value in self.axes.values()) + variant


def expand(loaded: LoadedSuite, catalog: Catalog, only: Selection = EVERYTHING) -> list[Cell]:
    """Return the cells of a suite in matrix order: the product of the axes, less `exclude`, plus `include`.

    Args:
        loaded: the suite and its places.
        catalog: where components are found.
        only: the part of the matrix that is wanted.

    Raises:
        SuiteError: an unknown name or option, a combination that cannot be, an empty matrix; with file:line:column.
        UnknownName: `only` names a value that the matrix does not have.
    """
    builder = _Builder(loaded.suite, loaded.document, catalog)
    builder.check()
    points = [*_product(loaded.suite.matrix), *_included(loaded.suite.matrix)]
    wanted = only.select(points, lambda point, axis: _label(point[axis]), "this matrix")
    cells = {cell.name: cell for cell in map(builder.cell, wanted)}
    if not cells:
        where = loaded.document.where(("matrix",))
        raise SuiteError(f"{where}: no cell is left: exclude and --only drop them all")
    return list(cells.values())


def _laid_over(options: Options, layer: Options) -> Options:
    """Return `options` with `layer` on top: nested options merge, everything else is replaced."""
    both = {name for name in layer if isinstance(layer[name], dict) and isinstance(options.get(name), dict)}
    return {**options, **layer, **{name: _laid_over(options[name], layer[name]) for name in both}}


def _label(value: Any) -> str | int:
    return value.label if isinstance(value, Choice) else value


def _product(matrix: Matrix) -> Iterator[Point]:
    for values in itertools.product(*(getattr(matrix, axis) for axis in AXES)):
        point = dict(zip(AXES, values, strict=True))
        if not any(_matches(point, pattern) for pattern in matrix.exclude):
            yield point


def _included(matrix: Matrix) -> Iterator[Point]:
    for extra in matrix.include:
        axes = (getattr(extra, axis) or getattr(matrix, axis)[:1] for axis in AXES)
        yield from (dict(zip(AXES, values, strict=True)) for values in itertools.product(*axes))


def _matches(point: Point, pattern: Mapping[str, list[Any]]) -> bool:
    return all(_label(point[axis]) in wanted for axis, wanted in pattern.items())


class _Builder:
    """Builds components with the options of a cell, and names the place in the file of a bad one."""

    def __init__(self, suite: Suite, document: Document, catalog: Catalog) -> None:
        self.suite, self.document, self.catalog = suite, document, catalog
        self.built: dict[tuple[str, str, str], Component] = {}
        swept = {(axis, option) for _, axis, choice in self._written() for o in choice.options.values() for option in o}
        self.swept_on = Counter(option for _, option in swept)

    def check(self) -> None:
        """Raise SuiteError for the first unknown axis or component, wherever the file names one."""
        for path, axis, choice in self._written():
            for name in choice.names:
                self._known(COMPONENT_AXES[axis], name, path)
            for name, swept in choice.options.items():
                kind = COMPONENT_AXES[axis]
                self._component(kind, name, [self._suite_layer(kind, name), (swept, (*path, name, "sweep"))])
        for index, pattern in enumerate(self.suite.matrix.exclude):
            self._check_pattern(pattern, ("matrix", "exclude", index))
        for kind, names in self.suite.components.items():
            for name in names:
                self._known(kind, name, ("components", kind, name))
                self._component(kind, name, [self._suite_layer(kind, name)])
        for index, override in enumerate(self.suite.overrides):
            self._check_pattern(override.when, ("overrides", index, "when"))
            for kind, names in override.components.items():
                for name, options in names.items():
                    at = ("overrides", index, "components", kind, name)
                    self._known(kind, name, at)
                    self._check_options(kind, name, options, at)

    def cell(self, point: Point) -> Cell:
        """Return the cell at a point of the matrix."""
        build = {
            axis: [self._at(point, axis, kind, n) for n in point[axis].names] for axis, kind in COMPONENT_AXES.items()
        }
        defenses = cast(list[Defense], build["defense"])
        self._check_order(defenses, point)
        return Cell(
            axes={axis: _label(point[axis]) for axis in AXES},
            variant=self._variant(point),
            dataset=cast(Dataset, self._one(build["dataset"], "dataset")),
            hasher=cast(Hasher, self._one(build["hasher"], "hasher")),
            bits=point["bits"],
            task=point["task"],
            attack=cast(Attack | None, next(iter(build["attack"]), None)),
            surrogate=cast(Hasher | None, next(iter(build["surrogate"]), None)),
            defenses=tuple(defenses),
            threat=point["threat"],
            seed=point["seed"],
        )

    def _written(self) -> Iterator[tuple[KeyPath, str, Choice]]:
        """Yield every choice of components in the matrix, with its place and its axis."""
        matrix = self.suite.matrix
        included = ((("matrix", "include", index), extra) for index, extra in enumerate(matrix.include))
        for place, axes in ((("matrix",), matrix), *included):
            for axis in COMPONENT_AXES:
                for choice in getattr(axes, axis) or ():
                    yield (*place, axis, *choice.at), axis, choice

    def _variant(self, point: Point) -> str:
        """Return the labels of what is swept, led by the axis where several axes sweep an option of that name."""
        swept = {axis: point[axis].variant for axis in COMPONENT_AXES if point[axis].variant}
        shared = {axis for axis, label in swept.items() if self.swept_on[label.partition("=")[0]] > 1}
        return ",".join(f"{axis}.{label}" if axis in shared else label for axis, label in swept.items())

    def _suite_layer(self, kind: str, name: str) -> tuple[Options, KeyPath]:
        return self.suite.components.get(cast(Any, kind), {}).get(name, {}), ("components", kind, name)

    def _one(self, components: list[Component], axis: str) -> Component:
        if not components:
            raise SuiteError(f"{self.document.where(('matrix', axis))}: every cell needs one: got none")
        return components[0]

    def _at(self, point: Point, axis: str, kind: str, name: str) -> Component:
        """Return a component with the options of a point: suite, then overrides in order, then what its sweep sets."""
        if given := point[axis].objects.get(name):
            return cast(Component, given)
        layers = [self._suite_layer(kind, name)]
        for index, override in enumerate(self.suite.overrides):
            options = override.components.get(cast(Any, kind), {}).get(name)
            if options and _matches(point, override.when):
                layers.append((options, ("overrides", index, "components", kind, name)))
        if swept := point[axis].options.get(name):
            layers.append((swept, ("matrix", axis, *point[axis].at, name, "sweep")))
        return self._component(kind, name, layers)

    def _component(self, kind: str, name: str, layers: list[tuple[Options, KeyPath]]) -> Component:
        options: Options = {}
        for layer, _ in layers:
            options = _laid_over(options, layer)
        key = (kind, name, repr(sorted(options.items())))
        if key not in self.built:
            try:
                self.built[key] = self.catalog.entry(kind, name).component.create(options)
            except OptionError as error:
                first = error.option.split(".")[0]
                path = next((at for layer, at in reversed(layers) if first in layer), ("components", kind, name))
                steps = (int(step) if step.isdigit() else step for step in error.option.split("."))
                where = self.document.where((*path, *steps))
                raise SuiteError(f"{where}: {error.component}: {error.problem}") from None
        return self.built[key]

    def _known(self, kind: str, name: str, path: KeyPath) -> None:
        try:
            self.catalog.entry(kind, name)
        except UnknownName as error:
            broken = f"; {len(self.catalog.broken)} broken: see `retbench plugins list`" if self.catalog.broken else ""
            where = self.document.where(path)
            raise SuiteError(f"{where}: unknown {kind}: got {name!r}, {suggest(name, error.choices)}{broken}") from None

    def _check_pattern(self, pattern: Mapping[str, list[Any]], path: KeyPath) -> None:
        for axis, values in pattern.items():
            where = self.document.where((*path, axis))
            if axis not in AXES:
                raise SuiteError(f"{where}: unknown axis: got {axis!r}, {suggest(axis, AXES)}")
            for at, name in enumerate(values if axis in COMPONENT_AXES else ()):
                for single in str(name).split("+"):
                    if single != NONE:
                        self._known(COMPONENT_AXES[axis], single, (*path, axis, at))

    def _check_options(self, kind: str, name: str, options: Options, path: KeyPath) -> None:
        known = self.catalog.entry(kind, name).component.model_fields
        for option in options:
            if option not in known:
                where = self.document.where((*path, option))
                raise SuiteError(f"{where}: {kind} {name}: unknown option: got {option!r}, {suggest(option, known)}")

    def _check_order(self, defenses: list[Defense], point: Point) -> None:
        hardenings = [index for index, defense in enumerate(defenses) if isinstance(defense, Hardening)]
        if hardenings not in ([], [0]):
            where = self.document.where(("matrix", "defense"))
            names = [defense.name for defense in defenses]
            raise SuiteError(f"{where}: at most one hardening, and it comes first: got {names}")
