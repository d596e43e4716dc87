"""A report with its pictures: which there are, in which order, under which names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from retbench.report import Layout, Report, pivot
from retbench.report.figures.sweep import curve_picture
from retbench.report.gallery.exhibit import Gallery
from retbench.report.illustration import illustrate
from retbench.results import Evidence, Row

LAYOUT = Layout(
    title="Strength [percent]",
    columns=("hasher",),
    rows=("attack", "defense", "variant"),
    metrics=({"name": "map", "label": "MAP"},),
    curve={"option": "t_p", "label": "purify step"},
)


@pytest.fixture
def told(row: Callable[..., Row], evidence: Callable[..., Evidence]) -> Evidence:
    """A swept defense on two datasets."""
    return evidence(
        row("dhta", "retpur", 0.5, f"t_p={x}", dataset=name) for name in ("digits", "scenes") for x in (1, 2)
    )


@pytest.fixture
def report(told: Evidence) -> Report:
    """A table without a curve, two with one, and one of them again."""
    pages = pivot(told, LAYOUT)
    return Report("suite", "", (pages[0]._replace(curve=None), *pages, pages[1]))


def test_the_curves_of_the_tables_come_first_under_names_of_their_own(report: Report, told: Evidence) -> None:
    made = illustrate(report, told, "suite", lambda: None)
    assert [picture.stem for picture in made.pictures][:3] == [
        "suite-strength-percent-dataset-digits",
        "suite-strength-percent-dataset-scenes",
        "suite-strength-percent-dataset-scenes-2",
    ]
    stems = [picture.stem for picture in made.pictures]
    assert len(set(stems)) == len(stems)
    curve = report.tables[1].curve
    assert curve is not None
    assert made.pictures[0] == curve_picture(curve, "suite-strength-percent-dataset-digits")
    assert made.pictures[0].png.startswith(b"\x89PNG")
    assert made.pictures[0].pdf.startswith(b"%PDF")


@pytest.mark.parametrize("gallery", [None, Gallery((), ())])
def test_without_queries_to_show_there_is_no_gallery(report: Report, told: Evidence, gallery: Gallery | None) -> None:
    made = illustrate(report, told, "suite", lambda: gallery)
    assert (made.gallery, made.showcases) == (None, ())
    assert made.tables == report.tables
