"""Models of a ledger of published numbers as written in YAML, before its names are checked."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from retbench.document import Document
from retbench.errors import ClaimError
from retbench.report.tables.pattern import Pattern
from retbench.report.yaml_model import ModelsByPath, YamlModel, describe_validation_error


class CellAxes(YamlModel):
    """The axes that a row, a table or the whole ledger fixes."""

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
        """The axes that are fixed, with their values."""
        return self.model_dump(include=set(CellAxes.model_fields), exclude_none=True)


DEFAULT_AXES = CellAxes(attack="none", surrogate="none", defense="none", threat="oblivious", variant="")
"""The values of axes that nothing fixes."""


class RowModel(CellAxes):
    """A row of a table: its metric, its fixed axes, its name in print and its values, null for a blank."""

    metric: str
    printed: str
    values: tuple[Any, ...]


class TableModel(YamlModel):
    """A table: the axes that its columns fix, with their values for each column, and its rows."""

    table: str | int
    title: str
    cells: CellAxes = CellAxes()
    across: tuple[str, ...]
    columns: tuple[tuple[str | int, ...], ...]
    rows: tuple[RowModel, ...]


class Conditions(YamlModel):
    """How a paper measured the cells that match a pattern; null for what it does not state. Later entries win."""

    when: Pattern = Field(default_factory=dict)
    values: dict[str, bool | int | float | str | list[Any] | None]


class Note(YamlModel):
    """A remark on the cells that match a pattern."""

    cells: Pattern
    text: str


class LedgerModel(YamlModel):
    """A ledger as written."""

    claims: str
    paper: str
    title: str
    authors: str
    source: str
    decimals: int = Field(2, ge=0, le=6)
    cells: CellAxes = CellAxes()
    conditions: tuple[Conditions, ...] = ()
    tables: tuple[TableModel, ...] = Field(min_length=1)
    notes: tuple[Note, ...] = ()


_MODELS: ModelsByPath = {
    (): LedgerModel,
    ("cells",): CellAxes,
    ("conditions",): Conditions,
    ("tables",): TableModel,
    ("tables", "cells"): CellAxes,
    ("tables", "rows"): RowModel,
    ("notes",): Note,
}


def parse_ledger(document: Document) -> LedgerModel:
    """Return the ledger in a document.

    Raises:
        ClaimError: a key is unknown or missing, or a value has the wrong type.
    """
    try:
        return LedgerModel(**document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        raise ClaimError(describe_validation_error(first, document, _MODELS)) from None
