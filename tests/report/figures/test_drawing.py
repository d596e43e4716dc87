"""Charts as drawn figures: styles, legends, sizes."""

from __future__ import annotations

import pytest

from retbench.metrics import Interval
from retbench.report.figures.chart import Chart, Line, Panel, Scale, ScatterPoint
from retbench.report.figures.drawing import draw_chart
from retbench.report.figures.style import CLEAN, COLORS
from tests.report.pixels import has_color, pixels, without_pdf

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


def draw(drawn: Chart) -> bytes:
    with without_pdf():
        return draw_chart(drawn).png


def colors(drawn: Chart) -> list[str]:
    """Return the first two colors of groups that a chart shows."""
    png = draw(drawn)
    return [color for color in COLORS[:2] if has_color(png, color)]


def test_two_drawings_have_equal_bytes() -> None:
    drawn = chart(line(), line("DHTA"), line("DHTA", "A"))
    assert draw_chart(drawn) == draw_chart(drawn)


def test_the_color_of_a_defense_does_not_depend_on_other_series() -> None:
    assert colors(chart(line("DHTA", "B"))) == colors(chart(point("DHTA", "B"))) == [COLORS[1]]
    assert has_color(draw(chart(line())), CLEAN)


def test_attacks_and_defenses_are_distinguishable_without_color() -> None:
    def gray(drawn: Chart) -> bytes:
        return (pixels(draw(drawn)).mean(axis=-1) < 0.9 * 255).tobytes()

    names = tuple("ABCDEFGHI")
    drawings = {gray(chart(line("DHTA", name), defenses=names)) for name in names[:6]}
    assert len(drawings) == 6
    assert gray(chart(point("DHTA", "A"))) != gray(chart(point("P2P", "A")))
    same_color = [chart(point("DHTA", name), defenses=names) for name in ("A", "G")]
    assert gray(same_color[0]) != gray(same_color[1])


@pytest.mark.parametrize("seconds", [(0.0, 0.03), (0.0, 0.0), (0.02, 5.0)])
def test_a_cost_of_0_is_visible(seconds: tuple[float, float]) -> None:
    drawn = chart(*(point("DHTA", name, x) for name, x in zip("AB", seconds, strict=True)), scale="cost")
    assert colors(drawn) == [*COLORS[:2]]


def test_more_panels_make_a_larger_figure() -> None:
    sizes = [pixels(draw(chart(line(), panels=panels, scale="log"))).shape[:2] for panels in (1, 2, 3, 4, 6)]
    assert [size[1] for size in sizes] == [4.8 * 150, 7.2 * 150, 10.8 * 150, 7.2 * 150, 10.8 * 150]
    assert sizes[3][0] > 1.6 * sizes[1][0]


def test_a_long_legend_makes_a_higher_figure() -> None:
    names = tuple(f"a rather long name, number {n}" for n in range(9))
    short = pixels(draw(chart(point("DHTA", "A")))).shape
    long = pixels(draw(chart(*(point("DHTA", name) for name in names), defenses=names))).shape
    assert long[0] > short[0] + 80


def test_the_margin_of_a_figure_is_white() -> None:
    drawn = pixels(draw(chart(line(), line("DHTA", "A"), panels=4)))
    edges = (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1])
    assert all((edge == 255).all() for edge in edges)
