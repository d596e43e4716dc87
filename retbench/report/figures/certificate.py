"""Certified recall: the share of queries whose first answer is certified to stay relevant within each radius."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from retbench.report.figures.chart import Line, Panel, ReferenceLine
from retbench.report.figures.panel_data import Condition, PanelData
from retbench.report.figures.retrieval import depths_of, line_name, make_line
from retbench.report.tables.sample import share_reaching

POINTS = 101
REFERENCE = "Recall@1 of clean queries, no defense"


def certificate_panel(data: PanelData) -> Panel | None:
    """Return the share of queries, in percent, whose certified radius is at least r, over r; None without radii.

    r runs from 0 to the largest radius of any condition, or to 1 if no radius is above 0. The reference line is the
    precision of the first answer to clean queries without a defense, if it is known.
    """
    samples = {}
    for condition in data.rows:
        if sample := data.sample(condition, "certified_radius"):
            samples[condition] = sample
    largest = max((float(sample.values.nan_to_num(0.0).max()) for sample in samples.values()), default=0.0)
    radii = torch.linspace(0, largest if largest > 0 else 1.0, POINTS, dtype=torch.float64).tolist()
    candidates = (
        make_line(data, condition, radii, [share_reaching(sample, radius) for radius in radii])
        for condition, sample in samples.items()
    )
    lines = tuple(line for line in candidates if line)
    if not lines:
        return None
    return Panel(data.title, ", ".join(map(_summary, lines)), lines, references=tuple(_references(data)))


def _references(data: PanelData) -> Iterator[ReferenceLine]:
    """Yield the precision of the first answer to clean queries; nothing if it is unknown."""
    clean = Condition()
    depths, sample = depths_of(data, clean), data.sample(clean, "map_depth")
    if depths is None or sample is None or 1 not in depths.tolist():
        return
    first = sample.values[:, :, depths.tolist().index(1)]
    if not bool(first.isnan().all()):
        yield ReferenceLine(REFERENCE, 100 * float(first.nanmean()))


def _summary(line: Line) -> str:
    """Return a line's value at radius 0, and the largest radius that keeps at least half of it."""
    half = max(x for x, value in zip(line.xs, line.values, strict=True) if value >= line.values[0] / 2)
    return f"{line_name(line)} {line.values[0]:.1f} % at radius 0, at least half of that up to radius {half:.2g}"
