"""Curves of tables as PNG: bytes, size, what is on them."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Literal

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from retbench.metrics import Interval
from retbench.report.figures.canvas import paint_png
from retbench.report.figures.drawing import draw_chart
from retbench.report.figures.look import COLORS
from retbench.report.figures.sweep import curve_chart, curve_picture
from retbench.report.tables.curve import Curve, Level, Line, Panel, Reading
from retbench.report.tables.unit import Unit


def line(label: str, *xs: float) -> Line:
    return Line(label, tuple(Reading(x, Interval(0.5 + i / 10, 0.4 + i / 10, 0.55 + i / 10)) for i, x in enumerate(xs)))


def curve(*lines: Line, panels: int = 1, scale: Literal["linear", "log"] = "linear") -> Curve:
    panel = Panel("MAP", Unit.PERCENT, lines, (Level("clean", Interval(0.9, 0.8, 1.0)),))
    return Curve("Strength", "purify step", scale, (panel,) * panels)


def draw_curve(drawn: Curve) -> bytes:
    return draw_chart(curve_chart(drawn)).png


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(imread(io.BytesIO(png)))[..., :3]


def has_color(png: bytes, color: str) -> bool:
    wanted = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return bool((np.abs(pixels(png) - wanted).max(axis=-1) < 0.004).any())


PLAIN = curve(line("RetPur", 1, 5, 15))


def test_a_curve_drawn_twice_is_the_same_bytes() -> None:
    assert draw_curve(PLAIN) == draw_curve(PLAIN)


def test_the_users_settings_change_nothing() -> None:
    before = draw_curve(PLAIN)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black"}):
        assert draw_curve(PLAIN) == before
        assert matplotlib.rcParams["font.size"] == 20


def test_drawing_leaves_pyplot_alone() -> None:
    script = (
        "import sys, retbench.report\n"
        "early = 'matplotlib' in sys.modules\n"
        "import retbench.report.figures.drawing\n"
        "sys.exit(early or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_picture_is_white_paper_with_150_dots_an_inch() -> None:
    png = draw_curve(PLAIN)
    assert pixels(png).shape[1] == 4.8 * 150
    assert (pixels(png)[0] == 1).all()
    assert round(float(_dots(png)) * 0.0254) == 150


def _dots(png: bytes) -> int:
    """Return the dots per metre that a PNG says it has."""
    at = png.index(b"pHYs") + 4
    return int.from_bytes(png[at : at + 4], "big")


def test_each_line_has_a_color_of_its_own() -> None:
    png = draw_curve(curve(line("one", 1, 5), line("two", 2, 7)))
    assert [has_color(png, color) for color in COLORS[:3]] == [True, True, False]


def test_a_line_of_one_point_is_seen() -> None:
    assert has_color(draw_curve(curve(line("one", 5))), COLORS[0])


def test_more_panels_and_more_labels_take_more_room() -> None:
    sizes = [pixels(draw_curve(curve(line("one", 1, 5), panels=panels))).shape[:2] for panels in (1, 2, 3, 4)]
    assert sizes[0][1] < sizes[1][1] < sizes[2][1]
    assert sizes[3][0] > 1.5 * sizes[2][0]
    many = curve(*(line(f"a rather long name, number {n}", 1, 5) for n in range(9)))
    assert pixels(draw_curve(many)).shape[0] > sizes[0][0] + 100


@pytest.mark.parametrize("xs", [(1, 10, 100), (0, 1, 10, 100), (-10, 0, 10), (0,), (-3, -1)])
def test_a_logarithmic_axis_takes_any_number(xs: tuple[float, ...]) -> None:
    assert has_color(draw_curve(curve(line("one", *xs), scale="log")), COLORS[0])


def test_powers_of_ten_are_evenly_spaced_on_a_logarithmic_axis() -> None:
    line_of_powers = line("one", 1, 10, 100)
    linear, log = _ticks(curve(line_of_powers)), _ticks(curve(line_of_powers, scale="log"))
    assert log[1] - log[0] == pytest.approx(log[2] - log[1], abs=2)
    assert linear[1] - linear[0] < (linear[2] - linear[1]) / 5


def _ticks(drawn: Curve) -> list[int]:
    """Return where ticks stand under the x axis, in pixels: black columns in the rows just below its black line."""
    black = pixels(draw_curve(drawn)).max(axis=-1) < 0.4
    axis = int(black.sum(axis=1).argmax())
    below = np.flatnonzero(black[axis + 4 : axis + 6].all(axis=0))
    return [int(at) for at in below if at - 1 not in below]


def test_a_long_name_in_the_legend_is_not_cut() -> None:
    assert pixels(draw_curve(curve(line("x" * 90, 1, 5)))).shape[1] > 90 * 0.07 * 150


def test_a_dollar_in_a_name_is_no_formula() -> None:
    assert has_color(draw_curve(curve(line("cost $x_{ and $", 1, 5))), COLORS[0])


def test_lines_without_a_label_need_no_legend() -> None:
    bare = Curve("Strength", "step", "linear", (Panel("MAP", Unit.PERCENT, (line("", 1, 5),), ()),))
    assert pixels(draw_curve(bare)).shape[0] < pixels(draw_curve(PLAIN)).shape[0]


def test_a_picture_of_a_curve_is_its_png_and_a_pdf() -> None:
    picture = curve_picture(PLAIN, "strength")
    assert (picture.stem, picture.title, picture.png) == ("strength", "Strength", draw_curve(PLAIN))
    assert picture.pdf.startswith(b"%PDF-")


def test_a_picture_tells_the_ends_of_its_lines_and_its_levels() -> None:
    told = "RetPur from 50 % at 1 to 70 % at 15, alone 50 % at 5, clean 90 %."
    shown = curve(line("RetPur", 1, 5, 15), line("alone", 5))
    assert curve_picture(shown, "").alt == f"Lines over purify step, with bootstrap intervals shaded. MAP: {told}"


def test_a_canvas_is_as_large_as_it_is_asked_to_be() -> None:
    assert pixels(paint_png(2, 1, lambda figure: None)).shape[:2] == (150, 300)
