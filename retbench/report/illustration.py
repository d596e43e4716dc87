"""Adds pictures to a report: the curves of its tables, further figures of its rows, and its gallery."""

from __future__ import annotations

from collections.abc import Callable

from retbench.report.figures import make_pictures
from retbench.report.figures.picture import Picture
from retbench.report.figures.sweep import curve_picture
from retbench.report.filename import slug, unique_stem
from retbench.report.gallery.exhibit import Gallery
from retbench.report.gallery.gallery_figure import make_gallery_pictures
from retbench.report.report import Report
from retbench.results import Evidence


def illustrate(report: Report, evidence: Evidence, name: str, gallery: Callable[[], Gallery | None]) -> Report:
    """Return a report with its pictures and its gallery.

    Args:
        report: a report without pictures.
        evidence: the evidence that its tables were made from.
        name: the start of the pictures' file names.
        gallery: makes the gallery, which reads images; returns None if there is none.
    """
    made = gallery()
    taken: set[str] = set()
    curves = [table.curve for table in report.tables if table.curve]
    pictures = [curve_picture(curve, unique_stem(f"{slug(name)}-{slug(curve.title)}", taken)) for curve in curves]
    pictures += [_with_unique_stem(picture, taken) for picture in make_pictures(evidence, name)]
    if made is None or not made.exhibits:
        return report._replace(pictures=tuple(pictures))
    gallery_pictures = tuple(_with_unique_stem(picture, taken) for picture in make_gallery_pictures(made, name))
    return report._replace(pictures=tuple(pictures), gallery=made, gallery_pictures=gallery_pictures)


def _with_unique_stem(picture: Picture, taken: set[str]) -> Picture:
    return picture._replace(stem=unique_stem(picture.stem, taken))
