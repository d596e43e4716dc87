"""How rows become tables: axes, metrics, order, names and emphasis, as YAML data."""

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
from retbench.report.yaml_model import Schema, Schemas, describe_validation_error
from retbench.report.tables.pattern import Pattern, matches, swept_options
from retbench.report.tables.unit import Unit
from retbench.results import ROW_AXES, Row


class Cost(NamedTuple):
    """The unit of a cost, and the names under which rows record it."""

    unit: Unit
    recorded: tuple[str, ...]


COSTS = {
    "attack_seconds": Cost(Unit.SECONDS, ("attack_seconds_per_query",)),
    "defense_seconds": Cost(Unit.SECONDS, ("defense_seconds_per_query",)),
    "peak_memory": Cost(Unit.MEBIBYTES, ("attack_peak_memory", "defense_peak_memory")),
}
"""The costs that a block may show; everything else is a share of 1."""


class MetricBlock(Schema):
    """A block of rows, or of columns, that shows one metric.

    Attributes:
        name: a row's metric, one of its costs (`attack_seconds`, `defense_seconds`, `peak_memory`), or, with `at`, any
            value of each query.
        label: its printed name.
        unit: of the printed number.
        better: whether more or less of it is better, for who wins a contest; nothing wins without.
        at: shows the share of queries whose value is at least this much, as certified recall at a radius is.
        select: patterns of axes; the block shows the table's cells that one holds for, all of them without a pattern.
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
        """The label, with its unit where that is not percent."""
        return self.label if self.unit is Unit.PERCENT else f"{self.label} ({self.unit.symbol})"


class Contest(Schema):
    """Who competes: cells that differ in one axis only, those of the values `without` aside; `variants` compete too."""

    axis: str = "defense"
    without: tuple[str, ...] = ("none",)
    variants: bool = False


class Paired(Schema):
    """A block of differences between two values of one axis, on the same queries."""

    axis: str
    first: str
    second: str


def _reference(value: Any) -> Any:
    """Read `{label: x, axis: value, ...}` as a label and a pattern."""
    if not isinstance(value, dict):
        return value
    return {"label": value.get("label", ""), "rows": {axis: value[axis] for axis in value if axis != "label"}}


class Reference(Schema):
    """Rows that a curve is compared with, drawn as level lines; without a label they keep the one of the table."""

    label: str = ""
    rows: Pattern


class Sweep(Schema):
    """A picture of the table's numbers over a swept option.

    Attributes:
        option: the option, led by its axis (`defense.t_p`) where several axes sweep one of that name.
        label: printed along the x axis; the option's name without one.
        scale: of the x axis; `log` is linear between the smallest values beside 0 where a value is 0 or less.
        reference: patterns of axes of rows that do not sweep the option, each with a `label` if it wants one.
    """

    option: str
    label: str = ""
    scale: Literal["linear", "log"] = "linear"
    reference: tuple[Annotated[Reference, BeforeValidator(_reference)], ...] = ()

    def option_names(self, variant: str) -> list[str]:
        """Return what the option is called in a variant, once for each axis that sweeps it; nothing if none does."""
        return [name for name, _ in swept_options(variant) if self.option in (name, name.rpartition(".")[2])]

    def takes(self, row: Row) -> bool:
        """Return whether a row sweeps the option, or is one to compare with."""
        return bool(self.option_names(row.variant)) or any(matches(reference.rows, row) for reference in self.reference)


class Layout(Schema):
    """One table.

    Attributes:
        title: printed above it.
        caption: what a reader must know beneath it.
        columns: the axes of the column headers, outermost first.
        metrics: the blocks of rows.
        blocks: an axis of the rows whose values head the blocks in place of metrics; then there is one metric.
        joined: the names of values inside a compound name, where they differ from those alone.
        compound: name a row behind a defense by both, `RetPur-P2P`; else, as papers of one attack do, by the defense
            alone, unless the rows have several attacks.
        across: the metrics are the innermost level of the column headers, and there are no blocks.
        rows: the axes that name a row, in the order they vary; a row's label is built from `names`.
        select: patterns of axes; a cell is shown if one holds. Without a pattern all cells, or, for a curve, those
            that sweep its option and those it is compared with.
        names: the printed names of the values of an axis, where those of `names.yaml` do not do.
        order: the values of an axis in print order; others follow as they come.
        contest: who competes for the best value of each metric that has a `better`.
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
    paired: Paired | None = None
    curve: Sweep | None = None

    def shows(self, row: Row) -> bool:
        """Return whether a cell belongs in the table."""
        if not self.select:
            return self.curve is None or self.curve.takes(row)
        return any(matches(pattern, row) for pattern in self.select)

    def has_results_in(self, rows: Sequence[Row]) -> bool:
        """Return whether the rows have something for the table: a number, an option swept, both sides of a pair."""
        swept = self.curve is None or any(self.curve.option_names(row.variant) for row in rows)
        sides = {str(getattr(row, self.paired.axis)) for row in rows} if self.paired else set()
        paired = self.paired is None or {self.paired.first, self.paired.second} <= sides
        names = {block.name for block in self.metrics if block.at is None}
        costs = {*COSTS} & names
        answers = (
            row.status != "done" or not names or bool(names & {*row.metrics}) or bool(costs and row.cost)
            for row in rows
            if self.shows(row)
        )
        return swept and paired and any(answers)

    def named(self, axis: str, value: str | int) -> str:
        """Return the printed name of a value of an axis, by the layout's own names first (`printed_name`)."""
        return printed_name(axis, value, self.names.get(axis, {}))


_SCHEMAS: Schemas = {
    (): Layout,
    ("metrics",): MetricBlock,
    ("contest",): Contest,
    ("paired",): Paired,
    ("curve",): Sweep,
    ("curve", "reference"): Reference,
}


def read_layout(name: str, beside: Path) -> Layout:
    """Return a layout: a shipped one by name, or a YAML file by its path, relative to the folder `beside`.

    Raises:
        UnknownName: no such layout.
        LayoutError: the file is not a layout, or names an axis that rows do not have.
    """
    return layout_of(read_document(find_layout(name, beside)))


def layout_of(document: Document) -> Layout:
    """Return the layout that a YAML document describes; raises LayoutError with file, line and column."""
    try:
        layout = Layout(**document.data)
    except ValidationError as error:
        raise LayoutError(describe_validation_error(error.errors(include_url=False)[0], document, _SCHEMAS)) from None
    name = document.name
    for axis in _named_axes(layout):
        if axis not in ROW_AXES:
            raise LayoutError(
                f"{name}: it names an axis that rows do not have: got {axis!r}, {suggest(axis, ROW_AXES)}"
            )
    if layout.curve and "variant" not in (*layout.columns, *layout.rows):
        raise LayoutError(f"{name}: a curve needs `variant` among rows or columns: got neither")
    for at, block in enumerate(layout.metrics):
        units = (COSTS[block.name].unit,) if block.name in COSTS else (Unit.PERCENT, Unit.GRAY)
        if block.unit not in units:
            where, expected = document.locate(("metrics", at)), " or ".join(unit.value for unit in units)
            raise LayoutError(
                f"{where}: {block.name} is not measured in this unit: got {block.unit.value!r}, expected {expected}"
            )
    if layout.blocks and (layout.blocks not in layout.rows or len(layout.metrics) > 1 or layout.across):
        raise LayoutError(f"{name}: blocks: it must be an axis of the rows, beside one metric: got {layout.blocks!r}")
    return layout


def check_names(layout: Layout, name: str, known: Mapping[str, Collection[str]]) -> None:
    """Raise LayoutError for a component that a layout selects, orders or lets compete, and that nobody knows.

    Args:
        layout: what is checked.
        name: what it is called, for the message.
        known: the installed components, by axis; those that `names.yaml` prints are known too.
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
    """Yield every axis that a layout names, as often as it does."""
    yield from (*layout.columns, *layout.rows, *layout.names, *layout.order)
    reference = [level.rows for level in layout.curve.reference] if layout.curve else []
    selected = [pattern for block in layout.metrics for pattern in block.select]
    yield from (axis for pattern in (*layout.select, *selected, *reference) for axis in pattern)
    yield from ([layout.paired.axis] if layout.paired else [])
    yield from ([layout.contest.axis] if layout.contest else [])


@cache
def common_names() -> dict[str, dict[str, str]]:
    """Return the printed names of the values of axes, by axis, for layouts without names of their own."""
    return read_document(Path(str(files("retbench.report.tables") / "names.yaml"))).data


def printed_name(axis: str, value: str | int, own: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the printed name of a value of an axis; combinations are named piece by piece.

    Names of one's `own` come before those of `names.yaml`; a value without a name is its own.
    """
    names = {**common_names().get(axis, {}), **own}
    if str(value) in names:
        return names[str(value)]
    joint = "," if axis == "variant" else "+"
    return joint.join(names.get(piece, piece) for piece in str(value).split(joint))


def shipped_layouts() -> dict[str, Path]:
    """Return the layouts that came with retbench, by name."""
    folder = Path(str(files("retbench.report") / "layouts"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_layout(name: str, beside: Path) -> Path:
    """Return where a layout is; raises UnknownName where there is none of that name."""
    shipped = shipped_layouts()
    if name in shipped:
        return shipped[name]
    if (beside / name).is_file():
        return beside / name
    raise UnknownName("report.layout", name, shipped)
