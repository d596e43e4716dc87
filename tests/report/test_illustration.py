"""The pictures of a report: their selection, order and file names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from retbench.report import Layout, Report, pivot
from retbench.report.figures.sweep import curve_picture
from retbench.report.gallery.exhibit import Gallery
from retbench.report.illustration import illustrate
from retbench.results import Evidence, Row
from tests.report.pixels import without_pdf

LAYOUT = Layout(
    title="Strength [percent]",
    columns=("hasher",),
    rows=("attack", "defense", "variant"),
    metrics=({"name": "map", "label": "MAP"},),
    curve={"option": "t_p", "label": "purify step"},
)


@pytest.fixture
def swept(row: Callable[..., Row], evidence: Callable[..., Evidence]) -> Evidence:
    """A swept defense on two datasets."""
    return evidence(
        row("dhta", "retpur", 0.5, f"t_p={x}", dataset=name) for name in ("digits", "scenes") for x in (1, 2)
    )


@pytest.fixture
def report(swept: Evidence) -> Report:
    """A table without a curve, two tables with a curve, and one of them repeated."""
    pages = pivot(swept, LAYOUT)
    return Report("suite", "", (pages[0]._replace(curve=None), *pages, pages[1]))


def test_the_curves_of_the_tables_come_first_with_unique_stems(report: Report, swept: Evidence) -> None:
    illustrated = illustrate(report, swept, "suite", lambda: None)
    assert [picture.stem for picture in illustrated.pictures][:3] == [
        "suite-strength-percent-dataset-digits",
        "suite-strength-percent-dataset-scenes",
        "suite-strength-percent-dataset-scenes-2",
    ]
    stems = [picture.stem for picture in illustrated.pictures]
    assert len(set(stems)) == len(stems)
    curve = report.tables[1].curve
    assert curve is not None
    assert illustrated.pictures[0] == curve_picture(curve, "suite-strength-percent-dataset-digits")
    assert illustrated.pictures[0].png.startswith(b"\x89PNG")
    assert illustrated.pictures[0].pdf.startswith(b"%PDF")


@pytest.mark.parametrize("gallery", [None, Gallery((), ())])
def test_without_exhibits_there_is_no_gallery(report: Report, swept: Evidence, gallery: Gallery | None) -> None:
    with without_pdf():
        illustrated = illustrate(report, swept, "suite", lambda: gallery)
    assert (illustrated.gallery, illustrated.gallery_pictures) == (None, ())
    assert illustrated.tables == report.tables
