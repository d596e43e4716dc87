"""Renders a report as one HTML page; template, style and script are the data files in this folder."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from retbench.report.render.cell import HASHER_HEADERS, format_hashers, format_quantity, has_queries
from retbench.report.report import Report
from retbench.report.tables.table import Table, TableRow, Value
from retbench.report.tables.unit import Unit

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

MINUS, DASH = "\u2212", "\u2013"


class Header(NamedTuple):
    """A header above adjacent columns: its text, the index of the first column, and the number of columns."""

    text: str
    first: int
    width: int


def as_html(report: Report) -> str:
    """Return a report as the text of one HTML page, to be written as UTF-8; equal for equal reports.

    The page embeds its style, its script and its pictures, and loads nothing else: its content security policy allows
    pictures from `data:` addresses and exactly its own style and script. The tables are readable without the script,
    which sorts and filters rows, hides columns, shows the details of a number, and opens the gallery's pictures.
    A report without tables, pictures or gallery gives a page without those sections.
    """
    style, script = _data("style.css"), _data("script.js")
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    template = _environment().from_string(_data("report.html.j2"))
    return template.render(report=report, policy=policy, style=style, script=script)


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined  # imported here because only pages need it

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {
        "blocks": _blocks,
        "data_address": _data_address,
        "details": _details,
        "format_range": _format_range,
        "has_intervals": _has_intervals,
        "has_number": _has_number,
        "format_hashers": format_hashers,
        "has_queries": has_queries,
        "header_rows": _header_rows,
        "interval": _interval,
        "number": _number,
        "prose": _prose,
        "scaled_range": _scaled_range,
        "signed": _signed,
    }
    environment.globals |= {"Unit": Unit, "DASH": DASH, "HASHER_HEADERS": HASHER_HEADERS}
    return environment


def _data(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return the source expression that allows exactly this inline text (Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _data_address(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _prose(text: str) -> Markup:
    """Return escaped text in which parts between backticks are marked as code."""
    from markupsafe import Markup, escape

    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # an unpaired backtick is an ordinary character
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(it) if at % 2 else it for at, it in enumerate(pieces))


def _header_rows(table: Table) -> list[list[Header]]:
    """Return the headers of each level, outermost first; adjacent headers are merged if they and all above are equal.

    Columns without headers have one level of empty headers, so that they can be sorted by.
    """
    levels = max([1, *(len(column) for column in table.columns)])
    return [_header_row(table, level, innermost=level == levels - 1) for level in range(levels)]


def _header_row(table: Table, level: int, *, innermost: bool) -> list[Header]:
    columns = enumerate(table.columns)
    groups = groupby(columns, key=lambda at: (at[1][: level + 1], at[0] if innermost else None))
    return [Header("".join(column[level : level + 1]), first, 1 + len(rest)) for _, ((first, column), *rest) in groups]


def _blocks(table: Table) -> list[tuple[str, list[TableRow]]]:
    return [(block, list(rows)) for block, rows in groupby(table.rows, key=lambda row: row.block)]


def _has_number(value: Value) -> bool:
    return value.interval is not None and not math.isnan(value.interval.value)


def _number(value: float, unit: Unit = Unit.PERCENT) -> str:
    """Return a number in a unit, as printed; a dash for NaN."""
    return _quantity(unit.scale * value, unit)


def _quantity(quantity: float, unit: Unit = Unit.PERCENT, *, sign: str = "-") -> str:
    """Return a quantity already in a unit, as all formats print it, with a typographic minus; a dash for NaN.

    `sign` is `+` if a plus is printed too.
    """
    if math.isnan(quantity):
        return DASH
    printed = format_quantity(quantity, unit)
    plus = "+" if sign == "+" and not printed.startswith("-") else ""
    return f"{plus}{printed}".replace("-", MINUS)


def _signed(quantity: float, unit: Unit = Unit.PERCENT) -> str:
    return _quantity(quantity, unit, sign="+")


def _interval(value: Value) -> str:
    """Return `[91.20, 94.90]`; an empty text if there is no number or no confidence interval."""
    return f"[{', '.join(bounds)}]" if (bounds := _bounds(value)) else ""


def _has_intervals(table: Table) -> list[bool]:
    """Return for each column whether any of its numbers has an interval, so that the column needs room for it."""
    return [any(map(_bounds, column)) for column in zip(*(row.values for row in table.rows), strict=True)]


def _bounds(value: Value) -> list[str]:
    """Return the bounds of a number's interval, as printed; none if they are NaN."""
    if value.interval is None or any(map(math.isnan, value.interval)):
        return []
    return [_number(end, value.unit) for end in value.interval[1:]]


def _scaled_range(ends: Sequence[float] | None, unit: Unit) -> str:
    """Return the first and the last of numbers in a unit, `0.120 to 3.40`; a dash for none."""
    return DASH if ends is None else _format_range([unit.scale * end for end in ends], unit)


def _format_range(quantities: Sequence[float], unit: Unit) -> str:
    """Return the first and the last of quantities already in a unit; one number if both print alike."""
    return " to ".join(dict.fromkeys(_quantity(end, unit) for end in (quantities[0], quantities[-1])))


def _details(value: Value, table: Table) -> list[tuple[str, str]]:
    """Return label and text of all details of a number, for the card that opens over it."""
    return [*_measured(value), *_published(value), *_notes(value, table), *value.details]


def _measured(value: Value) -> Iterator[tuple[str, str]]:
    if value.interval is None or not _has_number(value):
        return
    yield "value", f"{_number(value.interval.value, value.unit)} {value.unit.symbol}"
    if bounds := _bounds(value):
        yield "interval", " to ".join(bounds)
    if value.tie_range is not None:
        yield "ties", f"{_scaled_range(value.tie_range, value.unit)}, depending on the order of tied items"


def _published(value: Value) -> Iterator[tuple[str, str]]:
    if (published := value.published) is not None:
        by = "" if published.difference is None else f" by {_signed(published.difference, value.unit)}"
        numbers = _format_range(published.values, value.unit)
        yield "published", f"{numbers} ({published.source}): {published.verdict}{by}"


def _notes(value: Value, table: Table) -> Iterator[tuple[str, str]]:
    texts = dict(table.footnotes)
    for mark in (value.mark, *value.notes):
        if mark in texts:
            yield f"note {mark}", texts[mark]
