"""Layouts: axes, metrics, order, names and emphasis of tables, as YAML data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationError

from retbench.document import Document, read_document
from retbench.errors import LayoutError, UnknownName, suggest
from retbench.report.tables.pattern import Pattern, matches, swept_options
from retbench.report.tables.unit import Unit
from retbench.report.yaml_model import ModelsByPath, YamlModel, describe_validation_error
from retbench.results import ROW_AXES, Row
from retbench.stages.scoring import QUERIES_USED


class Cost(NamedTuple):
    """The unit of a cost, and the names under which rows record it."""

    unit: Unit
    recorded: tuple[str, ...]


COSTS = {
    "attack_seconds": Cost(Unit.SECONDS, ("attack_seconds_per_query",)),
    "defense_seconds": Cost(Unit.SECONDS, ("defense_seconds_per_query",)),
    "peak_memory": Cost(Unit.MEBIBYTES, ("attack_peak_memory", "defense_peak_memory")),
}
"""The costs that a block may show; all other numbers are in 0..1 before scaling, except the queries of an attack."""


class MetricBlock(YamlModel):
    """A block of rows, or of columns, that shows one metric.

    Attributes:
        name: a row's metric, one of its costs (`attack_seconds`, `defense_seconds`, `peak_memory`), or, with `at`, any
            per-query value.
        label: its printed name.
        unit: of the printed number.
        better: whether higher or lower values are better; without it no cell is emphasized as the best.
        at: show the share of queries whose value is at least this number, for example certified recall at a radius.
        select: patterns of axes; the block shows the table's cells that match one of them, or all cells without a
            pattern.
    """

    name: str
    label: str
    unit: Unit = Unit.PERCENT
    better: Literal["higher", "lower"] | None = None
    at: float | None = None
    select: tuple[Pattern, ...] = ()

    def shows(self, row: Row) -> bool:
        """Return whether a cell of the table belongs in the block."""
        return not self.select or any(matches(pattern, row) for pattern in self.select)

    @property
    def heading(self) -> str:
        """The label, with its unit unless that is percent."""
        return self.label if self.unit is Unit.PERCENT else f"{self.label} ({self.unit.symbol})"


class Contest(YamlModel):
    """The cells that are compared for the best value: those that differ in one axis only.

    Attributes:
        axis: the axis.
        without: values of the axis that do not compete.
        variants: swept options may differ too.
    """

    axis: str = "defense"
    without: tuple[str, ...] = ("none",)
    variants: bool = False


class PairedAxis(YamlModel):
    """Differences between two values of one axis, the first less the second, on the same queries."""

    axis: str
    first: str
    second: str


def _reference(value: Any) -> Any:
    """Read `{label: x, axis: value, ...}` as a label and a pattern."""
    if not isinstance(value, dict):
        return value
    return {"label": value.get("label", ""), "rows": {axis: value[axis] for axis in value if axis != "label"}}


class Reference(YamlModel):
    """Rows that a curve is compared with, drawn as horizontal lines; without a label they have their row labels."""

    label: str = ""
    rows: Pattern


class SweepCurve(YamlModel):
    """A curve of the table's numbers over a swept option.

    Attributes:
        option: the option, prefixed by its axis (`defense.t_p`) if several axes sweep an option of that name.
        label: printed along the x axis; by default the option's name.
        scale: of the x axis; `log` is linear between the smallest values on either side of 0 where a value is 0 or
            less.
        reference: patterns of axes of rows that do not sweep the option, each with an optional `label`.
    """

    option: str
    label: str = ""
    scale: Literal["linear", "log"] = "linear"
    reference: tuple[Annotated[Reference, BeforeValidator(_reference)], ...] = ()

    def option_names(self, variant: str) -> list[str]:
        """Return the option's names in a variant, one for each axis that sweeps it."""
        return [name for name, _ in swept_options(variant) if self.option in (name, name.rpartition(".")[2])]

    def includes(self, row: Row) -> bool:
        """Return whether a row sweeps the option or matches a reference."""
        return bool(self.option_names(row.variant)) or any(matches(reference.rows, row) for reference in self.reference)


class Layout(YamlModel):
    """One table.

    Attributes:
        title: printed above it.
        caption: printed below it.
        columns: the axes of the column headers, outermost first.
        metrics: the blocks of rows.
        blocks: an axis of the rows whose values head the blocks instead of metrics; then there must be one metric.
        joined: the names of values inside a compound name, if they differ from their names alone.
        compound: name an attacked row behind a defense by both, `RetPur-P2P`; otherwise, as in papers on one attack, by
            the defense alone, unless the rows have several attacks.
        across: the metrics are the innermost level of the column headers, and there are no blocks.
        rows: the axes that name a row, in the order they vary; a row's label is built from `names`.
        select: patterns of axes; a cell is shown if it matches one of them. Without a pattern, all cells are shown or,
            for a curve, those that sweep its option and its references.
        names: the printed names of the values of an axis, if they differ from those of `names.yaml`.
        order: the values of an axis in print order; other values follow in the order of the rows.
        contest: the cells that are compared for the best value of each metric that has a `better`.
        paired: show differences between two values of an axis instead of the values.
        curve: draw the numbers over a swept option too; `variant` must be among the rows or the columns.
    """

    title: str
    caption: str = ""
    columns: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[MetricBlock, ...] = Field(min_length=1)
    blocks: str = ""
    compound: bool = True
    joined: dict[str, dict[str, str]] = Field(default_factory=dict)
    across: bool = False
    rows: tuple[str, ...] = ("attack", "defense")
    select: tuple[Pattern, ...] = ()
    names: dict[str, dict[str, str]] = Field(default_factory=dict)
    order: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    contest: Contest | None = Contest()
    paired: PairedAxis | None = None
    curve: SweepCurve | None = None

    def shows(self, row: Row) -> bool:
        """Return whether a cell belongs in the table."""
        if not self.select:
            return self.curve is None or self.curve.includes(row)
        return any(matches(pattern, row) for pattern in self.select)

    def has_results_in(self, rows: Sequence[Row]) -> bool:
        """Return whether the rows have results for the table: a number, the swept option, both sides of a pair.

        Cells that are not done count as results, because they may still bring a number or a reason.
        """
        swept = self.curve is None or any(self.curve.option_names(row.variant) for row in rows)
        sides = {str(getattr(row, self.paired.axis)) for row in rows} if self.paired else set()
        paired = self.paired is None or {self.paired.first, self.paired.second} <= sides
        names = {block.name for block in self.metrics if block.at is None}
        costs = {*COSTS} & names
        has_result = (
            row.status != "done" or not names or bool(names & {*row.metrics}) or bool(costs and row.cost)
            for row in rows
            if self.shows(row)
        )
        return swept and paired and any(has_result)

    def printed_name(self, axis: str, value: str | int) -> str:
        """Return the printed name of a value of an axis, by the layout's own names first (see `printed_name`)."""
        return printed_name(axis, value, self.names.get(axis, {}))


_MODELS: ModelsByPath = {
    (): Layout,
    ("metrics",): MetricBlock,
    ("contest",): Contest,
    ("paired",): PairedAxis,
    ("curve",): SweepCurve,
    ("curve", "reference"): Reference,
}


def read_layout(name: str, folder: Path) -> Layout:
    """Return a layout: a shipped one by name, or a YAML file by its path, relative to a folder.

    Raises:
        UnknownName: there is no such layout.
        LayoutError: the file is not a valid layout.
    """
    return layout_of(read_document(find_layout(name, folder)))


def layout_of(document: Document) -> Layout:
    """Return the layout that a YAML document describes; raises LayoutError with file, line and column."""
    try:
        layout = Layout(**document.data)
    except ValidationError as error:
        raise LayoutError(describe_validation_error(error.errors(include_url=False)[0], document, _MODELS)) from None
    name = document.name
    for axis in _named_axes(layout):
        if axis not in ROW_AXES:
            raise LayoutError(f"{name}: unknown axis: got {axis!r}, {suggest(axis, ROW_AXES)}")
    if layout.curve and "variant" not in (*layout.columns, *layout.rows):
        raise LayoutError(f"{name}: a curve needs `variant` among rows or columns: got neither")
    for at, block in enumerate(layout.metrics):
        units = units_of(block.name)
        if block.unit not in units:
            location, expected = document.locate(("metrics", at)), " or ".join(unit.value for unit in units)
            raise LayoutError(f"{location}: wrong unit for {block.name}: got {block.unit.value!r}, expected {expected}")
    if layout.blocks and (layout.blocks not in layout.rows or len(layout.metrics) > 1 or layout.across):
        expected = "an axis of the rows, in a layout with one metric and without `across`"
        raise LayoutError(f"{name}: blocks: got {layout.blocks!r}, expected {expected}")
    return layout


def units_of(name: str) -> tuple[Unit, ...]:
    """Return the units that a metric or a cost may be printed in, the usual one first."""
    if name in COSTS:
        return (COSTS[name].unit,)
    return (Unit.QUERIES,) if name == QUERIES_USED else (Unit.PERCENT, Unit.GRAY)


def check_names(layout: Layout, name: str, known: Mapping[str, Collection[str]]) -> None:
    """Check the component names in a layout's patterns, orders and contest.

    Args:
        layout: the layout to check.
        name: its name, for the message.
        known: the names of the installed components, by axis; the names in `names.yaml` are known too.

    Raises:
        LayoutError: a name is unknown.
    """
    patterns = [*layout.select, *(pattern for block in layout.metrics for pattern in block.select)]
    named = [(axis, value) for pattern in patterns for axis, each in pattern.items() for value in each.values]
    named += [(axis, value) for axis, values in layout.order.items() for value in values]
    named += [(layout.contest.axis, value) for value in layout.contest.without] if layout.contest else []
    for axis, value in named:
        names = {*known.get(axis, ()), *common_names().get(axis, {}), "none"}
        for piece in str(value).split("+") if axis in known else ():
            if piece not in names:
                raise LayoutError(f"layout {name}: unknown {axis}: got {piece!r}, {suggest(piece, names)}")


def _named_axes(layout: Layout) -> Iterator[str]:
    """Yield every axis that a layout names, with repetitions."""
    yield from (*layout.columns, *layout.rows, *layout.names, *layout.order)
    reference = [each.rows for each in layout.curve.reference] if layout.curve else []
    selected = [pattern for block in layout.metrics for pattern in block.select]
    yield from (axis for pattern in (*layout.select, *selected, *reference) for axis in pattern)
    yield from ([layout.paired.axis] if layout.paired else [])
    yield from ([layout.contest.axis] if layout.contest else [])


@cache
def common_names() -> dict[str, dict[str, str]]:
    """Return the default printed names of the values of axes, by axis."""
    return read_document(Path(str(files("retbench.report.tables") / "names.yaml"))).data


def printed_name(axis: str, value: str | int, overrides: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the printed name of a value of an axis; combinations are named piece by piece.

    Args:
        axis: the axis.
        value: its value; a value without a name is returned as it is.
        overrides: names that take precedence over those of `names.yaml`.
    """
    names = {**common_names().get(axis, {}), **overrides}
    if str(value) in names:
        return names[str(value)]
    separator = "," if axis == "variant" else "+"
    return separator.join(names.get(piece, piece) for piece in str(value).split(separator))


def shipped_layouts() -> dict[str, Path]:
    """Return the paths of the layouts that are part of retbench, by name."""
    folder = Path(str(files("retbench.report") / "layouts"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_layout(name: str, folder: Path) -> Path:
    """Return the path of a layout: a shipped one by name, or a file relative to a folder.

    Raises:
        UnknownName: there is no such layout.
    """
    shipped = shipped_layouts()
    if name in shipped:
        return shipped[name]
    if (folder / name).is_file():
        return folder / name
    raise UnknownName("report.layout", name, shipped)
