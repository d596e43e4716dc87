"""Models of layouts and ledgers, which are YAML data, and the message for a document that violates its model."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails

from retbench.document import Document
from retbench.errors import suggest


class YamlModel(BaseModel):
    """A model of a YAML mapping: immutable, with no keys other than its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


ModelsByPath = Mapping[tuple[str, ...], type[BaseModel]]
"""The models of a document's mappings by the keys that lead to them; the items of a list have the list's key."""


def describe_validation_error(error: ErrorDetails, document: Document, models: ModelsByPath) -> str:
    """Return the message of a validation error, with its file, line and column."""
    location = document.locate(tuple(error["loc"]))
    *outer, key = error["loc"] or ("",)
    if error["type"] == "missing":
        return f"{location}: missing key: got none, expected {key!r}"
    if error["type"] == "extra_forbidden":
        model = models.get(tuple(step for step in outer if isinstance(step, str)))
        nearest = f", {suggest(str(key), model.model_fields)}" if model else ""
        return f"{location}: unknown key: got {key!r}{nearest}"
    return f"{location}: {error['msg'].lower()}: got {error['input']!r}"
