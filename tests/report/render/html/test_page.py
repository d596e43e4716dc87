"""The page as text: its content, and the escaping of all names."""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode, b64encode
from hashlib import sha256

import numpy as np
import pytest

from retbench.metrics import Interval
from retbench.report.figures.picture import Picture
from retbench.report.gallery.exhibit import Exhibit, Gallery, Hit, Ranking
from retbench.report.render.html import as_html
from retbench.report.report import Report
from retbench.report.tables.table import CostLine, Table, TableRow, Value
from retbench.report.tables.unit import Unit
from tests.report.render.html.markup import Page, cells, page_of, table


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    return as_html(report)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_equal_reports_give_equal_pages(report: Report, text: str) -> None:
    assert as_html(report) == text


def test_elements_are_properly_nested(page: Page) -> None:
    assert page.open == []


def test_names_are_never_markup(text: str, page: Page) -> None:
    assert "<script>alert('label')</script>" in page.texts_of("th")
    assert 'A <em>title</em> & "quotes"' in page.texts_of("h2")
    assert "<i>gain</i>" in page.texts_of("button", "sort")
    assert "Distances <clean>" in page.texts_of("figcaption")
    assert not page.find("em")
    assert "alert(" not in "".join(page.texts_of("script"))


def test_the_details_of_a_card_are_read_back_unchanged(page: Page) -> None:
    cards = [json.loads(attributes["data-card"]) for _, attributes in page.find("td") if "data-card" in attributes]
    assert ['"quoted" & <b>', "</script><script>alert(1)</script>"] in [line for card in cards for line in card]


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(page: Page) -> None:
    (policy,) = (
        attributes["content"]
        for _, attributes in page.find("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    ((style, _),) = page.find("style")
    ((script, _),) = [(text, attributes) for text, attributes in page.find("script") if "type" not in attributes]
    hashes = [f"'sha256-{b64encode(sha256(it.encode()).digest()).decode()}'" for it in (style, script)]
    expected = ["default-src 'none'", "img-src data:", f"style-src {hashes[0]}", f"script-src {hashes[1]}"]
    assert policy.split("; ") == expected


def test_there_are_no_style_or_handler_attributes(page: Page) -> None:
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name == "style" or name.startswith("on")]


def test_every_address_is_within_the_page(text: str, page: Page) -> None:
    addresses = [attributes[name] for _, attributes in page.elements for name in ("src", "href") if name in attributes]
    assert {address[:5] for address in addresses if not address.startswith("#")} == {"data:"}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {address[1:] for address in addresses if address.startswith("#")} <= set(ids)
    assert not re.findall(r"@import|url\(|https?:", text)


def test_equal_headers_are_merged_only_under_equal_outer_headers() -> None:
    columns = (("a", "x", "1"), ("a", "x", "2"), ("b", "x", "2"), ("b", "y", "2"))
    elements = page_of(table(*[Value(None, "missing")] * 4, columns=columns)).find("th")
    groups = [
        (text, attributes["colspan"], attributes["data-first"])
        for text, attributes in elements
        if "colspan" in attributes
    ]
    assert groups == [("a", "2", "0"), ("b", "2", "2"), ("x", "2", "0"), ("x", "1", "2"), ("y", "1", "3")]
    leaves = [
        attributes["data-first"]
        for _, attributes in elements
        if "data-first" in attributes and "colspan" not in attributes
    ]
    assert leaves == ["0", "1", "2", "3"]


def test_columns_without_headers_can_be_sorted() -> None:
    page = page_of(table(Value(Interval(0.5, 0.4, 0.6)), columns=((),)))
    assert page.texts_of("button", "sort") == ["Row", "value"]
    assert cells(page) == ["50.00[40.00, 60.00]"]


def test_a_table_is_readable_without_the_script(page: Page) -> None:
    assert page.texts_of("tr", "block") == ["MAP", "T-MAP"]
    assert cells(page)[0] == "99.98[99.96, 100.00]"
    assert all("hidden" in attributes for _, attributes in page.find("div", "tools"))
    assert all("disabled" in attributes for _, attributes in page.find("button", "sort"))


def test_marks_link_to_their_footnotes(page: Page) -> None:
    notes = {
        attributes["id"]: text.split()[0]
        for text, attributes in page.find("li")
        if attributes.get("id", "").startswith("note-")
    }
    assert list(notes.values()) == ["a", "\u2020", "b"]
    marks = [
        (text, attributes["href"][1:]) for text, attributes in page.find("a") if attributes["href"].startswith("#note-")
    ]
    assert {text for text, _ in marks} == set(notes.values())
    assert all(notes[place] == text for text, place in marks)


def test_a_mark_without_a_footnote_is_printed() -> None:
    assert cells(page_of(table(Value(None, "z")))) == ["\u2013z"]


@pytest.mark.parametrize(
    ("interval", "unit", "printed"),
    [
        (Interval(-0.00001, -0.00002, 0.00001), Unit.PERCENT, "0.00[0.00, 0.00]"),
        (Interval(-0.0312, -0.05, -0.01), Unit.PERCENT, "\u22123.12[\u22125.00, \u22121.00]"),
        (Interval(0.1, 0.05, 0.2), Unit.GRAY, "25.50[12.75, 51.00]"),
        (Interval(0.021, 0.0099996, 1234.4), Unit.SECONDS, "0.0210[0.0100, 1234]"),
        (Interval(2.0**30, 2.0**29, 2.0**31), Unit.MEBIBYTES, "1024[512, 2048]"),
        (Interval(0.803, math.nan, math.nan), Unit.PERCENT, "80.30"),
        (Interval(0.021, math.nan, math.nan), Unit.SECONDS, "0.0210"),
        (Interval(math.nan, math.nan, math.nan), Unit.PERCENT, "\u2013"),
        (None, Unit.PERCENT, "\u2013"),
    ],
)
def test_a_number_is_printed_in_its_unit(interval: Interval | None, unit: Unit, printed: str) -> None:
    assert cells(page_of(table(Value(interval, unit=unit)))) == [printed]


def test_cells_are_sorted_by_the_number_in_its_unit_and_a_dash_has_none() -> None:
    gray = Value(Interval(0.1, 0.05, 0.2), unit=Unit.GRAY)
    elements = page_of(table(gray, Value(None, "missing"))).find("td")
    assert float(elements[0][1]["data-value"]) == pytest.approx(25.5)
    assert "data-value" not in elements[1][1]


def test_the_published_number_has_its_verdict(page: Page) -> None:
    published = [text for text in cells(page) if "published" in text]
    assert [text.split("published ")[1] for text in published[:3]] == [
        "61.09 agrees +0.42",
        "61.09 differs \u22126.31",
        "41.20 to 61.09 not comparable",
    ]


def test_a_card_has_value_ties_published_number_notes_and_details(report: Report, page: Page) -> None:
    rows, table = report.tables[0].rows, report.tables[0]
    elements = [json.loads(attributes["data-card"]) for _, attributes in page.find("td") if "data-card" in attributes]
    differs = dict(elements[4 * 1 + 1])
    assert differs["published"] == "61.09 (RetPur, Table 1): differs by \u22126.31"
    tied = dict(elements[4 * 2 + 1])
    assert tied["ties"] == "12.04 to 81.33, depending on the order of tied items"
    assert tied["note b"] == table.footnotes[2][1]
    assert tied["value"].endswith(" %")
    for at, value in enumerate(rows[2].values):
        assert list(value.details) == [tuple(line) for line in elements[4 * 2 + at]][-len(value.details) :]
    skipped = dict(elements[4 * 10 + 3])
    assert "value" not in skipped
    assert skipped["note a"] == table.footnotes[0][1]


def test_a_number_without_an_interval_is_printed_alone_and_can_be_sorted() -> None:
    ((text, attributes),) = page_of(table(Value(Interval(0.803, math.nan, math.nan)))).find("td")
    assert (text, float(attributes["data-value"])) == ("80.30", pytest.approx(80.3))
    assert json.loads(attributes["data-card"]) == [["value", "80.30 %"]]


def test_a_column_leaves_room_for_intervals_only_if_it_has_any() -> None:
    with_interval, without = Value(Interval(0.5, 0.4, 0.6)), Value(Interval(0.5, math.nan, math.nan))
    rows = (TableRow("", "one", (with_interval, without)), TableRow("", "other", (without, Value(None, "missing"))))
    page = page_of(Table("Title", (("a",), ("b",)), rows, (), ""))
    assert cells(page) == ["50.00[40.00, 60.00]", "50.00", "50.00", "\u2013"]
    assert page.texts_of("span", "interval") == ["[40.00, 60.00]", ""]


def test_a_legend_explains_only_the_emphases_in_the_table() -> None:
    plain, bold = Value(Interval(0.5, 0.4, 0.6)), Value(Interval(0.5, 0.4, 0.6), emphasis="best")
    assert page_of(table(plain)).texts_of("p", "legend") == []
    assert page_of(table(bold)).texts_of("p", "legend") == [
        "Bold: the best of the compared cells, significantly different from all others."
    ]


def test_costs_are_in_seconds_and_mebibytes_and_equal_ends_are_one_number() -> None:
    costs = (CostLine("P2P", (0.21, 0.2101), None, (2.0**29, 2.0**31)),)
    assert cells(page_of(table(Value(None, "missing"), costs=costs)))[1:] == [
        "0.210",
        "\u2013",
        "512 to 2048",
        "\u2013",
    ]


@pytest.mark.parametrize(
    ("text", "code"), [("use `--set a=1` here", ["--set a=1"]), ("a ` alone", []), ("`<b>` & `c`", ["<b>", "c"])]
)
def test_text_between_backticks_is_code(text: str, code: list[str]) -> None:
    page = page_of(table(Value(None, "missing"), caption=text))
    assert page.texts_of("code") == code
    assert page.texts_of("p", "caption") == [text if not code else text.replace("`", "")]


def test_every_picture_is_embedded_once(report: Report, text: str) -> None:
    assert report.gallery is not None
    images = [*report.gallery.images, *(picture.png for picture in report.pictures)]
    assert {image: text.count(b64encode(image).decode()) for image in images} == {
        image: images.count(image) for image in images
    }


def test_image_indices_of_the_gallery_refer_to_its_images(report: Report, page: Page) -> None:
    assert report.gallery is not None
    ((images, _),) = [
        (text, attributes) for text, attributes in page.find("script") if attributes.get("id") == "images"
    ]
    assert [b64decode(address.split(",")[1]) for address in json.loads(images)] == list(report.gallery.images)
    shown = [int(attributes["data-image"]) for _, attributes in page.find("img") if "data-image" in attributes]
    first = report.gallery.exhibits[0]
    hits = [hit.image for ranking in first.rankings for hit in ranking.hits]
    assert shown[: 4 + len(hits)] == [first.clean, first.perturbation, first.attacked, first.purified, *hits]


def test_the_description_of_an_answer_has_its_relevance(page: Page) -> None:
    kinds = {
        attributes["alt"].split(": ")[1]
        for _, attributes in page.find("img")
        if attributes.get("alt", "").startswith("answer ")
    }
    assert kinds == {
        "relevant to the query",
        "relevant to the attacker's target",
        "relevant to the query, relevant to the attacker's target",
    }


def test_an_exhibit_has_its_amplification_change_and_precisions(page: Page) -> None:
    assert "perturbation \u00d7 12" in page.texts_of("figcaption")
    shown = next(text for text in page.texts_of("summary") if "DPSH" in text)
    change = "T-AP \u221287.57 points under attack (median change of all queries)"
    assert shown == f"digits \u00b7 DPSH \u00b7 P2P \u00b7 RetPur {change} query query-0000"
    assert page.texts_of("h4")[0] == "before the attack AP 99.61 \u00b7 T-AP 10.22"


def test_a_nan_average_precision_is_a_dash() -> None:
    ranking = Ranking("before", math.nan, 0.5, (Hit(0, 1, False, False),))
    shown = Exhibit("d", "h", "a", "", "7", "median change", math.nan, "c", "", 10.0, 0, 0, 0, None, (ranking,))
    page = page_of(gallery=Gallery((shown,), (b"png",)))
    assert page.texts_of("h4") == ["before AP \u2013"]
    assert page.texts_of("summary") == [
        "d \u00b7 h \u00b7 a AP \u2013 points under attack (median change of all queries) query 7"
    ]
    assert "answer 1: not relevant" in [attributes.get("alt") for _, attributes in page.find("img")]


def test_an_untargeted_attack_has_no_target_and_no_t_ap(report: Report) -> None:
    assert report.gallery is not None
    exhibits = tuple(
        shown._replace(
            target="",
            rankings=tuple(
                it._replace(t_map=math.nan, hits=tuple(hit._replace(wanted=False) for hit in it.hits))
                for it in shown.rankings
            ),
        )
        for shown in report.gallery.exhibits
    )
    page = page_of(gallery=report.gallery._replace(exhibits=exhibits))
    assert page.texts_of("h4")[:3] == ["before the attack AP 99.61", "under attack AP 12.04", "behind RetPur AP 97.12"]
    changes = [text.partition(" points under attack ") for text in page.texts_of("span", "which")]
    assert {(metric.split()[0], kind) for metric, _, kind in changes} == {
        ("AP", "(median change of all queries)"),
        ("AP", "(largest change of all queries)"),
    }
    assert page.texts_of("figcaption")[2] == "attacked"
    gallery = page.texts_of("section")[0]
    assert not [word for word in ("T-AP", "target", "\u2295") if word in gallery]


def test_an_empty_report_is_a_page_with_its_title_only() -> None:
    page = page_of()
    assert page.texts_of("h1") == ["suite"]
    assert page.find("section") == page.find("table") == page.find("h2") == []


def test_a_large_report_is_smaller_than_five_megabytes() -> None:
    draw = np.random.default_rng(0)
    details = tuple((f"label {at}", "x" * 60) for at in range(6))
    rows = tuple(
        TableRow("MAP", f"row {at}", (Value(Interval(0.5, 0.4, 0.6), details=details),) * 4) for at in range(40)
    )
    tables = tuple(Table("Title", tuple((f"column {at}",) for at in range(4)), rows, (), "") for _ in range(6))
    pictures = tuple(Picture(f"p{at}", "Title", "alt", draw.bytes(100_000), b"") for at in range(12))
    rankings = tuple(Ranking("r", 0.5, 0.5, tuple(Hit(at, 1, True, False) for at in range(10))) for _ in range(3))
    shown = Exhibit("d", "h", "a", "p", "7", "median change", 0.5, "c", "t", 10.0, 0, 1, 2, 3, rankings)
    gallery = Gallery((shown,) * 24, tuple(draw.bytes(2_000) for _ in range(600)))
    assert len(as_html(Report("suite", "", tables, pictures, gallery)).encode()) < 5_000_000
