"""How one place of a table is printed, and one line of its costs: the pieces that all formats share."""

from __future__ import annotations

import math
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from retbench.metrics import Interval
from retbench.report.tables.table import Emphasis, Published, Table, Value
from retbench.report.tables.unit import Unit

DASH = "\u2013"
COST_HEADERS = ("Cost per image", "attack (s)", "defense (s)", "peak memory (MiB)")
REMEMBERED = 1 << 14
"""Texts whose printed form is kept: the names of a large table come thousands of times."""


class Cell(NamedTuple):
    """The pieces of a place, as printed.

    Attributes:
        value: `93.12`, or a dash.
        interval: `[91.20, 94.90]`; empty where there is no number.
        marks: of footnotes.
        ties: `ties 85.00 to 97.10`; empty where the order inside ties moves nothing.
        published: `published 61.09`, `difference -3.10` and `agrees`; without a difference where there is none, and
            empty where nothing was published.
        emphasis: of the value; empty for a dash.
    """

    value: str
    interval: str
    marks: tuple[str, ...]
    ties: str
    published: tuple[str, ...]
    emphasis: Emphasis

    @property
    def beneath(self) -> tuple[str, ...]:
        """The lines under the number: ties, and what was published."""
        return tuple(line for line in (self.ties, ", ".join(self.published)) if line)


def compose(value: Value) -> Cell:
    """Return the pieces of a place."""
    interval, unit, tie_range = value.interval, value.unit, value.tie_range
    empty = interval is None or math.isnan(interval.value)
    marks = (*((value.mark,) if value.mark not in ("", "missing") else ()), *value.notes)
    return Cell(
        DASH if interval is None or empty else amount(unit.scale * interval.value, unit),
        "" if interval is None or math.isnan(interval.low) else _bounds(interval, unit),
        marks,
        f"ties {between([unit.scale * end for end in tie_range], unit)}" if tie_range else "",
        _published(value.published, unit) if value.published else (),
        "" if empty else value.emphasis,
    )


def number(interval: Interval | None, unit: Unit) -> str:
    """Return `93.12 [91.20, 94.90]`: a value in a unit, with its interval; a dash for none.

    Percent and gray levels have two decimals, seconds three significant digits, mebibytes none.
    """
    cell = compose(Value(interval, unit=unit))
    return f"{cell.value} {cell.interval}".rstrip()


def percent(interval: Interval | None) -> str:
    """Return a value of 0..1 in percent with its interval; a dash for none."""
    return number(interval, Unit.PERCENT)


def amount(quantity: float, unit: Unit) -> str:
    """Return a quantity already scaled to its unit, such as `93.12`; one that rounds to nothing has no sign."""
    places = {Unit.SECONDS: _places(quantity), Unit.MEBIBYTES: 0}.get(unit, 2)
    return f"{round(quantity, places) + 0.0:.{places}f}"  # adding 0 turns -0.00 into 0.00


def between(ends: list[float], unit: Unit) -> str:
    """Return the least and the most of scaled quantities, `0.0210 to 0.0340`; one number where both print alike."""
    return " to ".join(dict.fromkeys(amount(end, unit) for end in (min(ends), max(ends))))


def cost_lines(table: Table) -> list[tuple[str, str, str, str]]:
    """Return label, seconds of attack and defense, and peak memory of each row; empty where nothing was computed."""
    return [
        (
            cost.label,
            _range(cost.attack, Unit.SECONDS),
            _range(cost.defense, Unit.SECONDS),
            _range(cost.memory, Unit.MEBIBYTES),
        )
        for cost in table.costs
    ]


def flag(mark: str) -> str:
    """Return the mark of a footnote in plain text: letters in brackets, other signs bare."""
    return f"({mark})" if mark.isalpha() else mark


@lru_cache(maxsize=REMEMBERED)
def one_line(text: str) -> str:
    """Return a text on one line: runs of white space and of control characters as one space."""
    return " ".join("".join(" " if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in text).split())


def _bounds(interval: Interval, unit: Unit) -> str:
    return f"[{amount(unit.scale * interval.low, unit)}, {amount(unit.scale * interval.high, unit)}]"


def _published(published: Published, unit: Unit) -> tuple[str, ...]:
    values = f"published {between(list(published.values), unit)}"
    if published.difference is None:
        return (values, published.verdict)
    difference = amount(published.difference, unit)
    sign = "+" if float(difference) > 0 else ""
    return (values, f"difference {sign}{difference}", published.verdict)


def _places(quantity: float) -> int:
    """Return the decimals of three significant digits; none for what is large, infinite or no number."""
    rounded = float(f"{quantity:.2e}")  # so that 0.9996 is 1.00
    if rounded == 0 or not math.isfinite(rounded):
        return 2
    return max(0, 2 - math.floor(math.log10(abs(rounded))))


def _range(ends: tuple[float, float] | None, unit: Unit) -> str:
    return between([unit.scale * end for end in ends], unit) if ends else DASH
