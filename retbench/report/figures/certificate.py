"""Certified recall: how many queries keep a relevant first answer within each radius."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from retbench.report.figures.chart import Level, Line, Panel
from retbench.report.figures.retrieval import depths_of, line_name, make_line
from retbench.report.figures.setting import Condition, Setting
from retbench.report.tables.sample import share_of

POINTS = 101
LEVEL = "Recall@1 of clean queries, no defense"


def certificate_panel(setting: Setting) -> Panel | None:
    """Return the share of queries, in percent, whose certified radius is at least r, over r; None without radii.

    r runs from 0 to the largest radius of any condition; where none is above 0, to 1. The level is the precision of the
    first answer to clean queries without a defense, where it is known.
    """
    found = {condition: setting.sample(condition, "certified_radius") for condition in setting.rows}
    samples = {condition: sample for condition, sample in found.items() if sample}
    largest = max((float(sample.values.nan_to_num(0.0).max()) for sample in samples.values()), default=0.0)
    radii = torch.linspace(0, largest if largest > 0 else 1.0, POINTS, dtype=torch.float64).tolist()
    drawn = (
        make_line(setting, condition, radii, [share_of(sample, radius) for radius in radii])
        for condition, sample in samples.items()
    )
    lines = tuple(line for line in drawn if line)
    if not lines:
        return None
    return Panel(setting.title, ", ".join(map(_summary, lines)), lines, levels=tuple(_levels(setting)))


def _levels(setting: Setting) -> Iterator[Level]:
    """Yield the precision of the first answer to clean queries; nothing where it is not known."""
    clean = Condition()
    depths, sample = depths_of(setting, clean), setting.sample(clean, "map_depth")
    if depths is None or sample is None or 1 not in depths.tolist():
        return
    first = sample.values[:, :, depths.tolist().index(1)]
    if not bool(first.isnan().all()):
        yield Level(LEVEL, 100 * float(first.nanmean()))


def _summary(line: Line) -> str:
    """Return a line's beginning, and the last radius at which half of that is left."""
    half = max(x for x, value in zip(line.xs, line.values, strict=True) if value >= line.values[0] / 2)
    return f"{line_name(line)} {line.values[0]:.1f} % at radius 0, half of that up to {half:.2g}"
