"""Reports as files: text in several formats, and the pictures beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from retbench.errors import UserError
from retbench.report import Layout, Picture, Report, as_html, as_json, as_markdown, pivot, write_report
from retbench.report.render import as_csv, document
from retbench.results import Evidence, Row

LAYOUT = Layout(
    title="Strength [percent]",
    columns=("hasher",),
    rows=("attack", "defense", "variant"),
    metrics=({"name": "map", "label": "MAP"}, {"name": "t_map", "label": "T-MAP"}),
    caption="Caption.",
    curve={"option": "t_p", "label": "purify step"},
)
PICTURES = (
    Picture("suite-strength", "Strength (dataset digits)", "MAP over purify step, on digits", b"PNG 1", b"PDF 1"),
    Picture("suite-strength-2", "Strength (dataset scenes)", "MAP over purify step, on scenes", b"PNG 2", b"PDF 2"),
    Picture("suite-trade-off", "Trade-off", "T-MAP over MAP", b"PNG 3", b"PDF 3"),
)
SHOWCASE = Picture("suite-query", "One query", "What a query found", b"PNG 4", b"PDF 4")
LINES = (("suite", "suite, digest 0123"), ("versions", "retbench 1.0"))


@pytest.fixture
def report(row: Callable[..., Row], evidence: Callable[..., Evidence]) -> Report:
    """A table without a curve, and two with one, of two datasets; their pictures, and another one."""
    rows = [row("dhta", "retpur", 0.5, f"t_p={x}", dataset=name) for name in ("digits", "scenes") for x in (1, 2)]
    pages = pivot(evidence(rows), LAYOUT)
    plain = pages[0]._replace(title="Plain", curve=None)
    return Report("suite", "What it is.", (plain, *pages), pictures=PICTURES, showcases=(SHOWCASE,), provenance=LINES)


def test_a_report_is_written_in_every_format_with_its_pictures(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, tmp_path / "out", "suite")
    assert [path.name for path in paths] == [
        "suite.md",
        "suite.html",
        "suite.tex",
        "suite.csv",
        "suite.json",
        *(f"{picture.stem}.{form}" for picture in (*PICTURES, SHOWCASE) for form in ("png", "pdf")),
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)
    assert all(path.parent == tmp_path / "out" for path in paths)
    for picture in (*PICTURES, SHOWCASE):
        assert (tmp_path / "out" / f"{picture.stem}.png").read_bytes() == picture.png
        assert (tmp_path / "out" / f"{picture.stem}.pdf").read_bytes() == picture.pdf


def test_each_file_holds_what_is_printed(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path, "suite")
    told = {path.suffix: path.read_bytes().decode() for path in tmp_path.iterdir() if path.stem == "suite"}
    assert told[".md"] == f"{as_markdown(report, written=True)}\n"
    assert told[".html"] == as_html(report)
    assert told[".tex"] == document(report.tables, report.title)
    assert told[".csv"] == as_csv(report.tables)
    assert told[".json"] == f"{as_json(report, indent=1)}\n"
    assert len(list(csv.reader(io.StringIO(told[".csv"])))) > sum(len(table.rows) for table in report.tables)


def test_a_report_written_again_replaces_the_first(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path, "suite")
    write_report(report._replace(title="other", pictures=PICTURES[:1]), tmp_path, "suite")
    assert (tmp_path / "suite.md").read_text().startswith("# other\n")


def test_the_markdown_shows_each_curve_under_its_table_and_the_rest_at_the_end(report: Report) -> None:
    text = as_markdown(report, written=True)
    plain, first, second, rest, query = text.split("### ")[1:]
    assert "![" not in plain
    assert "Caption." in first
    assert first.count("](suite-strength.png)") == first.count("![") == 1
    assert second.count("](suite-strength-2.png)") == second.count("![") == 1
    assert rest.startswith("Trade-off\n\n![T-MAP over MAP](suite-trade-off.png)")
    assert query.startswith("One query\n\n![What a query found](suite-query.png)")


def test_the_markdown_starts_with_the_suite_and_ends_with_what_it_rests_on(report: Report) -> None:
    for text in (as_markdown(report), as_markdown(report, written=True)):
        assert text.startswith("# suite\n\nWhat it is.\n\n### Plain")
        assert text.endswith("- **suite**: suite, digest 0123\n- **versions**: retbench 1.0")


def test_printed_markdown_says_how_to_get_the_picture(report: Report) -> None:
    text = as_markdown(report)
    assert text.count("Curve over purify step: `retbench report --out DIR` draws it.") == 2
    assert "![" not in text


def test_a_written_report_without_pictures_shows_none(report: Report) -> None:
    assert "![" not in as_markdown(report._replace(pictures=(), showcases=()), written=True)


def test_the_json_names_everything_but_the_bytes(report: Report) -> None:
    told = json.loads(as_json(report))
    assert list(told) == ["title", "description", "tables", "pictures", "provenance"]
    assert (told["title"], told["description"]) == ("suite", "What it is.")
    assert told["pictures"] == [picture.stem for picture in (*PICTURES, SHOWCASE)]
    assert told["provenance"] == [list(line) for line in LINES]
    for table, record in zip(report.tables, told["tables"], strict=True):
        assert record["title"] == table.title
        assert [line["label"] for line in record["rows"]] == [line.label for line in table.rows]
        for line, written in zip(table.rows, record["rows"], strict=True):
            assert [value["interval"] for value in written["values"]] == [
                value.interval and value.interval._asdict() for value in line.values
            ]


def test_the_page_needs_no_other_file(report: Report) -> None:
    page = as_html(report)
    assert page.lstrip().lower().startswith("<!doctype html>")
    for picture in PICTURES:
        assert picture.alt in page
        assert f"{picture.stem}.png" not in page.replace("data:", "")
    assert "What it is." in page
    assert SHOWCASE.alt not in page  # it has the gallery itself


def test_a_folder_that_is_a_file_is_no_traceback(report: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match=r"--out .*/out: it is not a folder"):
        write_report(report, tmp_path / "out", "suite")


def test_a_place_that_cannot_be_written_is_named_with_the_reason(report: Report) -> None:
    with pytest.raises(UserError, match=r"--out /proc/x: .* cannot be written: No such file or directory"):
        write_report(report, Path("/proc/x"), "suite")
