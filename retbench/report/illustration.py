"""A report with its pictures: the curves of its tables, what its rows give besides, and its gallery."""

from __future__ import annotations

from collections.abc import Callable

from retbench.report.figures import make_pictures
from retbench.report.figures.picture import Picture
from retbench.report.figures.sweep import curve_picture
from retbench.report.filename import fresh_stem, slug
from retbench.report.gallery.exhibit import Gallery
from retbench.report.gallery.showcase import make_showcases
from retbench.report.report import Report
from retbench.results import Evidence


def illustrate(report: Report, evidence: Evidence, name: str, gallery: Callable[[], Gallery | None]) -> Report:
    """Return a report with its pictures and its gallery, which is made here because it reads images.

    Args:
        report: without pictures.
        evidence: what its tables were made of.
        name: what the pictures' files begin with.
        gallery: makes the gallery, or None where there is none.
    """
    made = gallery()
    taken: set[str] = set()
    curves = [table.curve for table in report.tables if table.curve]
    pictures = [curve_picture(curve, fresh_stem(f"{slug(name)}-{slug(curve.title)}", taken)) for curve in curves]
    pictures += [_fresh(picture, taken) for picture in make_pictures(evidence, name)]
    if made is None or not made.exhibits:
        return report._replace(pictures=tuple(pictures))
    showcases = tuple(_fresh(picture, taken) for picture in make_showcases(made, name))
    return report._replace(pictures=tuple(pictures), gallery=made, showcases=showcases)


def _fresh(picture: Picture, taken: set[str]) -> Picture:
    """Return a picture whose files are called like no other's of the report."""
    return picture._replace(stem=fresh_stem(picture.stem, taken))
