"""Precision over recall, and over the number of answers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from retbench.report.figures.chart import Line, Panel
from retbench.report.figures.choice import choose
from retbench.report.figures.setting import Condition, Setting
from retbench.report.tables.sample import Sample

Places = Callable[[Setting, Condition, Sample], Tensor | None]
"""The places of the values of a condition's sample along the x axis."""


def recall_panel(setting: Setting) -> Panel | None:
    """Return mean precision over recall, both in percent, for the conditions that `choose` picks; None without any."""
    return _panel(setting, "map_recall", _recalls, "a recall of {:g} %")


def depth_panel(setting: Setting) -> Panel | None:
    """Return mean precision, in percent, over the number of first answers, likewise."""
    return _panel(setting, "map_depth", lambda setting, condition, _: depths_of(setting, condition), "{:g} answers")


def depths_of(setting: Setting, condition: Condition) -> Tensor | None:
    """Return the numbers of first answers at which precision was taken; None where they are not known."""
    row = setting.rows.get(condition)
    return setting.evidence.scores(row.keys[0]).get("depths") if row else None


def make_line(setting: Setting, condition: Condition, xs: list[float], samples: list[Sample]) -> Line | None:
    """Return the means of samples as a line in percent, with their intervals; None where one is a mean of nothing."""
    intervals = [setting.interval(condition, sample) for sample in samples]
    if any(interval.value != interval.value for interval in intervals):
        return None
    values, lows, highs = zip(*intervals, strict=True)
    return Line(*setting.printed(condition), tuple(xs), values, lows, highs)


def line_name(line: Line) -> str:
    """Return the name of a line in a text: defense and attack, as tables have them."""
    return "-".join(name for name in (line.hue, line.mark) if name) or "clean"


def _recalls(setting: Setting, condition: Condition, sample: Sample) -> Tensor:
    return torch.linspace(0, 100, sample.values.shape[2], dtype=torch.float64)


def _panel(setting: Setting, name: str, places: Places, where: str) -> Panel | None:
    samples = {condition: setting.sample(condition, name) for condition in setting.rows}
    known = [condition for condition, sample in samples.items() if sample and sample.values.shape[2] > 1]
    choice = choose(setting, known)
    found = (_line(setting, condition, samples[condition], places) for condition in choice.conditions)
    lines = tuple(line for line in found if line)
    if not lines:
        return None
    middle = len(lines[0].xs) // 2
    summary = ", ".join(f"{line_name(line)} {line.values[middle]:.1f} %" for line in lines)
    return Panel(setting.title, f"at {where.format(lines[0].xs[middle])} {summary}", lines, note=choice.note)


def _line(setting: Setting, condition: Condition, sample: Sample | None, places: Places) -> Line | None:
    xs = None if sample is None else places(setting, condition, sample)
    if sample is None or xs is None:
        return None
    columns = [sample._replace(values=sample.values[:, :, at]) for at in range(len(xs))]
    return make_line(setting, condition, xs.to(torch.float64).tolist(), columns)
