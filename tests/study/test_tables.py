"""Tables, a report and a study in a notebook."""

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


def make_value(**fields: Any) -> Value:
    return Value(HALF, **fields)


def make_table(values: tuple[Value, ...] = (make_value(),) * 4, **fields: Any) -> Table:
    defaults: dict[str, Any] = {"columns": COLUMNS, "rows": (TableRow("MAP", "original", values),), "footnotes": ()}
    return Table(**{"title": "Title", "caption": "", **defaults, **fields})


def parse_html(table: Table) -> ElementTree.Element:
    """Return the HTML of a table as a tree; it is well-formed except for line breaks, which have no end tag."""
    (shown,) = Tables([table])
    return ElementTree.fromstring(f"<div>{shown._repr_html_().replace('<br>', '<br/>')}</div>")


def headers(tree: ElementTree.Element) -> list[list[tuple[str, str]]]:
    lines = (line.findall("th")[1:] for line in tree.findall("table/thead/tr"))
    return [[(cell.text or "", cell.get("colspan", "1")) for cell in line] for line in lines]


def test_equal_headers_are_joined_below_equal_headers() -> None:
    assert headers(parse_html(make_table())) == [
        [("Toy", "3"), ("Digits", "1")],
        [("DPSH", "2"), ("DPH", "1"), ("DPH", "1")],
        [("16", "1"), ("32", "1"), ("32", "1"), ("32", "1")],
    ]


def test_equal_columns_have_separate_headers_on_the_last_level() -> None:
    assert headers(parse_html(make_table(columns=(("Toy",),) * 4))) == [[("Toy", "1")] * 4]


def test_a_block_has_a_heading_above_its_rows() -> None:
    rows = [
        TableRow(block, label, (make_value(),) * 4) for block, label in (("MAP", "a"), ("MAP", "b"), ("T-MAP", "a"))
    ]
    lines = parse_html(make_table(rows=tuple(rows))).findall("table/tbody/tr")
    assert [line[0].text for line in lines] == ["MAP", "a", "b", "T-MAP", "a"]
    assert [line[0].get("colspan") for line in lines] == ["5", None, None, "5", None]
    bare = parse_html(make_table(rows=(TableRow("", "a", (make_value(),) * 4),))).findall("table/tbody/tr")
    assert [line[0].text for line in bare] == ["a"]


def test_the_best_is_strong_and_ties_are_underlined() -> None:
    values = (
        make_value(emphasis="best"),
        make_value(emphasis="tied"),
        make_value(),
        Value(None, "missing", emphasis="best"),
    )
    best, tied, plain, missing = parse_html(make_table(values)).findall("table/tbody/tr/td")
    assert [best.findtext("strong"), tied.findtext("u"), plain.text] == ["50.00", "50.00", "50.00"]
    assert ElementTree.tostring(missing, "unicode") == "<td>\u2013</td>"


def test_a_value_has_its_interval_ties_and_marks() -> None:
    values = (
        make_value(tie_range=TieRange(0.1, 0.9), notes=("a", "b")),
        Value(None, "c"),
        make_value(unit=Unit.GRAY),
        make_value(),
    )
    noted, skipped, gray, _ = parse_html(make_table(values, footnotes=(("a", "first"), ("c", "later")))).findall(
        ".//td"
    )
    assert [line.text for line in noted.findall("small")] == ["[25.00, 75.00]", "ties 10.00 to 90.00"]
    assert [noted.findtext("sup"), skipped.findtext("sup")] == ["a,b", "c"]
    assert gray.text == "127.50"


def test_every_text_is_escaped() -> None:
    script = "<script>alert('&')</script>"
    table = make_table(
        title=script,
        columns=((script,),) * 4,
        rows=(TableRow(script, script, (make_value(notes=(script,)),) * 4),),
        footnotes=((script, script),),
        caption=script,
        provenance=((script, script),),
    )
    html = Tables([table])._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 1 + 4 + 2 + 4 + 2 + 1 + 2
    assert script in "".join(parse_html(table).itertext())


def test_a_table_without_columns_and_notes_is_displayed() -> None:
    tree = parse_html(make_table((), columns=()))
    assert [line[0].text for line in tree.findall("table/tbody/tr")] == ["MAP", "original"]
    assert [child.tag for child in tree] == ["h4", "table"]


def test_tables_are_a_sequence_and_display_every_table() -> None:
    both = Tables([make_table(title="one"), make_table(title="two")])
    assert [table.title for table in both] == ["one", "two"]
    assert both[0] == make_table(title="one")
    assert isinstance(both[1:], Tables)
    assert both[1:][0] == both[-1]
    assert both._repr_html_() == both[0]._repr_html_() + both[1]._repr_html_()
    assert str(both) == repr(both) == both.to_markdown()
    assert both.to_markdown().count("### ") == 2


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of toys that was run."""
    store = tmp_path_factory.mktemp("shown") / "store <&>"
    return evaluate(dataset=ToyDataset(), hasher=ToyHasher(), attack="none", bits=8, store=store, progress=False)


def test_a_notebook_displays_the_page_of_a_report(study: Study, tmp_path: Path) -> None:
    report = study.report(pictures=False)
    (frame,) = re.findall(
        r'<iframe srcdoc="([^"]*)" sandbox="allow-scripts" style="[^"]*"></iframe>', report._repr_html_()
    )
    assert unescape(frame) == as_html(report)
    pages = [path for path in study.report(tmp_path, pictures=False) if path.suffix == ".html"]
    assert [page.read_text(encoding="utf-8") for page in pages] == [unescape(frame)]


def test_a_notebook_displays_the_plan_and_the_store_of_a_study(study: Study) -> None:
    html = study._repr_html_()
    assert study.plan()._repr_html_() in html
    assert "1 cells: 0 to run, 1 stored, 0 skipped" in html
    assert "store &lt;&amp;&gt;" in html
