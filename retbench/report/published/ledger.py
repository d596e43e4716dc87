"""A ledger of published numbers as it is written in YAML, before its names are looked up."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retbench.document import Document
from retbench.errors import ClaimError, suggest
from retbench.report.tables.pattern import Pattern


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cells(_Frozen):
    """The axes that a line, a table or the whole ledger fixes."""

    dataset: str | None = None
    hasher: str | None = None
    bits: int | None = Field(None, ge=1)
    task: str | None = None
    attack: str | None = None
    surrogate: str | None = None
    defense: str | None = None
    threat: str | None = None
    variant: str | None = None

    @property
    def axes(self) -> dict[str, str | int]:
        """Those that are fixed."""
        return self.model_dump(include=set(Cells.model_fields), exclude_none=True)


ELSEWHERE = Cells(attack="none", surrogate="none", defense="none", threat="oblivious", variant="")
"""What these axes are where nothing fixes them."""


class Line(Cells):
    """A line of a table: its metric, its cells, what it is called in print and its values, null for a blank."""

    metric: str
    printed: str
    values: tuple[Any, ...]


class WrittenTable(_Frozen):
    """A table: the axes its columns fix, and their values for each column."""

    table: str | int
    title: str
    cells: Cells = Cells()
    across: tuple[str, ...]
    columns: tuple[tuple[str | int, ...], ...]
    rows: tuple[Line, ...]


class Said(_Frozen):
    """What the paper says of the cells that a pattern holds for; a later entry overrides an earlier one."""

    when: Pattern = Field(default_factory=dict)
    says: dict[str, bool | int | float | str | list[Any] | None]


class Note(_Frozen):
    """What must be known of the cells that a pattern holds for."""

    cells: Pattern
    text: str


class WrittenLedger(_Frozen):
    """A ledger as it is written."""

    claims: str
    paper: str
    title: str
    authors: str
    source: str
    decimals: int = Field(2, ge=0, le=6)
    cells: Cells = Cells()
    facts: tuple[Said, ...] = ()
    tables: tuple[WrittenTable, ...] = Field(min_length=1)
    notes: tuple[Note, ...] = ()


_MAPPINGS: dict[tuple[str, ...], type[BaseModel]] = {
    (): WrittenLedger,
    ("cells",): Cells,
    ("facts",): Said,
    ("tables",): WrittenTable,
    ("tables", "cells"): Cells,
    ("tables", "rows"): Line,
    ("notes",): Note,
}


def check_ledger(document: Document) -> WrittenLedger:
    """Returns the ledger in a document. Raises ClaimError: it has another shape, or a key that is not one of it."""
    try:
        return WrittenLedger(**document.data)
    except ValidationError as error:
        raise ClaimError(_misfit(error, document)) from None


def _misfit(error: ValidationError, document: Document) -> str:
    """Returns what is wrong with a ledger that is not one, and where; an unknown key before the one it leaves out."""
    errors = error.errors(include_url=False)
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    where = document.where(tuple(first["loc"]))
    *outer, key = first["loc"]
    mapping = _MAPPINGS.get(tuple(step for step in outer if isinstance(step, str)))
    if first["type"] == "extra_forbidden" and mapping:
        return f"{where}: unknown key: got {key!r}, {suggest(str(key), mapping.model_fields)}"
    if first["type"] == "missing":
        return f"{where}: missing key: got none, expected {key!r}"
    return f"{where}: {first['msg'].lower()}: got {first['input']!r}"
