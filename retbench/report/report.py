"""A suite's report: tables, pictures, a gallery, and their provenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from retbench.report.figures.picture import Picture
from retbench.report.gallery.exhibit import Gallery
from retbench.report.tables.layout import Layout
from retbench.report.tables.pivot import pivot
from retbench.report.tables.table import PublishedComparator, Table
from retbench.results import Evidence


class Report(NamedTuple):
    """The content of a report, in whatever format it is printed or written.

    Attributes:
        title, description: of the suite.
        tables: one or more for each layout, in order.
        pictures: the tables' curves, then the other figures; none unless `illustrate` added them.
        gallery: single queries and their answers; None unless `illustrate` added it.
        provenance: label and text of each line on the whole report.
        gallery_pictures: the first exhibits of the gallery as pictures, for formats that cannot show a gallery.
    """

    title: str
    description: str
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...] = ()
    gallery: Gallery | None = None
    provenance: tuple[tuple[str, str], ...] = ()
    gallery_pictures: tuple[Picture, ...] = ()


def make_tables(
    evidence: Evidence,
    layouts: Sequence[Layout],
    *,
    narrowed: bool = False,
    comparator: PublishedComparator | None = None,
    uniform: bool = False,
) -> tuple[Table, ...]:
    """Return the tables of several layouts, in order; a paired layout without a pair gives none.

    Args:
        evidence: the rows and the source of their numbers.
        layouts: at least one.
        narrowed: whether the rows are only a part of a suite's; layouts without results are then left out, unless that
            would leave none.
        comparator: compares each number with the published one.
        uniform: refuse tables that mix devices, precisions, versions or numbers of threads in training.

    Raises:
        LayoutError: see `pivot`.
        UserError: `uniform`, and a table mixes devices, precisions, versions or numbers of threads.
    """
    with_results = [layout for layout in layouts if layout.has_results_in(evidence.rows)] if narrowed else []
    return tuple(
        table for layout in with_results or layouts for table in pivot(evidence, layout, comparator, uniform=uniform)
    )
