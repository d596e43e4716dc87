"""Reports as files: Markdown, and the pictures beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retbench.errors import LayoutError, StoreUnwritable
from retbench.report import Layout, Report, as_markdown, make_tables, pivot, write_report
from retbench.report.figure import draw_curve
from retbench.results import Row
from retbench.store import Store

LAYOUT = Layout(
    title="Strength [percent]",
    columns=("hasher",),
    rows=("attack", "defense", "variant"),
    metrics=({"name": "map", "label": "MAP"}, {"name": "t_map", "label": "T-MAP"}),
    caption="Caption.",
    curve={"option": "t_p", "label": "purify step"},
)


@pytest.fixture
def report(row: Callable[..., Row]) -> Report:
    """A table without a curve, and two with one, of equal title and of another data set."""
    rows = [row("dhta", "retpur", 0.5, f"t_p={x}", dataset=name) for name in ("digits", "scenes") for x in (1, 2)]
    pages = pivot(rows, LAYOUT)
    plain = pages[0]._replace(curve=None)
    return Report("suite", "", (plain, *pages, pages[1]), ("Protocol: none.",))


def test_each_curve_is_a_picture_beside_the_report(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, tmp_path / "out", "suite")
    assert [path.name for path in paths] == [
        "suite.md",
        "suite-strength-percent-dataset-digits.png",
        "suite-strength-percent-dataset-scenes.png",
        "suite-strength-percent-dataset-scenes-2.png",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)
    assert report.tables[1].curve is not None
    assert paths[1].read_bytes() == draw_curve(report.tables[1].curve)


def test_the_markdown_shows_a_picture_under_its_table_with_its_words(report: Report, tmp_path: Path) -> None:
    text = write_report(report, tmp_path, "suite")[0].read_text()
    first, second = text.split("### ")[1:3]
    assert "![" not in first
    assert second.rstrip().endswith(
        "Caption.\n\n![Strength (percent) (dataset digits): MAP, T-MAP over purify step; RetPur-DHTA]"
        "(suite-strength-percent-dataset-digits.png)"
    )


def test_printed_markdown_says_how_to_get_the_picture(report: Report) -> None:
    text = as_markdown(report)
    assert text.count("Curve over purify step: `retbench report --out DIR` draws it.") == 3
    assert "![" not in text


def test_a_folder_that_is_a_file_is_no_traceback(report: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(StoreUnwritable, match="it is not a folder"):
        write_report(report, tmp_path / "out", "suite")


def test_of_a_narrowed_suite_only_the_layouts_that_it_answers_are_laid_out(
    row: Callable[..., Row], tmp_path: Path
) -> None:
    plain = LAYOUT.model_copy(update={"curve": None})
    absent = Layout(**{**plain.model_dump(exclude={"select", "curve"}), "select": [{"attack": "p2p"}]})
    rows, store = [row("dhta", "none", 0.5)], Store(tmp_path)
    shown = make_tables(rows, [plain, absent, LAYOUT], store, narrowed=True)
    assert [table.title for table in shown] == [plain.title]
    for narrowed, layouts in ((False, [plain, absent]), (True, [absent])):
        with pytest.raises(LayoutError, match="selects none of the 1 rows"):
            make_tables(rows, layouts, store, narrowed=narrowed)
