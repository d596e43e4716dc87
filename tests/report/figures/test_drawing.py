"""Charts as drawn figures: styles, legends, sizes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from retbench.metrics import Interval
from retbench.report.figures.chart import Chart, Line, Panel, Scale, ScatterPoint
from retbench.report.figures.drawing import draw_chart
from retbench.report.figures.style import CLEAN, COLORS

XS = (1.0, 10.0, 100.0)


def line(attack: str = "", defense: str = "", at: float = 50.0) -> Line:
    return Line(attack, defense, XS, (at,) * 3, (at - 5,) * 3, (at + 5,) * 3)


def point(attack: str, defense: str, x: float = 0.5) -> ScatterPoint:
    return ScatterPoint(attack, defense, Interval(x, x, x), Interval(20, 15, 25))


def chart(
    *series: Line | ScatterPoint, scale: Scale = "linear", panels: int = 1, defenses: tuple[str, ...] = ("A", "B")
) -> Chart:
    lines = tuple(each for each in series if isinstance(each, Line))
    points = tuple(each for each in series if isinstance(each, ScatterPoint))
    panel = Panel("digits, DPSH", "", lines, points)
    return Chart("Title", "x", "y", scale, bool(lines), (panel,) * panels, defenses, ("DHTA", "P2P"))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(imread(io.BytesIO(png)))[..., :3]


def has_color(drawn: Chart, color: str) -> bool:
    expected = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return bool((np.abs(pixels(draw_chart(drawn).png) - expected).max(axis=-1) < 0.004).any())


def test_two_drawings_have_equal_bytes() -> None:
    drawn = chart(line(), line("DHTA"), line("DHTA", "A"))
    assert draw_chart(drawn) == draw_chart(drawn)


def test_the_color_of_a_defense_does_not_depend_on_other_series() -> None:
    assert [has_color(chart(line("DHTA", "B")), color) for color in COLORS[:2]] == [False, True]
    assert [has_color(chart(point("DHTA", "B")), color) for color in COLORS[:2]] == [False, True]
    assert has_color(chart(line()), CLEAN)


def test_attacks_and_defenses_are_distinguishable_without_color() -> None:
    def gray(drawn: Chart) -> bytes:
        return (pixels(draw_chart(drawn).png).mean(axis=-1) < 0.9).tobytes()

    names = tuple("ABCDEFGHI")
    drawings = {gray(chart(line("DHTA", name), defenses=names)) for name in names[:6]}
    assert len(drawings) == 6
    assert gray(chart(point("DHTA", "A"))) != gray(chart(point("P2P", "A")))
    same_color = [chart(point("DHTA", name), defenses=names) for name in ("A", "G")]
    assert gray(same_color[0]) != gray(same_color[1])


@pytest.mark.parametrize("seconds", [(0.0, 0.03), (0.0, 0.0), (0.02, 5.0)])
def test_a_cost_of_0_is_visible(seconds: tuple[float, float]) -> None:
    drawn = chart(*(point("DHTA", name, x) for name, x in zip("AB", seconds, strict=True)), scale="cost")
    assert all(has_color(drawn, color) for color in COLORS[:2])


def test_more_panels_make_a_larger_figure() -> None:
    sizes = [pixels(draw_chart(chart(line(), panels=panels, scale="log")).png).shape[:2] for panels in (1, 2, 3, 4, 6)]
    assert [size[1] for size in sizes] == [4.8 * 150, 7.2 * 150, 10.8 * 150, 7.2 * 150, 10.8 * 150]
    assert sizes[3][0] > 1.6 * sizes[1][0]


def test_a_long_legend_makes_a_higher_figure() -> None:
    names = tuple(f"a rather long name, number {n}" for n in range(9))
    short = pixels(draw_chart(chart(point("DHTA", "A"))).png).shape
    long = pixels(draw_chart(chart(*(point("DHTA", name) for name in names), defenses=names)).png).shape
    assert long[0] > short[0] + 80


def test_the_margin_of_a_figure_is_white() -> None:
    drawn = pixels(draw_chart(chart(line(), line("DHTA", "A"), panels=4)).png)
    edges = (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1])
    assert all((edge == 1).all() for edge in edges)
