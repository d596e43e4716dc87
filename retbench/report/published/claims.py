"""Published numbers as data: the cell of each number, and the conditions under which it was measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

from retbench.canon import Json
from retbench.contracts import Protocol
from retbench.document import Document, KeyPath, read_document
from retbench.errors import ClaimError, suggest
from retbench.report.published.ledger import DEFAULT_AXES, CellAxes, LedgerModel, RowModel, TableModel, parse_ledger
from retbench.report.tables.layout import common_names
from retbench.report.tables.pattern import Pattern
from retbench.suite import AXES

METRICS = ("map", "t_map")
_CONDITION_FIELDS = ("hasher", "protocol", "options", "data", "budget")
"""The fields of a row that a condition may refer to."""
_RECORDED = {
    "protocol": (*Protocol.model_fields, "ranked_queries", "scored_queries", "bits", "task"),
    "data": ("train", "query", "database", "image_size", "classes"),
    "budget": ("goal", "norm", "eps"),
}
"""The keys of the fields that have the same keys in every row."""
_NAME_AXES = tuple(axis for axis in AXES if axis not in ("bits", "seed"))
"""The axes whose values are names."""


@dataclass(frozen=True)
class Claim:
    """One published number.

    Attributes:
        paper: its short name, for example `RetPur`.
        table: the number of its table, as printed.
        printed: the name of its row in the paper.
        axes: dataset, hasher, bits, task, attack, surrogate, defense, threat and variant of the cell, by retbench's
            names.
        metric: `map` or `t_map`.
        value: in percent.
        conditions: how the paper measured it, by dotted path into a row (`options.hasher.backbone`); None for what it
            does not state.
        notes: remarks on the number, for example that it contradicts another one.
    """

    paper: str
    table: str
    printed: str
    axes: Mapping[str, str | int]
    metric: str
    value: float
    conditions: Mapping[str, Json] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The paper and its table, for example `RetPur, Table 1`."""
        return f"{self.paper}, Table {self.table}"


@dataclass(frozen=True)
class Ledger:
    """The published numbers of one paper.

    Attributes:
        name: the ledger's name.
        paper: its short name.
        title, authors: of the paper.
        source: where the numbers were read.
        decimals: digits after the decimal point that the paper prints.
        claims: in the order of its tables, rows and columns.
    """

    name: str
    paper: str
    title: str
    authors: str
    source: str
    decimals: int
    claims: tuple[Claim, ...]


def shipped_claims() -> dict[str, Path]:
    """Return the paths of the ledgers that are part of retbench, by name."""
    folder = Path(str(files("retbench.report") / "claims"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_claims(name: str, folder: Path, known: Mapping[str, Collection[str]] | None = None) -> Ledger:
    """Return a ledger: a shipped one by name, or a YAML file by its path, relative to a folder.

    Args:
        name: of the ledger.
        folder: the suite's folder.
        known: the names of the installed components, by axis; the names in `names.yaml` are known too.

    Raises:
        ClaimError: there is no such ledger, or it is not valid (see `ledger_of`).
        DocumentError: the file is not YAML.
        UserError: the file cannot be read.
    """
    return ledger_of(read_document(find_claims(name, folder)), known)


def ledger_of(document: Document, known: Mapping[str, Collection[str]] | None = None) -> Ledger:
    """Return the ledger that a YAML document describes; `known` as for `read_claims`.

    Raises:
        ClaimError: an unknown key, metric or name, a row with too few or too many values, a value that is not a
            percentage, two values for one cell of a table, or a pattern that matches no cell; with file, line and
            column.
    """
    return _LedgerReader(document, parse_ledger(document), known or {}).ledger()


def find_claims(name: str, folder: Path) -> Path:
    """Return the path of a ledger: a shipped one by name, or a file relative to a folder.

    Raises:
        ClaimError: there is no such ledger.
    """
    shipped = shipped_claims()
    if name in shipped:
        return shipped[name]
    if (folder / name).is_file():
        return folder / name
    problem = "unknown ledger"
    if name.endswith((".yaml", ".yml")):
        problem = f"no such file {folder / name}, and no shipped ledger of that name"
    raise ClaimError(f"report.claims: {problem}: got {name!r}, {suggest(name, shipped)}")


class _LedgerReader:
    """Turns a ledger as written into claims."""

    def __init__(self, document: Document, written: LedgerModel, known: Mapping[str, Collection[str]]) -> None:
        self.document, self.written = document, written
        named: dict[str, Collection[str]] = {**common_names(), "threat": ("oblivious", "adaptive")}
        self.known = {axis: {*named[axis], *known.get(axis, ())} for axis in _NAME_AXES}
        self.known["surrogate"].add("none")

    def ledger(self) -> Ledger:
        """Return the ledger."""
        written = self.written
        claims = [claim for index, table in enumerate(written.tables) for claim in self._table(table, index)]
        for index, stated in enumerate(written.conditions):
            for path in stated.values:
                self._check_condition(path, ("conditions", index, "values", path))
            for at in self._matching(claims, stated.when, ("conditions", index, "when")):
                claims[at] = replace(claims[at], conditions={**claims[at].conditions, **stated.values})
        for index, note in enumerate(written.notes):
            for at in self._matching(claims, note.cells, ("notes", index, "cells")):
                claims[at] = replace(claims[at], notes=(*claims[at].notes, note.text))
        head = (written.claims, written.paper, written.title, written.authors, written.source, written.decimals)
        return Ledger(*head, tuple(claims))

    def _check_condition(self, path: str, place: KeyPath) -> None:
        field, *rest = path.split(".")
        self._expect(field, _CONDITION_FIELDS, "condition", place)
        if field in _RECORDED:
            self._expect(rest[0] if rest else "", _RECORDED[field], f"condition of {field}", place)

    def _table(self, table: TableModel, index: int) -> Iterator[Claim]:
        place: KeyPath = ("tables", index)
        for number, axis in enumerate(table.across):
            self._expect(axis, CellAxes.model_fields, "axis", (*place, "across", number))
        for number, values in enumerate(table.columns):
            if len(values) != len(table.across):
                self._fail((*place, "columns", number), "wrong number of axes", len(values), len(table.across))
        seen: dict[tuple[object, ...], float] = {}
        for number, row in enumerate(table.rows):
            for column, claim in self._row(table, row, (*place, "rows", number)):
                cell = (claim.metric, *claim.axes.values())
                if seen.setdefault(cell, claim.value) != claim.value:
                    at = (*place, "rows", number, "values", column)
                    self._fail(at, "second value for one cell of a table", claim.value, seen[cell])
                yield claim

    def _row(self, table: TableModel, row: RowModel, place: KeyPath) -> Iterator[tuple[int, Claim]]:
        """Yield the claims of a row with their columns; blanks are left out."""
        self._expect(row.metric, METRICS, "metric", (*place, "metric"))
        if len(row.values) != len(table.columns):
            self._fail((*place, "values"), "wrong number of values", len(row.values), len(table.columns))
        fixed = {**DEFAULT_AXES.axes, **self.written.cells.axes, **table.cells.axes, **row.axes}
        for number, (column, value) in enumerate(zip(table.columns, row.values, strict=True)):
            if value is not None:
                column_places = {axis: (*place[:2], "columns", number, at) for at, axis in enumerate(table.across)}
                places = {axis: column_places.get(axis, (*place, axis)) for axis in CellAxes.model_fields}
                axes = self._axes({**fixed, **dict(zip(table.across, column, strict=True))}, places)
                percent = self._percent(value, (*place, "values", number))
                yield number, Claim(self.written.paper, str(table.table), row.printed, axes, row.metric, percent)

    def _axes(self, axes: Mapping[str, str | int], places: Mapping[str, KeyPath]) -> dict[str, str | int]:
        """Return the axes of a cell, after checking that all are fixed and all names are known."""
        for axis, place in places.items():
            if axis not in axes:
                self._fail(place, f"neither row nor column nor table fixes {axis}", "none", f"a value of {axis}")
        if not isinstance(axes["bits"], int):
            self._fail(places["bits"], "bits are not an integer", axes["bits"], "an integer")
        for axis, known in self.known.items():
            for piece in str(axes[axis]).split("+"):
                self._expect(piece, known, axis, places[axis])
        return {axis: axes[axis] for axis in places}

    def _percent(self, value: Any, place: KeyPath) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            self._fail(place, "value is not a percentage", value, "a number from 0 to 100")
        if round(value, self.written.decimals) != value:
            self._fail(place, "value has more digits than `decimals`", value, f"at most {self.written.decimals}")
        return float(value)

    def _matching(self, claims: list[Claim], pattern: Pattern, place: KeyPath) -> list[int]:
        """Return the positions of the claims that match a pattern; raise ClaimError if there are none."""
        texts = [_condition_texts(claim) for claim in claims]
        for axis, condition in pattern.items():
            self._expect(axis, ("table", "metric", "printed", *CellAxes.model_fields), "axis", (*place, axis))
            for value in condition.values if not condition.negated else ():
                self._expect(str(value), {each[axis] for each in texts}, axis, (*place, axis))
        matching = [index for index, each in enumerate(texts) if _matches(pattern, each)]
        if not matching:
            self._fail(place, "no cell matches all conditions", "none", "at least one cell")
        return matching

    def _expect(self, name: str, known: Collection[str], what: str, place: KeyPath) -> None:
        if name not in known:
            raise ClaimError(f"{self.document.locate(place)}: unknown {what}: got {name!r}, {suggest(name, known)}")

    def _fail(self, place: KeyPath, problem: str, got: object, expected: object) -> NoReturn:
        raise ClaimError(f"{self.document.locate(place)}: {problem}: got {got}, expected {expected}")


def _condition_texts(claim: Claim) -> dict[str, str]:
    """Return the values that patterns are matched against, as text, so that `table: 1` and `table: "1"` are equal."""
    axes = {axis: str(value) for axis, value in claim.axes.items()}
    return {**axes, "table": claim.table, "metric": claim.metric, "printed": claim.printed}


def _matches(pattern: Pattern, texts: Mapping[str, str]) -> bool:
    """Return whether the texts of a claim satisfy all conditions of a pattern."""
    return all((texts[axis] in map(str, condition.values)) != condition.negated for axis, condition in pattern.items())
