"""A suite's report: tables, pictures, a gallery, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from retbench.report.figures.picture import Picture
from retbench.report.gallery.exhibit import Gallery
from retbench.report.tables.layout import Layout
from retbench.report.tables.pivot import pivot
from retbench.report.tables.table import Judge, Table
from retbench.results import Evidence


class Report(NamedTuple):
    """What is printed, or written to files.

    Attributes:
        title, description: the suite's.
        tables: by its layouts, in order.
        pictures: the tables' curves, then what the rows give besides; none unless `illustrate` added them.
        gallery: single queries and what they found; None unless `illustrate` added it.
        provenance: label and text of lines on the whole report.
        showcases: the first of the gallery as pictures, for formats that cannot show it itself.
    """

    title: str
    description: str
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...] = ()
    gallery: Gallery | None = None
    provenance: tuple[tuple[str, str], ...] = ()
    showcases: tuple[Picture, ...] = ()


def make_tables(
    evidence: Evidence,
    layouts: Sequence[Layout],
    *,
    narrowed: bool = False,
    judge: Judge | None = None,
    uniform: bool = False,
) -> tuple[Table, ...]:
    """Return the tables of several layouts, in order; a paired layout without a pair gives none.

    `narrowed` rows are a part of a suite's: a layout that they have nothing for is left out, unless that leaves none.
    With a judge, each number has the published one beside it.

    Raises:
        LayoutError: see `pivot`.
        UserError: `uniform`, and a table mixes devices, precisions or versions.
    """
    answered = [layout for layout in layouts if layout.answered_by(evidence.rows)] if narrowed else []
    return tuple(table for layout in answered or layouts for table in pivot(evidence, layout, judge, uniform=uniform))
