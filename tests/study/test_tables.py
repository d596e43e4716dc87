"""Tables, a report and a study as a notebook shows them."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from retbench import Study, evaluate
from retbench.metrics import Interval
from retbench.report import Table, TableRow, Value, as_html
from retbench.report.tables.unit import Unit
from retbench.results import TieRange
from retbench.study.tables import Tables
from retbench.testing import ToyDataset, ToyHasher

COLUMNS = (("Toy", "DPSH", "16"), ("Toy", "DPSH", "32"), ("Toy", "DPH", "32"), ("Digits", "DPH", "32"))
HALF = Interval(0.5, 0.25, 0.75)


def place(**more: Any) -> Value:
    return Value(HALF, **more)


def table(values: tuple[Value, ...] = (place(),) * 4, **more: Any) -> Table:
    given: dict[str, Any] = {"columns": COLUMNS, "rows": (TableRow("MAP", "original", values),), "footnotes": ()}
    return Table(**{"title": "Title", "caption": "", **given, **more})


def shown(made: Table) -> ElementTree.Element:
    """Return the HTML of a table as a tree; it is well-formed but for line breaks, which need no end."""
    (first,) = Tables([made])
    return ElementTree.fromstring(f"<div>{first._repr_html_().replace('<br>', '<br/>')}</div>")


def headers(tree: ElementTree.Element) -> list[list[tuple[str, str]]]:
    lines = (line.findall("th")[1:] for line in tree.findall("table/thead/tr"))
    return [[(cell.text or "", cell.get("colspan", "1")) for cell in line] for line in lines]


def test_headers_of_several_levels_are_joined_where_all_above_them_is_equal() -> None:
    assert headers(shown(table())) == [
        [("Toy", "3"), ("Digits", "1")],
        [("DPSH", "2"), ("DPH", "1"), ("DPH", "1")],
        [("16", "1"), ("32", "1"), ("32", "1"), ("32", "1")],
    ]


def test_equal_columns_keep_a_header_each_on_the_last_level() -> None:
    assert headers(shown(table(columns=(("Toy",),) * 4))) == [[("Toy", "1")] * 4]


def test_a_block_has_a_line_of_its_own_above_its_rows() -> None:
    rows = [TableRow(block, label, (place(),) * 4) for block, label in (("MAP", "a"), ("MAP", "b"), ("T-MAP", "a"))]
    lines = shown(table(rows=tuple(rows))).findall("table/tbody/tr")
    assert [line[0].text for line in lines] == ["MAP", "a", "b", "T-MAP", "a"]
    assert [line[0].get("colspan") for line in lines] == ["5", None, None, "5", None]
    bare = shown(table(rows=(TableRow("", "a", (place(),) * 4),))).findall("table/tbody/tr")
    assert [line[0].text for line in bare] == ["a"]


def test_the_best_is_strong_and_ties_are_underlined() -> None:
    values = (place(emphasis="best"), place(emphasis="tied"), place(), Value(None, "missing", emphasis="best"))
    best, tied, plain, missing = shown(table(values)).findall("table/tbody/tr/td")
    assert [best.findtext("strong"), tied.findtext("u"), plain.text] == ["50.00", "50.00", "50.00"]
    assert ElementTree.tostring(missing, "unicode") == "<td>\u2013</td>"


def test_a_place_has_its_interval_ties_and_marks() -> None:
    values = (place(tie_range=TieRange(0.1, 0.9), notes=("a", "b")), Value(None, "c"), place(unit=Unit.GRAY), place())
    noted, skipped, gray, _ = shown(table(values, footnotes=(("a", "first"), ("c", "later")))).findall(".//td")
    assert [line.text for line in noted.findall("small")] == ["[25.00, 75.00]", "ties 10.00 to 90.00"]
    assert [noted.findtext("sup"), skipped.findtext("sup")] == ["a,b", "c"]
    assert gray.text == "127.50"


def test_every_text_is_escaped() -> None:
    evil = "<script>alert('&')</script>"
    made = table(
        title=evil,
        columns=((evil,),) * 4,
        rows=(TableRow(evil, evil, (place(notes=(evil,)),) * 4),),
        footnotes=((evil, evil),),
        caption=evil,
        provenance=((evil, evil),),
    )
    html = Tables([made])._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 1 + 4 + 2 + 4 + 2 + 1 + 2
    assert evil in "".join(shown(made).itertext())


def test_a_table_without_columns_or_notes_is_still_one() -> None:
    tree = shown(table((), columns=()))
    assert [line[0].text for line in tree.findall("table/tbody/tr")] == ["MAP", "original"]
    assert [child.tag for child in tree] == ["h4", "table"]


def test_tables_are_a_sequence_and_show_all_of_themselves() -> None:
    both = Tables([table(title="one"), table(title="two")])
    assert [each.title for each in both] == ["one", "two"]
    assert both[0] == table(title="one")
    assert isinstance(both[1:], Tables)
    assert both[1:][0] == both[-1]
    assert both._repr_html_() == both[0]._repr_html_() + both[1]._repr_html_()
    assert str(both) == repr(both) == both.to_markdown()
    assert both.to_markdown().count("### ") == 2


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of toys, which has been run."""
    store = tmp_path_factory.mktemp("shown") / "store <&>"
    return evaluate(dataset=ToyDataset(), hasher=ToyHasher(), attack="none", bits=8, store=store, progress=False)


def test_a_report_shows_the_page_that_is_written(study: Study, tmp_path: Path) -> None:
    made = study.report(pictures=False)
    (frame,) = re.findall(
        r'<iframe srcdoc="([^"]*)" sandbox="allow-scripts" style="[^"]*"></iframe>', made._repr_html_()
    )
    assert unescape(frame) == as_html(made)
    pages = [path for path in study.report(tmp_path, pictures=False) if path.suffix == ".html"]
    assert [page.read_text(encoding="utf-8") for page in pages] == [unescape(frame)]


def test_a_study_shows_its_plan_and_where_its_store_is(study: Study) -> None:
    html = study._repr_html_()
    assert study.plan()._repr_html_() in html
    assert "1 cells: 0 to run, 1 stored, 0 skipped" in html
    assert "store &lt;&amp;&gt;" in html
