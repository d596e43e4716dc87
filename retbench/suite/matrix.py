"""Expand a suite into cells, with every component built from the options that hold in its cell."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from retbench.catalog import Catalog
from retbench.contracts import Attack, Component, Dataset, Defense, Hardening, Hasher
from retbench.contracts.facts import Task
from retbench.contracts.threat import Threat
from retbench.document import Document, KeyPath
from retbench.errors import OptionError, SuiteError, UnknownName, option_name, suggest
from retbench.suite.model import AXES, COMPONENT_AXES, NONE, Choice, Matrix, Options, Suite
from retbench.suite.read import LoadedSuite
from retbench.suite.selection import Selection

Point = dict[str, Any]
"""One value of every axis."""
EVERYTHING = Selection()


@dataclass(frozen=True)
class Cell:
    """One point of the matrix, with its components built.

    Attributes:
        axes: the labels of all axes, in order, as rows print them.
        variant: the labels of swept options; empty without a sweep.
        dataset, hasher, bits, task, attack, surrogate, defenses, threat, seed: the components and settings that the
            labels name.
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
    """Return the cells of a suite in matrix order: the product of the axes, without `exclude`, plus `include`.

    Args:
        loaded: the suite, with the document that locates its errors.
        catalog: the known components.
        only: the part of the matrix to expand.

    Raises:
        SuiteError: an unknown name or option, an impossible combination, or an empty matrix; with file:line:column.
        UnknownName: `only` names a value that the matrix does not have.
    """
    builder = _CellBuilder(loaded.suite, loaded.document, catalog)
    builder.check_names()
    points = [*_multiply_axes(loaded.suite.matrix), *_list_inclusions(loaded.suite.matrix)]
    selected = only.select(points, lambda point, axis: _label(point[axis]), "this matrix")
    cells = {cell.name: cell for cell in map(builder.build_cell, selected)}
    if not cells:
        where = loaded.document.locate(("matrix",))
        raise SuiteError(f"{where}: no cell is left: exclude and {option_name('only')} drop them all")
    return list(cells.values())


def _merge_options(options: Options, layer: Options) -> Options:
    """Return `options` updated with `layer`: nested options merge, everything else is replaced."""
    nested = {name for name in layer if isinstance(layer[name], dict) and isinstance(options.get(name), dict)}
    return {**options, **layer, **{name: _merge_options(options[name], layer[name]) for name in nested}}


def _label(value: Any) -> str | int:
    return value.label if isinstance(value, Choice) else value


def _multiply_axes(matrix: Matrix) -> Iterator[Point]:
    for values in itertools.product(*(getattr(matrix, axis) for axis in AXES)):
        point = dict(zip(AXES, values, strict=True))
        if not any(_matches(point, pattern) for pattern in matrix.exclude):
            yield point


def _list_inclusions(matrix: Matrix) -> Iterator[Point]:
    for inclusion in matrix.include:
        axes = (getattr(inclusion, axis) or getattr(matrix, axis)[:1] for axis in AXES)
        yield from (dict(zip(AXES, values, strict=True)) for values in itertools.product(*axes))


def _matches(point: Point, pattern: Mapping[str, list[Any]]) -> bool:
    return all(_label(point[axis]) in values for axis, values in pattern.items())


class _CellBuilder:
    """Builds the components of cells, and locates the error in the file where one cannot be built."""

    def __init__(self, suite: Suite, document: Document, catalog: Catalog) -> None:
        self.suite, self.document, self.catalog = suite, document, catalog
        self.built: dict[tuple[str, str, str], Component] = {}
        swept = {(axis, option) for _, axis, choice in self._choices() for o in choice.options.values() for option in o}
        self.sweep_counts = Counter(option for _, option in swept)

    def check_names(self) -> None:
        """Raise SuiteError for the first unknown axis, component or option in the file."""
        for path, axis, choice in self._choices():
            for name in choice.names:
                self._check_component(COMPONENT_AXES[axis], name, path)
            for name, swept in choice.options.items():
                kind = COMPONENT_AXES[axis]
                self._create(kind, name, [self._suite_options(kind, name), (swept, (*path, name, "sweep"))])
        for index, pattern in enumerate(self.suite.matrix.exclude):
            self._check_pattern(pattern, ("matrix", "exclude", index))
        for kind, names in self.suite.components.items():
            for name in names:
                self._check_component(kind, name, ("components", kind, name))
                self._create(kind, name, [self._suite_options(kind, name)])
        for index, override in enumerate(self.suite.overrides):
            self._check_pattern(override.when, ("overrides", index, "when"))
            for kind, names in override.components.items():
                for name, options in names.items():
                    path = ("overrides", index, "components", kind, name)
                    self._check_component(kind, name, path)
                    self._check_options(kind, name, options, path)

    def build_cell(self, point: Point) -> Cell:
        """Return the cell at a point of the matrix."""
        components = {
            axis: [self._build(point, axis, kind, name) for name in point[axis].names]
            for axis, kind in COMPONENT_AXES.items()
        }
        defenses = cast(list[Defense], components["defense"])
        self._check_order(defenses)
        return Cell(
            axes={axis: _label(point[axis]) for axis in AXES},
            variant=self._label_variant(point),
            dataset=cast(Dataset, self._require_one(components["dataset"], "dataset")),
            hasher=cast(Hasher, self._require_one(components["hasher"], "hasher")),
            bits=point["bits"],
            task=point["task"],
            attack=cast(Attack | None, next(iter(components["attack"]), None)),
            surrogate=cast(Hasher | None, next(iter(components["surrogate"]), None)),
            defenses=tuple(defenses),
            threat=point["threat"],
            seed=point["seed"],
        )

    def _choices(self) -> Iterator[tuple[KeyPath, str, Choice]]:
        """Yield every choice of components in the matrix, with its path in the file and its axis."""
        matrix = self.suite.matrix
        inclusions = ((("matrix", "include", index), inclusion) for index, inclusion in enumerate(matrix.include))
        for path, axes in ((("matrix",), matrix), *inclusions):
            for axis in COMPONENT_AXES:
                for choice in getattr(axes, axis) or ():
                    yield (*path, axis, *choice.at), axis, choice

    def _label_variant(self, point: Point) -> str:
        """Return the labels of the swept options; where several axes sweep an option of one name, prefixed by axis."""
        swept = {axis: point[axis].variant for axis in COMPONENT_AXES if point[axis].variant}
        shared = {axis for axis, label in swept.items() if self.sweep_counts[label.partition("=")[0]] > 1}
        return ",".join(f"{axis}.{label}" if axis in shared else label for axis, label in swept.items())

    def _suite_options(self, kind: str, name: str) -> tuple[Options, KeyPath]:
        return self.suite.components.get(cast(Any, kind), {}).get(name, {}), ("components", kind, name)

    def _require_one(self, components: list[Component], axis: str) -> Component:
        if not components:
            raise SuiteError(f"{self.document.locate(('matrix', axis))}: every cell needs a {axis}: got none")
        return components[0]

    def _build(self, point: Point, axis: str, kind: str, name: str) -> Component:
        """Return a component with its options at a point: the suite's, then matching overrides, then the sweep's."""
        if given := point[axis].objects.get(name):
            return cast(Component, given)
        layers = [self._suite_options(kind, name)]
        for index, override in enumerate(self.suite.overrides):
            options = override.components.get(cast(Any, kind), {}).get(name)
            if options and _matches(point, override.when):
                layers.append((options, ("overrides", index, "components", kind, name)))
        if swept := point[axis].options.get(name):
            layers.append((swept, ("matrix", axis, *point[axis].at, name, "sweep")))
        return self._create(kind, name, layers)

    def _create(self, kind: str, name: str, layers: list[tuple[Options, KeyPath]]) -> Component:
        """Return a component with the options of all layers, later ones winning; equal components are built once."""
        options: Options = {}
        for layer, _ in layers:
            options = _merge_options(options, layer)
        key = (kind, name, repr(sorted(options.items())))
        if key not in self.built:
            try:
                self.built[key] = self.catalog.entry(kind, name).component.create(options)
            except OptionError as error:
                first = error.option.split(".")[0]
                path = next((path for layer, path in reversed(layers) if first in layer), ("components", kind, name))
                steps = (int(step) if step.isdigit() else step for step in error.option.split("."))
                where = self.document.locate((*path, *steps))
                raise SuiteError(f"{where}: {error.component}: {error.problem}") from None
        return self.built[key]

    def _check_component(self, kind: str, name: str, path: KeyPath) -> None:
        try:
            self.catalog.entry(kind, name)
        except UnknownName as error:
            broken = f"; {len(self.catalog.broken)} broken: see `retbench plugins list`" if self.catalog.broken else ""
            where = self.document.locate(path)
            raise SuiteError(f"{where}: unknown {kind}: got {name!r}, {suggest(name, error.choices)}{broken}") from None

    def _check_pattern(self, pattern: Mapping[str, list[Any]], path: KeyPath) -> None:
        for axis, values in pattern.items():
            where = self.document.locate((*path, axis))
            if axis not in AXES:
                raise SuiteError(f"{where}: unknown axis: got {axis!r}, {suggest(axis, AXES)}")
            for index, label in enumerate(values if axis in COMPONENT_AXES else ()):
                for name in str(label).split("+"):
                    if name != NONE:
                        self._check_component(COMPONENT_AXES[axis], name, (*path, axis, index))

    def _check_options(self, kind: str, name: str, options: Options, path: KeyPath) -> None:
        known = self.catalog.entry(kind, name).component.model_fields
        for option in options:
            if option not in known:
                where = self.document.locate((*path, option))
                raise SuiteError(f"{where}: {kind} {name}: unknown option: got {option!r}, {suggest(option, known)}")

    def _check_order(self, defenses: list[Defense]) -> None:
        hardenings = [index for index, defense in enumerate(defenses) if isinstance(defense, Hardening)]
        if hardenings not in ([], [0]):
            where = self.document.locate(("matrix", "defense"))
            names = [defense.name for defense in defenses]
            raise SuiteError(f"{where}: expected at most one hardening, before all other defenses: got {names}")
