"""A figure as PNG and as PDF."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from functools import cache

from matplotlib.figure import Figure

from retbench.report.figures.canvas import DrawnFigure, draw_figure, draw_png


def draw(figure: Figure) -> None:
    axes = figure.add_subplot()
    axes.set_title("Größe in µ, $x")
    axes.plot([0, 1], [0, 1])


@cache
def drawn() -> DrawnFigure:
    return draw_figure(3, 2, draw)


def test_draw_figure_and_draw_png_give_the_same_png() -> None:
    assert drawn().png == draw_png(3, 2, draw)


def test_the_pdf_has_the_same_size_in_points() -> None:
    pdf = drawn().pdf
    assert pdf.startswith(b"%PDF-")
    assert b"/MediaBox [ 0 0 216 144 ]" in pdf


def test_the_pdf_has_neither_a_date_nor_a_version() -> None:
    pdf = drawn().pdf
    assert b"Date" not in pdf
    assert b"atplotlib" not in pdf
    assert set(re.findall(rb"/(?:Producer|Creator) \((.*?)\)", pdf)) == {b"retbench"}


def test_the_pdf_embeds_truetype_fonts() -> None:
    pdf = drawn().pdf
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


def test_two_drawings_have_equal_bytes() -> None:
    assert draw_figure(3, 2, draw) == drawn()


def test_the_bytes_do_not_depend_on_the_hash_seed() -> None:
    script = (
        "import hashlib; from retbench.report.figures.canvas import draw_figure\n"
        "drawn = draw_figure(3, 2, lambda figure: figure.add_subplot().set_title('Größe in µ'))\n"
        "print(hashlib.sha256(drawn.pdf + drawn.png).hexdigest())"
    )
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    here = draw_figure(3, 2, lambda figure: figure.add_subplot().set_title("Größe in µ"))
    assert ended.stdout.strip() == hashlib.sha256(here.pdf + here.png).hexdigest()
