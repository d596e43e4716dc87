"""Models of layouts and ledgers, which are YAML data, and the message for a document that does not fit its model."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails

from retbench.document import Document
from retbench.errors import suggest


class Schema(BaseModel):
    """A model of a mapping in YAML: immutable, and without other keys than its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Schemas = Mapping[tuple[str, ...], type[BaseModel]]
"""The models of a document's mappings by the keys that lead to each; items of a list are at the key of the list."""


def describe_validation_error(error: ErrorDetails, document: Document, schemas: Schemas) -> str:
    """Return one of the errors with which a model refuses a document, with its file, line and column."""
    where = document.locate(tuple(error["loc"]))
    *outer, key = error["loc"] or ("",)
    if error["type"] == "missing":
        return f"{where}: missing key: got none, expected {key!r}"
    if error["type"] == "extra_forbidden":
        schema = schemas.get(tuple(step for step in outer if isinstance(step, str)))
        near = f", {suggest(str(key), schema.model_fields)}" if schema else ""
        return f"{where}: unknown key: got {key!r}{near}"
    return f"{where}: {error['msg'].lower()}: got {error['input']!r}"
