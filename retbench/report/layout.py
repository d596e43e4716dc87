"""How rows become tables: axes, metrics, order, names and emphasis, as YAML data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from retbench.errors import LayoutError, UnknownName
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
    """A block of rows that shows one metric."""

    name: str
    label: str


class Paired(_Frozen):
    """A block of differences between two values of one axis, on the same queries."""

    axis: str
    first: str
    second: str


class Layout(_Frozen):
    """One table.

    Attributes:
        title: what stands above it.
        caption: what a reader must know beneath it.
        columns: the axes of the column headers, outermost first.
        metrics: the blocks of rows.
        rows: the axes that name a row, in the order they vary; a row's label is built from `names`.
        select: patterns of axes; a cell is shown if one holds. All cells without a pattern.
        names: what the values of an axis are called in print, where it is not what `names.yaml` says.
        order: the values of an axis in print order; others follow as they come.
        bold: patterns of the rows set in bold.
        paired: show differences between two values of an axis instead of the values.
    """

    title: str
    caption: str = ""
    columns: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[MetricBlock, ...] = Field(min_length=1)
    rows: tuple[str, ...] = ("attack", "defense")
    select: tuple[Pattern, ...] = ()
    names: dict[str, dict[str, str]] = Field(default_factory=dict)
    order: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    bold: tuple[Pattern, ...] = ()
    paired: Paired | None = None

    def shows(self, row: Row) -> bool:
        """Returns whether a cell belongs in the table."""
        return not self.select or any(_all_hold(pattern, row) for pattern in self.select)

    def emphasised(self, row: Row) -> bool:
        """Returns whether a row is set in bold."""
        return any(_all_hold(pattern, row) for pattern in self.bold)

    def named(self, axis: str, value: str | int) -> str:
        """Returns what a value of an axis is called in print; combinations are named piece by piece."""
        names = {**_common_names().get(axis, {}), **self.names.get(axis, {})}
        if str(value) in names:
            return names[str(value)]
        return "+".join(names.get(piece, piece) for piece in str(value).split("+"))


def _all_hold(pattern: Mapping[str, Condition], row: Row) -> bool:
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
    patterns = [axis for pattern in (*layout.select, *layout.bold) for axis in pattern]
    paired = [layout.paired.axis] if layout.paired else []
    for axis in (*layout.columns, *layout.rows, *layout.names, *layout.order, *patterns, *paired):
        if axis not in AXES:
            raise LayoutError(f"{path}: it names an axis that rows do not have: got {axis!r}, expected one of {AXES}")
    return layout


@cache
def _common_names() -> dict[str, dict[str, str]]:
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
