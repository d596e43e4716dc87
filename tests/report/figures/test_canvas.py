"""A figure as PNG and as PDF."""

from __future__ import annotations

import re
import subprocess
import sys

from matplotlib.figure import Figure

from retbench.report.figures.canvas import Drawn, paint, paint_png


def draw(figure: Figure) -> None:
    axes = figure.add_subplot()
    axes.set_title("Größe in µ, $x")
    axes.plot([0, 1], [0, 1])


def painted() -> Drawn:
    return paint(3, 2, draw)


def test_the_png_is_that_of_paint_png() -> None:
    assert painted().png == paint_png(3, 2, draw)


def test_the_pdf_is_as_large_in_points() -> None:
    pdf = painted().pdf
    assert pdf.startswith(b"%PDF-")
    assert b"/MediaBox [ 0 0 216 144 ]" in pdf


def test_the_pdf_says_neither_when_nor_by_which_version_it_was_made() -> None:
    pdf = painted().pdf
    assert b"Date" not in pdf
    assert b"atplotlib" not in pdf
    assert set(re.findall(rb"/(?:Producer|Creator) \((.*?)\)", pdf)) == {b"retbench"}


def test_the_pdf_holds_its_fonts_as_truetype() -> None:
    pdf = painted().pdf
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


def test_painted_twice_the_bytes_are_equal() -> None:
    assert painted() == painted()


def test_the_bytes_do_not_hang_on_the_hash_seed() -> None:
    script = (
        "import hashlib; from retbench.report.figures.canvas import paint\n"
        "drawn = paint(3, 2, lambda figure: figure.add_subplot().set_title('Größe in µ'))\n"
        "print(hashlib.sha256(drawn.pdf + drawn.png).hexdigest())"
    )
    ends = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(ends) == 1
