"""The figures that a report has in addition to the curves of its tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

from retbench.report.figures.chart import Chart, Panel
from retbench.report.figures.kinds import FIGURE_KINDS, FigureKind
from retbench.report.figures.panel_data import NONE, FigureGroup, NameLookup, group_rows
from retbench.report.figures.picture import Picture, picture_of
from retbench.report.filename import slug, unique_stem
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

MAX_PANELS = 6
"""Panels that a figure may have; more panels make more figures."""
_STRONGEST = (
    "Of the defenses, only those under the strongest attack are shown: the attack with the highest T-MAP without a "
    "defense or, if any attack is untargeted, with the lowest MAP."
)


class _Figure(NamedTuple):
    """A chart, the part of its file's name that distinguishes it, and its description."""

    stem: str
    chart: Chart
    alt: str


def make_pictures(evidence: Evidence, name: str, names: NameLookup = printed_name) -> tuple[Picture, ...]:
    """Return the figures that a suite's rows have the values for, which may be none.

    The kinds are `kinds.FIGURE_KINDS`: precision over recall, precision among the first N answers, certified recall,
    and MAP recovered under attack over clean MAP lost and over seconds. There is one figure for each kind, task, code
    length and threat, with a panel for each dataset and hasher, six at most. Only done rows without a surrogate and
    without swept options are used; if a kind would have no figure, rows with swept options are used too. Seeds are
    pooled. If a panel would have more than 8 lines, `selection.select_conditions` selects some, and title and
    description note it.

    Args:
        evidence: the rows and their per-query values.
        name: the start of the pictures' stems.
        names: the printed name of a value of an axis.

    Raises:
        LayoutError: seeds of a cell were scored on different queries.
    """
    plain, swept = (group_rows(evidence, names, swept=also) for also in (False, True))
    pictures: list[Picture] = []
    taken: set[str] = set()
    for kind in FIGURE_KINDS:
        for figure in _figures(kind, plain, evidence, names) or _figures(kind, swept, evidence, names):
            stem = unique_stem(f"{slug(name)}-{figure.stem}", taken)
            pictures.append(picture_of(figure.chart, stem, figure.alt))
    return tuple(pictures)


def _figures(kind: FigureKind, groups: Sequence[FigureGroup], evidence: Evidence, names: NameLookup) -> list[_Figure]:
    return [figure for group in groups for figure in _group_figures(kind, group, evidence, names)]


def _group_figures(kind: FigureKind, group: FigureGroup, evidence: Evidence, names: NameLookup) -> Iterator[_Figure]:
    drawable = [(panel, data) for data in group.panels if (panel := kind.panel(data))]
    for start in range(0, len(drawable), MAX_PANELS):
        panels = tuple(panel for panel, _ in drawable[start : start + MAX_PANELS])
        series = [series for panel in panels for series in panel.series]
        row = next(iter(drawable[start][1].rows.values()))
        level = f"{100 * cast(float, row.protocol['confidence']):g} %"
        count = math.ceil(len(drawable) / MAX_PANELS)
        number = f"({start // MAX_PANELS + 1} of {count})" if count > 1 else ""
        chart = Chart(
            title=_title(kind, group, panels, number),
            x_label=kind.x_label,
            y_label=kind.y_label,
            scale=kind.scale,
            full_percent_range=kind.full_percent_range,
            panels=panels,
            color_groups=_ordered(evidence, names, "defense", [each.color_group for each in series]),
            marker_groups=_ordered(evidence, names, "attack", [each.marker_group for each in series]),
        )
        stem = "-".join(piece for piece in (kind.stem, group.stem) if piece)
        yield _Figure(stem, chart, _alt(kind, panels, level))


def _title(kind: FigureKind, group: FigureGroup, panels: Sequence[Panel], number: str) -> str:
    selection = ": clean queries, attacks, and defenses under the strongest attack"
    shown = selection if any(panel.note for panel in panels) else ""
    return " ".join(piece for piece in (f"{', '.join((kind.title, *group.title_parts))}{shown}", number) if piece)


def _alt(kind: FigureKind, panels: Sequence[Panel], level: str) -> str:
    """Return the description of a figure: first what its panels have in common, then the numbers of each."""
    selection = _STRONGEST if any(panel.note for panel in panels) else ""
    each = (f"{panel.title}{f' ({panel.note})' if panel.note else ''}: {panel.summary}" for panel in panels)
    references: dict[str, list[str]] = {}
    for panel in panels:
        for line in panel.references:
            references.setdefault(line.label, []).append(f"{panel.title} {line.value:.1f} %")
    compared = (f"{label}: {', '.join(values)}." for label, values in references.items())
    return " ".join(filter(None, (kind.alt.format(level=level), selection, f"{'; '.join(each)}.", *compared)))


def _ordered(evidence: Evidence, names: NameLookup, axis: str, drawn: Iterable[str]) -> tuple[str, ...]:
    """Return printed names in the order of the suite's rows, so that a name has the same style in all its figures."""
    labels = dict.fromkeys(getattr(row, axis) for row in evidence.rows)
    return tuple(dict.fromkeys([*(names(axis, label) for label in labels if label != NONE), *filter(None, drawn)]))
