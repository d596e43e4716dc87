"""Charts as pictures: looks, legends, sizes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from retbench.metrics import Interval
from retbench.report.figures.chart import Chart, Line, Panel, Scale, Spot
from retbench.report.figures.drawing import draw_chart
from retbench.report.figures.look import CLEAN, COLORS

XS = (1.0, 10.0, 100.0)


def line(attack: str = "", defense: str = "", at: float = 50.0) -> Line:
    return Line(attack, defense, XS, (at,) * 3, (at - 5,) * 3, (at + 5,) * 3)


def spot(attack: str, defense: str, x: float = 0.5) -> Spot:
    return Spot(attack, defense, Interval(x, x, x), Interval(20, 15, 25))


def chart(
    *things: Line | Spot, scale: Scale = "linear", panels: int = 1, defenses: tuple[str, ...] = ("A", "B")
) -> Chart:
    lines = tuple(thing for thing in things if isinstance(thing, Line))
    spots = tuple(thing for thing in things if isinstance(thing, Spot))
    panel = Panel("digits, DPSH", "", lines, spots)
    return Chart("Title", "x", "y", scale, bool(lines), (panel,) * panels, defenses, ("DHTA", "P2P"))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(imread(io.BytesIO(png)))[..., :3]


def has_color(drawn: Chart, color: str) -> bool:
    wanted = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return bool((np.abs(pixels(draw_chart(drawn).png) - wanted).max(axis=-1) < 0.004).any())


def test_a_chart_drawn_twice_is_the_same_bytes() -> None:
    drawn = chart(line(), line("DHTA"), line("DHTA", "A"))
    assert draw_chart(drawn) == draw_chart(drawn)


def test_a_defense_has_its_color_whatever_else_is_drawn() -> None:
    assert [has_color(chart(line("DHTA", "B")), color) for color in COLORS[:2]] == [False, True]
    assert [has_color(chart(spot("DHTA", "B")), color) for color in COLORS[:2]] == [False, True]
    assert has_color(chart(line()), CLEAN)


def test_attacks_and_defenses_are_told_apart_without_color() -> None:
    def gray(drawn: Chart) -> bytes:
        return (pixels(draw_chart(drawn).png).mean(axis=-1) < 0.9).tobytes()

    names = tuple("ABCDEFGHI")
    looks = {gray(chart(line("DHTA", name), defenses=names)) for name in names[:6]}
    assert len(looks) == 6
    assert gray(chart(spot("DHTA", "A"))) != gray(chart(spot("P2P", "A")))
    twins = [chart(spot("DHTA", name), defenses=names) for name in ("A", "G")]  # of one color
    assert gray(twins[0]) != gray(twins[1])


@pytest.mark.parametrize("seconds", [(0.0, 0.03), (0.0, 0.0), (0.02, 5.0)])
def test_a_cost_of_0_is_seen(seconds: tuple[float, float]) -> None:
    drawn = chart(*(spot("DHTA", name, x) for name, x in zip("AB", seconds, strict=True)), scale="cost")
    assert all(has_color(drawn, color) for color in COLORS[:2])


def test_more_panels_take_more_room_and_stay_apart() -> None:
    sizes = [pixels(draw_chart(chart(line(), panels=panels, scale="log")).png).shape[:2] for panels in (1, 2, 3, 4, 6)]
    assert [size[1] for size in sizes] == [4.8 * 150, 7.2 * 150, 10.8 * 150, 7.2 * 150, 10.8 * 150]
    assert sizes[3][0] > 1.6 * sizes[1][0]


def test_a_long_legend_takes_more_lines() -> None:
    names = tuple(f"a rather long name, number {n}" for n in range(9))
    short = pixels(draw_chart(chart(spot("DHTA", "A"))).png).shape
    long = pixels(draw_chart(chart(*(spot("DHTA", name) for name in names), defenses=names)).png).shape
    assert long[0] > short[0] + 80


def test_the_margin_of_a_picture_is_white() -> None:
    drawn = pixels(draw_chart(chart(line(), line("DHTA", "A"), panels=4)).png)
    edges = (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1])
    assert all((edge == 1).all() for edge in edges)
