"""How rows become tables: axes, metrics, order, names and emphasis, as YAML data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from retbench.document import Document, read_document
from retbench.errors import LayoutError, UnknownName, suggest
from retbench.report.tables.pattern import AXES, Pattern, matches, settings_of
from retbench.report.tables.unit import Unit
from retbench.results import Row


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


PLAIN = {
    "attack_seconds": (Unit.SECONDS,),
    "defense_seconds": (Unit.SECONDS,),
    "peak_memory": (Unit.MEBIBYTES,),
}
"""The costs that a block may show, with their units; everything else is a share of 1."""


class MetricBlock(_Frozen):
    """A block of rows, or of columns, that shows one metric.

    Attributes:
        name: a row's metric, one of its costs (`attack_seconds`, `defense_seconds`, `peak_memory`), or, with `at`, any
            value of each query.
        label: what it is called in print.
        unit: what it is printed in.
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
        """Returns whether a cell of the table belongs in the block."""
        return not self.select or any(matches(pattern, row) for pattern in self.select)

    @property
    def heading(self) -> str:
        """The label, with its unit where that is not percent."""
        return self.label if self.unit is Unit.PERCENT else f"{self.label} ({self.unit.symbol})"


class Contest(_Frozen):
    """Who competes: cells that differ in one axis only, those of the values `without` aside; `variants` compete too."""

    axis: str = "defense"
    without: tuple[str, ...] = ("none",)
    variants: bool = False


class Paired(_Frozen):
    """A block of differences between two values of one axis, on the same queries."""

    axis: str
    first: str
    second: str


def _reference(value: Any) -> Any:
    """Reads `{label: x, axis: value, ...}` as a label and a pattern."""
    if not isinstance(value, dict):
        return value
    return {"label": value.get("label", ""), "rows": {axis: value[axis] for axis in value if axis != "label"}}


class Reference(_Frozen):
    """Rows that a curve is compared with, drawn as level lines; without a label they keep the one of the table."""

    label: str = ""
    rows: Pattern


class Sweep(_Frozen):
    """A picture of the table's numbers over a swept option.

    Attributes:
        option: the option, led by its axis (`defense.t_p`) where several axes sweep one of that name.
        label: what stands along the x axis; the option's name without one.
        scale: of the x axis; `log` is linear between the smallest values beside 0 where a value is 0 or less.
        reference: patterns of axes of rows that do not sweep the option, each with a `label` if it wants one.
    """

    option: str
    label: str = ""
    scale: Literal["linear", "log"] = "linear"
    reference: tuple[Annotated[Reference, BeforeValidator(_reference)], ...] = ()

    def named_in(self, variant: str) -> list[str]:
        """Returns what the option is called in a variant, once for each axis that sweeps it; nothing if none does."""
        return [name for name, _ in settings_of(variant) if self.option in (name, name.rpartition(".")[2])]

    def takes(self, row: Row) -> bool:
        """Returns whether a row sweeps the option, or is one to compare with."""
        return bool(self.named_in(row.variant)) or any(matches(reference.rows, row) for reference in self.reference)


class Layout(_Frozen):
    """One table.

    Attributes:
        title: what stands above it.
        caption: what a reader must know beneath it.
        columns: the axes of the column headers, outermost first.
        metrics: the blocks of rows.
        blocks: an axis of the rows whose values head the blocks in place of metrics; then there is one metric.
        joined: what values are called inside a compound name, where it is not what they are called alone.
        compound: name a row behind a defense by both, `RetPur-P2P`; else, as papers of one attack do, by the defense
            alone, unless the rows have several attacks.
        across: the metrics stand across, as the innermost level of the column headers, and there are no blocks.
        rows: the axes that name a row, in the order they vary; a row's label is built from `names`.
        select: patterns of axes; a cell is shown if one holds. Without a pattern all cells, or, for a curve, those
            that sweep its option and those it is compared with.
        names: what the values of an axis are called in print, where it is not what `names.yaml` says.
        order: the values of an axis in print order; others follow as they come.
        contest: who competes for the best value of each metric that says what is better.
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
        """Returns whether a cell belongs in the table."""
        if not self.select:
            return self.curve is None or self.curve.takes(row)
        return any(matches(pattern, row) for pattern in self.select)

    def answered_by(self, rows: Sequence[Row]) -> bool:
        """Returns whether the rows have something for the table: a number, an option swept, both sides of a pair."""
        swept = self.curve is None or any(self.curve.named_in(row.variant) for row in rows)
        sides = {str(getattr(row, self.paired.axis)) for row in rows} if self.paired else set()
        paired = self.paired is None or {self.paired.first, self.paired.second} <= sides
        names = {block.name for block in self.metrics if block.at is None}
        costs = {*PLAIN} & names
        told = (
            row.status != "done" or not names or bool(names & {*row.metrics}) or bool(costs and row.cost)
            for row in rows
            if self.shows(row)
        )
        return swept and paired and any(told)

    def named(self, axis: str, value: str | int) -> str:
        """Returns what a value of an axis is called in print, by the layout's own names first (`printed_name`)."""
        return printed_name(axis, value, self.names.get(axis, {}))


def read_layout(name: str, beside: Path) -> Layout:
    """Returns a layout: a shipped one by name, or a YAML file by its path, relative to the folder `beside`.

    Raises:
        UnknownName: no such layout.
        LayoutError: the file is not a layout, or names an axis that rows do not have.
    """
    return layout_of(read_document(find_layout(name, beside)))


def layout_of(document: Document) -> Layout:
    """Returns the layout that a YAML document describes; raises LayoutError with file, line and column."""
    try:
        layout = Layout(**document.data)
    except ValidationError as error:
        raise LayoutError(_problem(document, error.errors(include_url=False)[0])) from None
    name = document.name
    for axis in _named_axes(layout):
        if axis not in AXES:
            raise LayoutError(f"{name}: it names an axis that rows do not have: got {axis!r}, {suggest(axis, AXES)}")
    if layout.curve and "variant" not in (*layout.columns, *layout.rows):
        raise LayoutError(f"{name}: a curve needs `variant` among rows or columns: got neither")
    for at, block in enumerate(layout.metrics):
        units = PLAIN.get(block.name, (Unit.PERCENT, Unit.GREY))
        if block.unit not in units:
            where, expected = document.where(("metrics", at)), " or ".join(unit.value for unit in units)
            raise LayoutError(
                f"{where}: {block.name} is not measured in this unit: got {block.unit.value!r}, expected {expected}"
            )
    if layout.blocks and (layout.blocks not in layout.rows or len(layout.metrics) > 1 or layout.across):
        raise LayoutError(f"{name}: blocks: it must be an axis of the rows, beside one metric: got {layout.blocks!r}")
    return layout


def check_names(layout: Layout, name: str, known: Mapping[str, Collection[str]]) -> None:
    """Raises LayoutError for a component that a layout selects, orders or lets compete, and that nobody knows.

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


def _problem(document: Document, error: ErrorDetails) -> str:
    """Returns what is wrong with a layout, and where."""
    where, key = document.where(tuple(error["loc"])), str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "missing":
        return f"{where}: missing key: got none, expected {key!r}"
    if error["type"] == "extra_forbidden":
        models: dict[str, type[BaseModel]] = {
            "metrics": MetricBlock,
            "contest": Contest,
            "curve": Sweep,
            "paired": Paired,
        }
        owner = models.get(str(error["loc"][0]), Layout) if len(error["loc"]) > 1 else Layout
        return f"{where}: unknown key: got {key!r}, {suggest(key, owner.model_fields)}"
    return f"{where}: {error['msg'].lower()}: got {error['input']!r}"


def _named_axes(layout: Layout) -> Iterator[str]:
    """Yields every axis that a layout names, as often as it does."""
    yield from (*layout.columns, *layout.rows, *layout.names, *layout.order)
    reference = [level.rows for level in layout.curve.reference] if layout.curve else []
    selected = [pattern for block in layout.metrics for pattern in block.select]
    yield from (axis for pattern in (*layout.select, *selected, *reference) for axis in pattern)
    yield from ([layout.paired.axis] if layout.paired else [])
    yield from ([layout.contest.axis] if layout.contest else [])


@cache
def common_names() -> dict[str, dict[str, str]]:
    """Returns what the values of axes are called in print, by axis, where no layout says otherwise."""
    return read_document(Path(str(files("retbench.report.tables") / "names.yaml"))).data


def printed_name(axis: str, value: str | int, own: Mapping[str, str] = MappingProxyType({})) -> str:
    """Returns what a value of an axis is called in print; combinations are named piece by piece.

    Names of one's `own` come before those of `names.yaml`; a value without a name is its own.
    """
    names = {**common_names().get(axis, {}), **own}
    if str(value) in names:
        return names[str(value)]
    joint = "," if axis == "variant" else "+"
    return joint.join(names.get(piece, piece) for piece in str(value).split(joint))


def shipped_layouts() -> dict[str, Path]:
    """Returns the layouts that came with retbench, by name."""
    folder = Path(str(files("retbench.report") / "layouts"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_layout(name: str, beside: Path) -> Path:
    """Returns where a layout is; raises UnknownName where there is none of that name."""
    shipped = shipped_layouts()
    if name in shipped:
        return shipped[name]
    if (beside / name).is_file():
        return beside / name
    raise UnknownName("report.layout", name, shipped)
