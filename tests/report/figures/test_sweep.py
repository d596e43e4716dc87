"""Curves of tables as PNG: bytes, size and content."""

from __future__ import annotations

from typing import Literal

import matplotlib
import numpy as np
import pytest

from retbench.metrics import Interval
from retbench.report.figures.canvas import draw_png
from retbench.report.figures.drawing import draw_chart
from retbench.report.figures.style import COLORS
from retbench.report.figures.sweep import curve_chart, curve_picture
from retbench.report.tables.curve import Curve, CurveLine, CurvePanel, CurvePoint, CurveReference
from retbench.report.tables.unit import Unit
from tests.report.pixels import has_color, pixels, without_pdf


def line(label: str, *xs: float) -> CurveLine:
    return CurveLine(
        label, tuple(CurvePoint(x, Interval(0.5 + i / 10, 0.4 + i / 10, 0.55 + i / 10)) for i, x in enumerate(xs))
    )


def curve(*lines: CurveLine, panels: int = 1, scale: Literal["linear", "log"] = "linear") -> Curve:
    panel = CurvePanel("MAP", Unit.PERCENT, lines, (CurveReference("clean", Interval(0.9, 0.8, 1.0)),))
    return Curve("Strength", "purify step", scale, (panel,) * panels)


def draw_curve(drawn: Curve) -> bytes:
    with without_pdf():
        return draw_chart(curve_chart(drawn)).png


PLAIN = curve(line("RetPur", 1, 5, 15))


def test_two_drawings_have_equal_bytes() -> None:
    assert draw_curve(PLAIN) == draw_curve(PLAIN)


def test_the_users_matplotlib_settings_have_no_effect() -> None:
    before = draw_curve(PLAIN)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black"}):
        assert draw_curve(PLAIN) == before
        assert matplotlib.rcParams["font.size"] == 20


def test_a_figure_has_a_white_background_and_150_dots_per_inch() -> None:
    png = draw_curve(PLAIN)
    assert pixels(png).shape[1] == 4.8 * 150
    assert (pixels(png)[0] == 255).all()
    assert round(float(_dots(png)) * 0.0254) == 150


def _dots(png: bytes) -> int:
    """Return the dots per meter in a PNG's metadata."""
    at = png.index(b"pHYs") + 4
    return int.from_bytes(png[at : at + 4], "big")


def test_each_line_has_its_own_color() -> None:
    png = draw_curve(curve(line("one", 1, 5), line("two", 2, 7)))
    assert [has_color(png, color) for color in COLORS[:3]] == [True, True, False]


def test_a_line_with_one_point_is_visible() -> None:
    assert has_color(draw_curve(curve(line("one", 5))), COLORS[0])


def test_more_panels_and_labels_make_a_larger_figure() -> None:
    sizes = [pixels(draw_curve(curve(line("one", 1, 5), panels=panels))).shape[:2] for panels in (1, 2, 3, 4)]
    assert sizes[0][1] < sizes[1][1] < sizes[2][1]
    assert sizes[3][0] > 1.5 * sizes[2][0]
    many = curve(*(line(f"a rather long name, number {n}", 1, 5) for n in range(9)))
    assert pixels(draw_curve(many)).shape[0] > sizes[0][0] + 100


@pytest.mark.parametrize("xs", [(1, 10, 100), (0, 1, 10, 100), (-10, 0, 10), (0,), (-3, -1)])
def test_a_logarithmic_axis_shows_any_number(xs: tuple[float, ...]) -> None:
    assert has_color(draw_curve(curve(line("one", *xs), scale="log")), COLORS[0])


def test_powers_of_ten_are_evenly_spaced_on_a_logarithmic_axis() -> None:
    line_of_powers = line("one", 1, 10, 100)
    linear, log = _ticks(curve(line_of_powers)), _ticks(curve(line_of_powers, scale="log"))
    assert log[1] - log[0] == pytest.approx(log[2] - log[1], abs=2)
    assert linear[1] - linear[0] < (linear[2] - linear[1]) / 5


def _ticks(drawn: Curve) -> list[int]:
    """Return the positions of the ticks below the x axis, in pixels: black columns just below its black line."""
    black = pixels(draw_curve(drawn)).max(axis=-1) < 0.4 * 255
    axis = int(black.sum(axis=1).argmax())
    below = np.flatnonzero(black[axis + 4 : axis + 6].all(axis=0))
    return [int(at) for at in below if at - 1 not in below]


def test_a_long_name_in_the_legend_is_not_cut_off() -> None:
    assert pixels(draw_curve(curve(line("x" * 90, 1, 5)))).shape[1] > 90 * 0.07 * 150


def test_a_dollar_sign_in_a_name_is_not_a_formula() -> None:
    assert has_color(draw_curve(curve(line("cost $x_{ and $", 1, 5))), COLORS[0])


def test_unlabeled_lines_need_no_legend() -> None:
    unlabeled = Curve("Strength", "step", "linear", (CurvePanel("MAP", Unit.PERCENT, (line("", 1, 5),), ()),))
    assert pixels(draw_curve(unlabeled)).shape[0] < pixels(draw_curve(PLAIN)).shape[0]


def test_a_picture_of_a_curve_has_png_and_pdf() -> None:
    picture = curve_picture(PLAIN, "strength")
    assert (picture.stem, picture.title, picture.png) == ("strength", "Strength", draw_curve(PLAIN))
    assert picture.pdf.startswith(b"%PDF-")


def test_the_description_of_a_picture_has_the_ends_of_lines_and_the_references() -> None:
    summary = "RetPur from 50 % at 1 to 70 % at 15, alone 50 % at 5, clean 90 %."
    shown = curve(line("RetPur", 1, 5, 15), line("alone", 5))
    with without_pdf():
        alt = curve_picture(shown, "").alt
    assert alt == f"Lines over purify step, with confidence intervals shaded. MAP: {summary}"


def test_a_canvas_has_the_requested_size() -> None:
    assert pixels(draw_png(2, 1, lambda figure: None)).shape[:2] == (150, 300)
