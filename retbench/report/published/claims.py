"""Published numbers as data: which number a paper printed for which cell, and how it was measured."""

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
from retbench.report.published.ledger import DEFAULT_AXES, Cells, Line, LedgerModel, TableModel, parse_ledger
from retbench.report.tables.layout import common_names
from retbench.report.tables.pattern import Pattern
from retbench.suite import AXES

METRICS = ("map", "t_map")
_STATED = ("hasher", "protocol", "options", "data", "budget")
_RECORDED = {
    "protocol": (*Protocol.model_fields, "ranked_queries", "scored_queries", "bits", "task"),
    "data": ("train", "query", "database", "image_size", "classes"),
    "budget": ("goal", "norm", "eps"),
}
"""What a row records under its fields of one shape; options are each component's own."""
_NAMED = tuple(axis for axis in AXES if axis not in ("bits", "seed"))
"""The axes whose values are names."""


@dataclass(frozen=True)
class Claim:
    """One published number.

    Attributes:
        paper: its short name, such as `RetPur`.
        table: the number of its table, as printed.
        printed: the name of its line there.
        axes: dataset, hasher, bits, task, attack, surrogate, defense, threat and variant of the cell, by retbench's
            names.
        metric: `map` or `t_map`.
        value: in percent.
        conditions: how the paper measured it, by dotted path into a row (`options.hasher.backbone`); None for what it
            leaves open.
        notes: what a reader must know of the number, such as that it contradicts another one.
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
        """The paper and its table: `RetPur, Table 1`."""
        return f"{self.paper}, Table {self.table}"


@dataclass(frozen=True)
class Ledger:
    """The published numbers of one paper.

    Attributes:
        name: what its file calls it.
        paper: its short name.
        title, authors: of the paper.
        source: where the numbers were read.
        decimals: digits after the point that the paper prints.
        claims: in the order of its tables, lines and columns.
    """

    name: str
    paper: str
    title: str
    authors: str
    source: str
    decimals: int
    claims: tuple[Claim, ...]


def shipped_claims() -> dict[str, Path]:
    """Return the ledgers that came with retbench, by name."""
    folder = Path(str(files("retbench.report") / "claims"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_claims(name: str, beside: Path, known: Mapping[str, Collection[str]] | None = None) -> Ledger:
    """Return a ledger: a shipped one by name, or a YAML file by its path, relative to the folder `beside`.

    Args:
        name: of the ledger.
        beside: the suite's folder.
        known: values of axes that it may have beside those that `names.yaml` has a name for: the installed components.

    Raises:
        ClaimError: no such ledger, or one that is not right (`ledger_of`).
        DocumentError: it is not YAML.
        UserError: it cannot be read.
    """
    return ledger_of(read_document(find_claims(name, beside)), known)


def ledger_of(document: Document, known: Mapping[str, Collection[str]] | None = None) -> Ledger:
    """Return the ledger that a YAML document describes; `known` as for `read_claims`.

    Raises:
        ClaimError: an unknown key, metric or name, a line with too few or too many values, a value that is no
            percentage, two values for one cell of a table, or conditions that no cell fulfils; with file, line, column.
    """
    return _Reader(document, parse_ledger(document), known or {}).ledger()


def find_claims(name: str, beside: Path) -> Path:
    """Return where a ledger is: among the shipped ones, or beside the suite. Raises ClaimError."""
    shipped = shipped_claims()
    if name in shipped:
        return shipped[name]
    if (beside / name).is_file():
        return beside / name
    where = f"no such file: {beside / name}; or a" if name.endswith((".yaml", ".yml")) else "unknown"
    raise ClaimError(f"report.claims: {where} ledger: got {name!r}, {suggest(name, shipped)}")


class _Reader:
    """Turns what is written into claims."""

    def __init__(self, document: Document, written: LedgerModel, known: Mapping[str, Collection[str]]) -> None:
        self.document, self.written = document, written
        named: dict[str, Collection[str]] = {**common_names(), "threat": ("oblivious", "adaptive")}
        self.known = {axis: {*named[axis], *known.get(axis, ())} for axis in _NAMED}
        self.known["surrogate"].add("none")

    def ledger(self) -> Ledger:
        """Return the ledger."""
        written = self.written
        claims = [claim for index, table in enumerate(written.tables) for claim in self._table(table, index)]
        for index, stated in enumerate(written.conditions):
            for path in stated.values:
                self._check_condition(path, ("conditions", index, "values", path))
            for place in self._touched(claims, stated.when, ("conditions", index, "when")):
                claims[place] = replace(claims[place], conditions={**claims[place].conditions, **stated.values})
        for index, note in enumerate(written.notes):
            for place in self._touched(claims, note.cells, ("notes", index, "cells")):
                claims[place] = replace(claims[place], notes=(*claims[place].notes, note.text))
        head = (written.claims, written.paper, written.title, written.authors, written.source, written.decimals)
        return Ledger(*head, tuple(claims))

    def _check_condition(self, path: str, place: KeyPath) -> None:
        field, *rest = path.split(".")
        self._expect(field, _STATED, "condition", place)
        if field in _RECORDED:
            self._expect(rest[0] if rest else "", _RECORDED[field], f"condition of {field}", place)

    def _table(self, table: TableModel, index: int) -> Iterator[Claim]:
        place: KeyPath = ("tables", index)
        for number, axis in enumerate(table.across):
            self._expect(axis, Cells.model_fields, "axis", (*place, "across", number))
        for number, heads in enumerate(table.columns):
            if len(heads) != len(table.across):
                self._fail((*place, "columns", number), "a wrong number of axes", len(heads), len(table.across))
        seen: dict[tuple[object, ...], float] = {}
        for number, line in enumerate(table.rows):
            for column, claim in self._line(table, line, (*place, "rows", number)):
                cell = (claim.metric, *claim.axes.values())
                if seen.setdefault(cell, claim.value) != claim.value:
                    at = (*place, "rows", number, "values", column)
                    self._fail(at, "a second value for one cell of a table", claim.value, seen[cell])
                yield claim

    def _line(self, table: TableModel, line: Line, place: KeyPath) -> Iterator[tuple[int, Claim]]:
        """Yield the claims of a line with their columns; a blank is none."""
        self._expect(line.metric, METRICS, "metric", (*place, "metric"))
        if len(line.values) != len(table.columns):
            self._fail((*place, "values"), "a wrong number of values", len(line.values), len(table.columns))
        fixed = {**DEFAULT_AXES.axes, **self.written.cells.axes, **table.cells.axes, **line.axes}
        for number, (column, value) in enumerate(zip(table.columns, line.values, strict=True)):
            if value is not None:
                heads = {axis: (*place[:2], "columns", number, level) for level, axis in enumerate(table.across)}
                places = {axis: heads.get(axis, (*place, axis)) for axis in Cells.model_fields}
                axes = self._axes({**fixed, **dict(zip(table.across, column, strict=True))}, places)
                percent = self._percent(value, (*place, "values", number))
                yield number, Claim(self.written.paper, str(table.table), line.printed, axes, line.metric, percent)

    def _axes(self, axes: Mapping[str, str | int], places: Mapping[str, KeyPath]) -> dict[str, str | int]:
        """Return the axes of a cell, all there and with names that something has."""
        for axis, place in places.items():
            if axis not in axes:
                self._fail(place, "an axis that neither line nor column nor table fixes", "none", f"a value of {axis}")
        if not isinstance(axes["bits"], int):
            self._fail(places["bits"], "bits that are no number", axes["bits"], "an integer")
        for axis, known in self.known.items():
            for piece in str(axes[axis]).split("+"):
                self._expect(piece, known, axis, places[axis])
        return {axis: axes[axis] for axis in places}

    def _percent(self, value: Any, place: KeyPath) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            self._fail(place, "a value that is no percentage", value, "a number of 0 to 100")
        if round(value, self.written.decimals) != value:
            self._fail(place, "a value with more digits than `decimals`", value, f"{self.written.decimals} at most")
        return float(value)

    def _touched(self, claims: list[Claim], pattern: Pattern, place: KeyPath) -> list[int]:
        """Return the places of the claims that a pattern holds for: one at least."""
        texts = [_condition_texts(claim) for claim in claims]
        for axis, condition in pattern.items():
            self._expect(axis, ("table", "metric", "printed", *Cells.model_fields), "axis", (*place, axis))
            for value in condition.values if not condition.negated else ():
                self._expect(str(value), {each[axis] for each in texts}, axis, (*place, axis))
        found = [index for index, each in enumerate(texts) if _holds(pattern, each)]
        if not found:
            self._fail(place, "conditions that no cell fulfils together", "none", "at least one cell")
        return found

    def _expect(self, name: str, known: Collection[str], what: str, place: KeyPath) -> None:
        if name not in known:
            raise ClaimError(f"{self.document.locate(place)}: unknown {what}: got {name!r}, {suggest(name, known)}")

    def _fail(self, place: KeyPath, problem: str, got: object, expected: object) -> NoReturn:
        raise ClaimError(f"{self.document.locate(place)}: {problem}: got {got}, expected {expected}")


def _condition_texts(claim: Claim) -> dict[str, str]:
    """Return the values that conditions compare, as text, so that a table is the same with or without quotes."""
    axes = {axis: str(value) for axis, value in claim.axes.items()}
    return {**axes, "table": claim.table, "metric": claim.metric, "printed": claim.printed}


def _holds(pattern: Pattern, texts: Mapping[str, str]) -> bool:
    """Return whether all conditions of a pattern hold for the texts of a claim."""
    return all((texts[axis] in map(str, condition.values)) != condition.negated for axis, condition in pattern.items())
