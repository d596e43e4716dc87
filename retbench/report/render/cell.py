"""The printed form of a table's cell and of its costs, shared by all formats."""

from __future__ import annotations

import math
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from retbench.metrics import Interval
from retbench.report.tables.table import Emphasis, PublishedValue, Table, Value
from retbench.report.tables.unit import Unit

DASH = "\u2013"
COST_HEADERS = ("Cost per image", "attack (s)", "defense (s)", "peak memory (MiB)", "change (gray levels)")
HASHER_HEADERS = ("Hasher", "MAP of chance (%)", "T-MAP of chance (%)", "distinct codes", "largest code (%)")
QUERY_HEADERS = ("access", "queries")
CACHED_TEXTS = 1 << 14
"""Texts whose printed form is cached: names are repeated thousands of times in a large table."""


class PrintedCell(NamedTuple):
    """The parts of a cell, as printed.

    Attributes:
        value: `93.12`, or a dash.
        interval: `[91.20, 94.90]`; empty if there is no number.
        marks: of footnotes.
        ties: `ties 85.00 to 97.10`; empty if the order of tied items makes no difference.
        published: `published 61.09`, `difference -3.10` and `agrees`; no difference if the numbers are not comparable,
            and empty if nothing was published.
        emphasis: of the value; empty for a dash.
    """

    value: str
    interval: str
    marks: tuple[str, ...]
    ties: str
    published: tuple[str, ...]
    emphasis: Emphasis

    @property
    def lines_below(self) -> tuple[str, ...]:
        """The lines below the number: ties, and the published number."""
        return tuple(line for line in (self.ties, ", ".join(self.published)) if line)


def format_value(value: Value) -> PrintedCell:
    """Return the printed parts of a cell."""
    interval, unit, tie_range = value.interval, value.unit, value.tie_range
    empty = interval is None or math.isnan(interval.value)
    marks = (*((value.mark,) if value.mark not in ("", "missing") else ()), *value.notes)
    return PrintedCell(
        DASH if interval is None or empty else format_quantity(unit.scale * interval.value, unit),
        "" if interval is None or math.isnan(interval.low) else _bounds(interval, unit),
        marks,
        f"ties {format_range([unit.scale * end for end in tie_range], unit)}" if tie_range else "",
        _published(value.published, unit) if value.published else (),
        "" if empty else value.emphasis,
    )


def format_interval(interval: Interval | None, unit: Unit) -> str:
    """Return a value in a unit with its interval, `93.12 [91.20, 94.90]`; a dash for none.

    Percent and gray levels have two decimals, queries one, seconds three significant digits, mebibytes none.
    """
    cell = format_value(Value(interval, unit=unit))
    return f"{cell.value} {cell.interval}".rstrip()


def format_percent(interval: Interval | None) -> str:
    """Return a value in 0..1 in percent with its interval; a dash for none."""
    return format_interval(interval, Unit.PERCENT)


def format_quantity(quantity: float, unit: Unit) -> str:
    """Return a quantity already scaled to its unit, for example `93.12`; one that rounds to 0 has no sign."""
    decimals = {Unit.SECONDS: _decimals(quantity), Unit.MEBIBYTES: 0, Unit.QUERIES: 1}.get(unit, 2)
    return f"{round(quantity, decimals) + 0.0:.{decimals}f}"  # adding 0 turns -0.00 into 0.00


def format_range(ends: list[float], unit: Unit) -> str:
    """Return the minimum and the maximum of scaled quantities, `0.0210 to 0.0340`; one number if both print alike."""
    return " to ".join(dict.fromkeys(format_quantity(end, unit) for end in (min(ends), max(ends))))


def cost_headers(table: Table) -> tuple[str, ...]:
    """Return the headers of a table's costs, with those of access and queries if an attack is black-box."""
    return (*COST_HEADERS, *QUERY_HEADERS) if has_queries(table) else COST_HEADERS


def has_queries(table: Table) -> bool:
    """Return whether a black-box attack is among the rows of a table."""
    return any(cost.queries for cost in table.costs)


def format_costs(table: Table) -> list[tuple[str, ...]]:
    """Return label, seconds of attack and defense, peak memory and change of each row; empty if nothing was computed.

    With a black-box attack among the rows, each also has the access of its attack, and the mean queries used.
    """
    lines = [
        (
            cost.label,
            _scaled_range(cost.attack, Unit.SECONDS),
            _scaled_range(cost.defense, Unit.SECONDS),
            _scaled_range(cost.memory, Unit.MEBIBYTES),
            _scaled_range(cost.change, Unit.GRAY),
            cost.access or DASH,
            _scaled_range(cost.queries, Unit.QUERIES),
        )
        for cost in table.costs
    ]
    return [line[: len(cost_headers(table))] for line in lines]


def format_hashers(table: Table) -> list[tuple[str, ...]]:
    """Return label, chance levels, distinct codes and the share of the most frequent one of each hasher."""
    return [
        (
            line.label,
            *(_percent(level) for level in (line.chance, line.target_chance)),
            f"{line.codes} of {line.items}",
            _percent(line.largest),
        )
        for line in table.hashers
    ]


def format_mark(mark: str) -> str:
    """Return the mark of a footnote in plain text: letters in parentheses, other marks as they are."""
    return f"({mark})" if mark.isalpha() else mark


@lru_cache(maxsize=CACHED_TEXTS)
def one_line(text: str) -> str:
    """Return a text on one line, with each run of white space and control characters replaced by one space."""
    return " ".join("".join(" " if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in text).split())


def _percent(value: float) -> str:
    return DASH if math.isnan(value) else format_quantity(Unit.PERCENT.scale * value, Unit.PERCENT)


def _bounds(interval: Interval, unit: Unit) -> str:
    return f"[{format_quantity(unit.scale * interval.low, unit)}, {format_quantity(unit.scale * interval.high, unit)}]"


def _published(published: PublishedValue, unit: Unit) -> tuple[str, ...]:
    values = f"published {format_range(list(published.values), unit)}"
    if published.difference is None:
        return (values, published.verdict)
    difference = format_quantity(published.difference, unit)
    sign = "+" if float(difference) > 0 else ""
    return (values, f"difference {sign}{difference}", published.verdict)


def _decimals(quantity: float) -> int:
    """Return the number of decimals for three significant digits; 0 for quantities from 100, 2 for 0, inf and NaN."""
    rounded = float(f"{quantity:.2e}")  # so that 0.9996 is 1.00
    if rounded == 0 or not math.isfinite(rounded):
        return 2
    return max(0, 2 - math.floor(math.log10(abs(rounded))))


def _scaled_range(ends: tuple[float, float] | None, unit: Unit) -> str:
    return format_range([unit.scale * end for end in ends], unit) if ends else DASH
