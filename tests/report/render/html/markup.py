"""A parsed page, and pages of small tables."""

from __future__ import annotations

from html.parser import HTMLParser

from retbench.report.render.html import as_html
from retbench.report.report import Report
from retbench.report.tables.table import Table, TableRow, Value

VOID = {"meta", "link", "img", "input"}


class Page(HTMLParser):
    """A parsed page: its start tags with their attributes, and the text inside each element, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append("")
        if tag not in VOID:
            self.open.append(len(self.texts) - 1)

    def handle_endtag(self, tag: str) -> None:
        at = self.open.pop()
        assert self.elements[at][0] == tag, f"</{tag}> closes <{self.elements[at][0]}>"

    def handle_data(self, data: str) -> None:
        for at in self.open:
            self.texts[at] += data

    def find(self, tag: str, css: str = "") -> list[tuple[str, dict[str, str]]]:
        """Return text and attributes of the elements of a tag and, if given, of a class."""
        elements = zip(self.elements, self.texts, strict=True)
        return [
            (text, attributes)
            for (name, attributes), text in elements
            if name == tag and css in ("", *_classes(attributes))
        ]

    def texts_of(self, tag: str, css: str = "") -> list[str]:
        return [" ".join(text.split()) for text, _ in self.find(tag, css)]


def _classes(attributes: dict[str, str]) -> list[str]:
    return attributes.get("class", "").split()


def table(*values: Value, columns: tuple[tuple[str, ...], ...] = (), **rest: object) -> Table:
    headers = columns or tuple((f"column {at}",) for at in range(len(values)))
    row = TableRow("", "RetPur", values)
    return Table("Title", headers, (row,), **{"footnotes": (), "caption": "", **rest})  # type: ignore[arg-type]  # built from parts


def page_of(*tables: Table, **rest: object) -> Page:
    return Page(as_html(Report("suite", "", tables, **rest)))  # type: ignore[arg-type]  # built from parts


def cells(page: Page) -> list[str]:
    return page.texts_of("td")
