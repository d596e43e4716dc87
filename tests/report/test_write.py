"""Reports as files: text in several formats, and pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from retbench.errors import UserError
from retbench.report import Layout, Picture, Report, as_html, as_json, as_markdown, pivot, write_report
from retbench.report.figures.palette import reduce_colors
from retbench.report.render import as_csv, as_latex
from retbench.results import Evidence, Row

LAYOUT = Layout(
    title="Strength [percent]",
    columns=("hasher",),
    rows=("attack", "defense", "variant"),
    metrics=({"name": "map", "label": "MAP"}, {"name": "t_map", "label": "T-MAP"}),
    caption="Caption.",
    curve={"option": "t_p", "label": "purify step"},
)


def tiny_png(gray: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 1), (gray, gray, gray)).save(buffer, "PNG")
    return reduce_colors(buffer.getvalue())


PICTURES = (
    Picture("suite-strength", "Strength (dataset digits)", "MAP over purify step, on digits", tiny_png(1), b"PDF 1"),
    Picture("suite-strength-2", "Strength (dataset scenes)", "MAP over purify step, on scenes", tiny_png(2), b"PDF 2"),
    Picture("suite-trade-off", "Trade-off", "T-MAP over MAP", tiny_png(3), b"PDF 3"),
)
GALLERY_PICTURE = Picture("suite-query", "One query", "The answers to a query", tiny_png(4), b"PDF 4")
LINES = (("suite", "suite, digest 0123"), ("versions", "retbench 1.0"))


@pytest.fixture
def report(row: Callable[..., Row], evidence: Callable[..., Evidence]) -> Report:
    """A table without a curve, two tables with a curve, of two datasets; their pictures, and another one."""
    rows = [row("dhta", "retpur", 0.5, f"t_p={x}", dataset=name) for name in ("digits", "scenes") for x in (1, 2)]
    pages = pivot(evidence(rows), LAYOUT)
    plain = pages[0]._replace(title="Plain", curve=None)
    return Report(
        "suite", "A suite.", (plain, *pages), pictures=PICTURES, gallery_pictures=(GALLERY_PICTURE,), provenance=LINES
    )


def test_a_report_is_written_in_every_format_with_its_pictures(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, tmp_path / "out", "suite")
    assert [path.name for path in paths] == [
        "suite.md",
        "suite.html",
        "suite.tex",
        "suite.csv",
        "suite.json",
        *(f"{picture.stem}.{form}" for picture in (*PICTURES, GALLERY_PICTURE) for form in ("png", "pdf")),
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)
    assert all(path.parent == tmp_path / "out" for path in paths)
    for picture in (*PICTURES, GALLERY_PICTURE):
        assert (tmp_path / "out" / f"{picture.stem}.png").read_bytes() == picture.png
        assert (tmp_path / "out" / f"{picture.stem}.pdf").read_bytes() == picture.pdf


def test_each_file_has_the_same_content_as_the_printed_format(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path, "suite")
    written = {path.suffix: path.read_bytes().decode() for path in tmp_path.iterdir() if path.stem == "suite"}
    assert written[".md"] == f"{as_markdown(report, written=True)}\n"
    assert written[".html"] == as_html(report)
    assert written[".tex"] == as_latex(report.tables, report.title)
    assert written[".csv"] == as_csv(report.tables)
    assert written[".json"] == f"{as_json(report, indent=1)}\n"
    assert len(list(csv.reader(io.StringIO(written[".csv"])))) > sum(len(table.rows) for table in report.tables)


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
    assert query.startswith("One query\n\n![The answers to a query](suite-query.png)")


def test_the_markdown_starts_with_the_suite_and_ends_with_the_provenance(report: Report) -> None:
    for text in (as_markdown(report), as_markdown(report, written=True)):
        assert text.startswith("# suite\n\nA suite.\n\n### Plain")
        assert text.endswith("- **suite**: suite, digest 0123\n- **versions**: retbench 1.0")


def test_printed_markdown_explains_how_to_draw_the_curve(report: Report) -> None:
    text = as_markdown(report)
    assert text.count("Curve over purify step: `retbench report --out DIR` draws it.") == 2
    assert "![" not in text


def test_a_written_report_without_pictures_shows_none(report: Report) -> None:
    assert "![" not in as_markdown(report._replace(pictures=(), gallery_pictures=()), written=True)


def test_the_json_has_everything_but_the_bytes_of_pictures(report: Report) -> None:
    written = json.loads(as_json(report))
    assert list(written) == ["title", "description", "tables", "pictures", "provenance"]
    assert (written["title"], written["description"]) == ("suite", "A suite.")
    assert written["pictures"] == [picture.stem for picture in (*PICTURES, GALLERY_PICTURE)]
    assert written["provenance"] == [list(line) for line in LINES]
    for table, record in zip(report.tables, written["tables"], strict=True):
        assert record["title"] == table.title
        assert [line["label"] for line in record["rows"]] == [line.label for line in table.rows]
        for line, row_record in zip(table.rows, record["rows"], strict=True):
            assert [value["interval"] for value in row_record["values"]] == [
                value.interval and value.interval._asdict() for value in line.values
            ]


def test_the_page_needs_no_other_file(report: Report) -> None:
    page = as_html(report)
    assert page.lstrip().lower().startswith("<!doctype html>")
    for picture in PICTURES:
        assert picture.alt in page
        assert f"{picture.stem}.png" not in page.replace("data:", "")
    assert "A suite." in page
    assert GALLERY_PICTURE.alt not in page  # the page has the gallery itself


def test_a_file_in_place_of_the_folder_is_an_error(report: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match=r"folder .*/out: it is not a folder"):
        write_report(report, tmp_path / "out", "suite")


def test_a_folder_that_cannot_be_written_is_an_error_with_the_reason(report: Report) -> None:
    with pytest.raises(UserError, match=r"folder /proc/x: .* cannot be written: No such file or directory"):
        write_report(report, Path("/proc/x"), "suite")
