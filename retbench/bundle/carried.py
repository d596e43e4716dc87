"""What a bundle says that nothing in it can confirm."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from retbench.bundle.bundle import Bundle
from retbench.results import Row

FIELDS = ("cost", "details", "caveats", "variant")
"""Fields of a row."""
ALWAYS = (
    "that no row was left out",
    "that codes come from the images, weights and options that recipes name",
    "that labels are those of the data sets",
    "the names of classes",
    "the suite's title and description, and the versions that made it",
    "that the suite's text is what was run",
)
"""Of any bundle."""


def carried_by_row(row: Row, stages: Collection[Any]) -> Iterator[str]:
    """Yields what a row says that must be believed, by field.

    Args:
        row: one that is done.
        stages: of the steps behind it: what no attack and no purifier touched leaves less to confirm.
    """
    yield from (name for name in FIELDS if getattr(row, name))
    attack = row.options.get("attack")
    yield from ("budget.norm",) if row.budget else ()
    told = isinstance(attack, Mapping) and "eps" in attack
    yield from ("budget.eps",) if row.budget.get("eps") is not None and not told else ()
    yield from ("options.dataset",) if row.options.get("dataset") else ()
    yield from (f"data.{name}" for name in ("train", "image_size") if name in row.data)
    if "purify" not in stages:
        yield "threat without a purifier"
        yield from ("protocol.quantise of clean queries",) if "attack" not in stages else ()


def carried_by_bundle(bundle: Bundle) -> Iterator[str]:
    """Yields what a bundle says that must be believed and belongs to no row with numbers."""
    yield from ALWAYS
    told = {
        "the texts of layouts": bundle.layouts,
        "the texts of claims": bundle.claims,
        "the gallery": bundle.galleries,
        "why rows have no numbers": [row for row in bundle.evidence.rows if row.status != "done"],
    }
    yield from (name for name, value in told.items() if value)
