"""How rows become tables: axes, metrics, order, names and emphasis, as YAML data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from retbench.errors import LayoutError, UnknownName
from retbench.report.unit import Unit
from retbench.results import Row
from retbench.suite.load import read_document

AXES = ("dataset", "hasher", "bits", "task", "attack", "surrogate", "defense", "threat", "seed", "variant")


def _condition(value: Any) -> Any:
    """Reads `x`, `[x, y]` or `{not: x}` as a condition on an axis."""
    if isinstance(value, dict):
        return {"values": _listed(value.get("not")), "negated": True} if set(value) == {"not"} else value
    return {"values": _listed(value)}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Frozen):
    """The values an axis may, or may not, have."""

    values: tuple[str | int, ...]
    negated: bool = False

    def holds(self, value: str | int) -> bool:
        """Returns whether a row's value satisfies it."""
        return (value in self.values) != self.negated


Pattern = dict[str, Annotated[Condition, BeforeValidator(_condition)]]


class MetricBlock(_Frozen):
    """A block of rows, or of columns, that shows one metric."""

    name: str
    label: str
    unit: Unit = Unit.PERCENT

    @property
    def heading(self) -> str:
        """The label, with its unit where that is not percent."""
        return self.label if self.unit is Unit.PERCENT else f"{self.label} ({self.unit.symbol})"


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
        across: the metrics stand across, as the innermost level of the column headers, and there are no blocks.
        rows: the axes that name a row, in the order they vary; a row's label is built from `names`.
        select: patterns of axes; a cell is shown if one holds. Without a pattern all cells, or, for a curve, those
            that sweep its option and those it is compared with.
        names: what the values of an axis are called in print, where it is not what `names.yaml` says.
        order: the values of an axis in print order; others follow as they come.
        bold: patterns of the rows set in bold.
        paired: show differences between two values of an axis instead of the values.
        curve: draw the numbers over a swept option too; `variant` must be among the rows or the columns.
    """

    title: str
    caption: str = ""
    columns: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[MetricBlock, ...] = Field(min_length=1)
    across: bool = False
    rows: tuple[str, ...] = ("attack", "defense")
    select: tuple[Pattern, ...] = ()
    names: dict[str, dict[str, str]] = Field(default_factory=dict)
    order: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    bold: tuple[Pattern, ...] = ()
    paired: Paired | None = None
    curve: Sweep | None = None

    def shows(self, row: Row) -> bool:
        """Returns whether a cell belongs in the table."""
        if not self.select:
            return self.curve is None or self.curve.takes(row)
        return any(matches(pattern, row) for pattern in self.select)

    def answered_by(self, rows: Sequence[Row]) -> bool:
        """Returns whether any of the rows belongs in the table and, for a curve, any sweeps its option."""
        swept = self.curve is None or any(self.curve.named_in(row.variant) for row in rows)
        return swept and any(self.shows(row) for row in rows)

    def emphasised(self, row: Row) -> bool:
        """Returns whether a row is set in bold."""
        return any(matches(pattern, row) for pattern in self.bold)

    def named(self, axis: str, value: str | int) -> str:
        """Returns what a value of an axis is called in print; combinations are named piece by piece."""
        names = {**common_names().get(axis, {}), **self.names.get(axis, {})}
        if str(value) in names:
            return names[str(value)]
        joint = "," if axis == "variant" else "+"
        return joint.join(names.get(piece, piece) for piece in str(value).split(joint))


def settings_of(variant: str) -> list[tuple[str, str]]:
    """Returns the swept options of a variant and their values; a value may hold commas, as a list does."""
    pieces = re.split(r",(?=[\w.-]+=)", variant) if variant else []
    return [(name, value) for name, _, value in (piece.partition("=") for piece in pieces)]


def matches(pattern: Mapping[str, Condition], row: Row) -> bool:
    """Returns whether all conditions of a pattern hold for a row."""
    return all(condition.holds(getattr(row, axis)) for axis, condition in pattern.items())


def read_layout(name: str, beside: Path) -> Layout:
    """Returns a layout: a shipped one by name, or a YAML file by its path, relative to the folder `beside`.

    Raises:
        UnknownName: no such layout.
        LayoutError: the file is not a layout, or names an axis that rows do not have.
    """
    path = _find(name, beside)
    document = read_document(path)
    try:
        layout = Layout(**document.data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = document.where(tuple(first["loc"]))
        raise LayoutError(f"{where}: {first['msg'].lower()}: got {first['input']!r}") from None
    reference = [level.rows for level in layout.curve.reference] if layout.curve else []
    patterns = [axis for pattern in (*layout.select, *layout.bold, *reference) for axis in pattern]
    paired = [layout.paired.axis] if layout.paired else []
    for axis in (*layout.columns, *layout.rows, *layout.names, *layout.order, *patterns, *paired):
        if axis not in AXES:
            raise LayoutError(f"{path}: it names an axis that rows do not have: got {axis!r}, expected one of {AXES}")
    if layout.curve and "variant" not in (*layout.columns, *layout.rows):
        raise LayoutError(f"{path}: a curve needs `variant` among rows or columns: got neither")
    return layout


@cache
def common_names() -> dict[str, dict[str, str]]:
    """Returns what the values of axes are called in print, by axis, where no layout says otherwise."""
    return read_document(Path(str(files("retbench.report") / "names.yaml"))).data


def shipped_layouts() -> dict[str, Path]:
    """Returns the layouts that came with retbench, by name."""
    folder = Path(str(files("retbench.report") / "layouts"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _find(name: str, beside: Path) -> Path:
    shipped = shipped_layouts()
    if name in shipped:
        return shipped[name]
    if (beside / name).is_file():
        return beside / name
    raise UnknownName("report.layout", name, shipped)
