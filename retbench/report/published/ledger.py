"""A ledger of published numbers as it is written in YAML, before its names are looked up."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from retbench.document import Document
from retbench.errors import ClaimError
from retbench.report.schema import Schema, Schemas, describe_misfit
from retbench.report.tables.pattern import Pattern


class Cells(Schema):
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


class WrittenTable(Schema):
    """A table: the axes its columns fix, and their values for each column."""

    table: str | int
    title: str
    cells: Cells = Cells()
    across: tuple[str, ...]
    columns: tuple[tuple[str | int, ...], ...]
    rows: tuple[Line, ...]


class Conditions(Schema):
    """How a paper measured the cells that match a pattern; null for what it does not state. Later entries win."""

    when: Pattern = Field(default_factory=dict)
    values: dict[str, bool | int | float | str | list[Any] | None]


class Note(Schema):
    """A remark on the cells that a pattern holds for."""

    cells: Pattern
    text: str


class WrittenLedger(Schema):
    """A ledger as it is written."""

    claims: str
    paper: str
    title: str
    authors: str
    source: str
    decimals: int = Field(2, ge=0, le=6)
    cells: Cells = Cells()
    conditions: tuple[Conditions, ...] = ()
    tables: tuple[WrittenTable, ...] = Field(min_length=1)
    notes: tuple[Note, ...] = ()


_SCHEMAS: Schemas = {
    (): WrittenLedger,
    ("cells",): Cells,
    ("conditions",): Conditions,
    ("tables",): WrittenTable,
    ("tables", "cells"): Cells,
    ("tables", "rows"): Line,
    ("notes",): Note,
}


def check_ledger(document: Document) -> WrittenLedger:
    """Return the ledger in a document. Raises ClaimError: it has another shape, or a key that is not one of it."""
    try:
        return WrittenLedger(**document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        raise ClaimError(describe_misfit(first, document, _SCHEMAS)) from None
