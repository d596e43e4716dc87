"""The pictures of a report beside the curves of its tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

from retbench.report.figures.chart import Chart, Panel
from retbench.report.figures.kinds import KINDS, Kind
from retbench.report.figures.picture import Picture, picture_of
from retbench.report.figures.setting import NONE, Group, Names, group_rows
from retbench.report.filename import fresh_stem, slug
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

PANELS = 6
"""As many panels a picture has; what is left makes further pictures."""
_STRONGEST = (
    "Of the defenses only those under the strongest attack are shown: the attack that has the highest T-MAP without a "
    "defense, or, where any attack is untargeted, the lowest MAP."
)


class _Page(NamedTuple):
    """A chart, its file's name without what all begin with, and its description."""

    stem: str
    chart: Chart
    alt: str


def make_pictures(evidence: Evidence, name: str, names: Names = printed_name) -> tuple[Picture, ...]:
    """Return the pictures that a suite's rows have the values for; none where they have for none.

    The kinds are those of `kinds.KINDS`: precision over recall, precision among the first N answers, certified
    recall, and MAP recovered under attack over clean MAP lost and over seconds. Each comes once for each task, code
    length and threat, with a panel for each dataset and hasher, six at most. Only done rows without swept options and
    without a surrogate count; where a kind would have no picture, rows with swept options do too. Seeds are pooled.
    Where a panel would have more than 8 lines, `choice.choose` picks those that stay, and title and description note
    it.

    Args:
        evidence: the rows and their per-query values.
        name: the pictures' stems begin with it.
        names: the printed name of a value of an axis.

    Raises:
        LayoutError: seeds of a cell were scored on other queries.
    """
    plain, swept = (group_rows(evidence, names, swept=also) for also in (False, True))
    pictures: list[Picture] = []
    taken: set[str] = set()
    for kind in KINDS:
        for page in _pages(kind, plain, evidence, names) or _pages(kind, swept, evidence, names):
            stem = fresh_stem(f"{slug(name)}-{page.stem}", taken)
            pictures.append(picture_of(page.chart, stem, page.alt))
    return tuple(pictures)


def _pages(kind: Kind, groups: Sequence[Group], evidence: Evidence, names: Names) -> list[_Page]:
    return [page for group in groups for page in _group_pages(kind, group, evidence, names)]


def _group_pages(kind: Kind, group: Group, evidence: Evidence, names: Names) -> Iterator[_Page]:
    found = [(panel, setting) for setting in group.settings if (panel := kind.panel(setting))]
    for start in range(0, len(found), PANELS):
        panels = tuple(panel for panel, _ in found[start : start + PANELS])
        things = [thing for panel in panels for thing in panel.things]
        row = next(iter(found[start][1].rows.values()))
        level = f"{100 * cast(float, row.protocol['confidence']):g} %"
        number = f"({start // PANELS + 1} of {math.ceil(len(found) / PANELS)})" if len(found) > PANELS else ""
        chart = Chart(
            title=_title(kind, group, panels, number),
            x_label=kind.x_label,
            y_label=kind.y_label,
            scale=kind.scale,
            whole=kind.whole,
            panels=panels,
            hues=_ordered(evidence, names, "defense", [thing.hue for thing in things]),
            marks=_ordered(evidence, names, "attack", [thing.mark for thing in things]),
        )
        yield _Page("-".join(piece for piece in (kind.stem, group.stem) if piece), chart, _alt(kind, panels, level))


def _title(kind: Kind, group: Group, panels: Sequence[Panel], number: str) -> str:
    which = ": clean queries, attacks, and defenses under the strongest attack"
    shown = which if any(panel.note for panel in panels) else ""
    return " ".join(piece for piece in (f"{', '.join((kind.title, *group.words))}{shown}", number) if piece)


def _alt(kind: Kind, panels: Sequence[Panel], level: str) -> str:
    """Return what panels show: first what they have in common, then the numbers of each."""
    noted = _STRONGEST if any(panel.note for panel in panels) else ""
    each = (f"{panel.title}{f' ({panel.note})' if panel.note else ''}: {panel.summary}" for panel in panels)
    levels: dict[str, list[str]] = {}
    for panel in panels:
        for drawn in panel.levels:
            levels.setdefault(drawn.label, []).append(f"{panel.title} {drawn.value:.1f} %")
    compared = (f"{label}: {', '.join(values)}." for label, values in levels.items())
    return " ".join(filter(None, (kind.alt.format(level=level), noted, f"{'; '.join(each)}.", *compared)))


def _ordered(evidence: Evidence, names: Names, axis: str, drawn: Iterable[str]) -> tuple[str, ...]:
    """Return printed names in the order of the suite's rows, so that a name looks alike in all its pictures."""
    labels = dict.fromkeys(getattr(row, axis) for row in evidence.rows)
    return tuple(dict.fromkeys([*(names(axis, label) for label in labels if label != NONE), *filter(None, drawn)]))
