"""Precision over recall, and over the number of answers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from retbench.report.figures.chart import Line, Panel
from retbench.report.figures.panel_data import Condition, PanelData
from retbench.report.figures.selection import select_conditions
from retbench.report.tables.sample import Sample

XValues = Callable[[PanelData, Condition, Sample], Tensor | None]
"""Returns the x coordinates of the values of a condition's sample."""


def recall_panel(data: PanelData) -> Panel | None:
    """Return mean precision over recall, both in percent; None if no condition has values.

    The conditions are those of `select_conditions`.
    """
    return _panel(data, "map_recall", _recalls, "a recall of {:g} %")


def depth_panel(data: PanelData) -> Panel | None:
    """Return mean precision in percent over the number of first answers, as `recall_panel` does."""
    return _panel(data, "map_depth", lambda data, condition, _: depths_of(data, condition), "{:g} answers")


def depths_of(data: PanelData, condition: Condition) -> Tensor | None:
    """Return the numbers of first answers at which precision was measured; None if unknown."""
    row = data.rows.get(condition)
    return data.evidence.scores(row.keys[0]).get("depths") if row else None


def make_line(data: PanelData, condition: Condition, xs: list[float], samples: list[Sample]) -> Line | None:
    """Return the means of samples as a line in percent, with their intervals; None if a sample has no value."""
    intervals = [data.interval(condition, sample) for sample in samples]
    if any(interval.value != interval.value for interval in intervals):
        return None
    values, lows, highs = zip(*intervals, strict=True)
    return Line(*data.printed_names(condition), tuple(xs), values, lows, highs)


def line_name(line: Line) -> str:
    """Return the name of a line in a text: defense and attack, as tables name them."""
    return "-".join(name for name in (line.color_group, line.marker_group) if name) or "clean"


def _recalls(data: PanelData, condition: Condition, sample: Sample) -> Tensor:
    return torch.linspace(0, 100, sample.values.shape[2], dtype=torch.float64)


def _panel(data: PanelData, name: str, x_values: XValues, position: str) -> Panel | None:
    samples = {condition: data.sample(condition, name) for condition in data.rows}
    known = [condition for condition, sample in samples.items() if sample and sample.values.shape[2] > 1]
    selected = select_conditions(data, known)
    candidates = (_line(data, condition, samples[condition], x_values) for condition in selected.conditions)
    lines = tuple(line for line in candidates if line)
    if not lines:
        return None
    middle = len(lines[0].xs) // 2
    summary = ", ".join(f"{line_name(line)} {line.values[middle]:.1f} %" for line in lines)
    return Panel(data.title, f"at {position.format(lines[0].xs[middle])} {summary}", lines, note=selected.note)


def _line(data: PanelData, condition: Condition, sample: Sample | None, x_values: XValues) -> Line | None:
    xs = None if sample is None else x_values(data, condition, sample)
    if sample is None or xs is None:
        return None
    columns = [sample._replace(values=sample.values[:, :, at]) for at in range(len(xs))]
    return make_line(data, condition, xs.to(torch.float64).tolist(), columns)
