"""From a report to the text of one HTML page: template, style and script are the data files beside this module."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from retbench.report.render.cell import amount
from retbench.report.report import Report
from retbench.report.tables.table import Table, TableRow, Value
from retbench.report.tables.unit import Unit

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

MINUS, DASH = "\u2212", "\u2013"


class Header(NamedTuple):
    """A header above neighboring columns: its text, the place of the first of them, and how many they are."""

    text: str
    first: int
    width: int


def as_html(report: Report) -> str:
    """Return a report as the text of one HTML page, to be written as UTF-8; equal for equal reports.

    The page embeds its style, its script and its pictures, and asks for nothing else: its content security policy
    allows pictures from `data:` addresses and the very style and script that are in it. Its tables can be read without
    the script, which sorts, filters and hides, shows the details of a number, and opens the gallery's pictures.
    A report without tables, pictures or gallery gives a page without those sections.
    """
    style, script = _data("style.css"), _data("script.js")
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    template = _environment().from_string(_data("report.html.j2"))
    return template.render(report=report, policy=policy, style=style, script=script)


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined  # not where the package is imported: only pages need it

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {
        "between": _between,
        "blocks": _blocks,
        "card": _card,
        "data_address": _data_address,
        "headers": _headers,
        "holds": _holds,
        "interval": _interval,
        "intervals": _intervals,
        "number": _number,
        "prose": _prose,
        "signed": _signed,
        "span": _span,
    }
    environment.globals |= {"Unit": Unit, "DASH": DASH}
    return environment


def _data(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return the source expression that allows exactly this inline text (Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _data_address(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _prose(text: str) -> Markup:
    """Return text, escaped, in which text between backticks is set as code."""
    from markupsafe import Markup, escape

    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # a backtick without a partner is only a backtick
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(it) if at % 2 else it for at, it in enumerate(pieces))


def _headers(table: Table) -> list[list[Header]]:
    """Return the header line of each level, outermost first; headers are one where they and all above are equal.

    Columns without headers have one level of empty ones, so that there is something to sort by.
    """
    levels = max([1, *(len(column) for column in table.columns)])
    return [_line(table, level, innermost=level == levels - 1) for level in range(levels)]


def _line(table: Table, level: int, *, innermost: bool) -> list[Header]:
    columns = enumerate(table.columns)
    groups = groupby(columns, key=lambda at: (at[1][: level + 1], at[0] if innermost else None))
    return [Header("".join(column[level : level + 1]), first, 1 + len(rest)) for _, ((first, column), *rest) in groups]


def _blocks(table: Table) -> list[tuple[str, list[TableRow]]]:
    return [(block, list(rows)) for block, rows in groupby(table.rows, key=lambda row: row.block)]


def _holds(value: Value) -> bool:
    """Return whether there is a number in a place."""
    return value.interval is not None and not math.isnan(value.interval.value)


def _number(value: float, unit: Unit = Unit.PERCENT) -> str:
    """Return a number in a unit, as printed; a dash for NaN."""
    return _amount(unit.scale * value, unit)


def _amount(quantity: float, unit: Unit = Unit.PERCENT, *, sign: str = "-") -> str:
    """Return a quantity already in a unit, as every format prints it, with a typographic minus; a dash for NaN.

    `sign` is `+` where a plus is printed too.
    """
    if math.isnan(quantity):
        return DASH
    printed = amount(quantity, unit)
    plus = "+" if sign == "+" and not printed.startswith("-") else ""
    return f"{plus}{printed}".replace("-", MINUS)


def _signed(quantity: float, unit: Unit = Unit.PERCENT) -> str:
    return _amount(quantity, unit, sign="+")


def _interval(value: Value) -> str:
    """Return `[91.20, 94.90]`; an empty text where there is no number, or nothing is known of how certain it is."""
    return f"[{', '.join(bounds)}]" if (bounds := _bounds(value)) else ""


def _intervals(table: Table) -> list[bool]:
    """Return for each column whether any of its numbers has an interval, and all must leave room for one."""
    return [any(map(_bounds, column)) for column in zip(*(row.values for row in table.rows), strict=True)]


def _bounds(value: Value) -> list[str]:
    """Return the ends of a number's interval, as printed; none where they are NaN."""
    if value.interval is None or any(map(math.isnan, value.interval)):
        return []
    return [_number(end, value.unit) for end in value.interval[1:]]


def _span(ends: Sequence[float] | None, unit: Unit) -> str:
    """Return `0.120 to 3.40`: the first and the last of numbers in a unit; a dash for none."""
    return DASH if ends is None else _between([unit.scale * end for end in ends], unit)


def _between(quantities: Sequence[float], unit: Unit) -> str:
    """Return the first and the last of quantities already in a unit; one where both print alike."""
    return " to ".join(dict.fromkeys(_amount(end, unit) for end in (quantities[0], quantities[-1])))


def _card(value: Value, table: Table) -> list[tuple[str, str]]:
    """Return label and text of all details of a number, for the card that opens over it."""
    return [*_measured(value), *_compared(value), *_remarks(value, table), *value.details]


def _measured(value: Value) -> Iterator[tuple[str, str]]:
    if value.interval is None or not _holds(value):
        return
    yield "value", f"{_number(value.interval.value, value.unit)} {value.unit.symbol}"
    if bounds := _bounds(value):
        yield "interval", " to ".join(bounds)
    if value.tie_range is not None:
        yield "ties", f"{_span(value.tie_range, value.unit)}, by the order inside ties"


def _compared(value: Value) -> Iterator[tuple[str, str]]:
    if (published := value.published) is not None:
        by = "" if published.difference is None else f" by {_signed(published.difference, value.unit)}"
        yield "published", f"{_between(published.values, value.unit)} ({published.source}): {published.verdict}{by}"


def _remarks(value: Value, table: Table) -> Iterator[tuple[str, str]]:
    texts = dict(table.footnotes)
    for mark in (value.mark, *value.notes):
        if mark in texts:
            yield f"note {mark}", texts[mark]
