"""Empty figures to draw on: one style whatever the user's settings, and equal bytes for equal drawings."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, Literal, NamedTuple

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 150
METADATA = {"Software": "retbench"}
"""The metadata of a PNG; matplotlib would add its version, and bytes would change with it."""
PDF_METADATA = {"Creator": "retbench", "Producer": "retbench", "CreationDate": None}
"""The same for a PDF, where matplotlib would put the time too."""
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "figure.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e0e0e0",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.06,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # TrueType: many journals refuse the Type 3 fonts that are matplotlib's own choice
    "text.parse_math": False,  # names of components and options may hold a dollar sign
}


class Drawn(NamedTuple):
    """One figure as pixels, 150 to the inch, and as lines and letters."""

    png: bytes
    pdf: bytes


def paint(width: float, height: float, paint: Callable[[Figure], None]) -> Drawn:
    """Return the PNG and the PDF that `paint` draws on an empty figure of a width and a height in inches.

    The PDF holds its fonts as TrueType, and neither a date nor the version of matplotlib. Equal bytes each time.
    """
    return Drawn(paint_png(width, height, paint), _render(width, height, paint, "pdf", PDF_METADATA))


def paint_png(width: float, height: float, paint: Callable[[Figure], None]) -> bytes:
    """Return the PNG that `paint` draws on an empty figure of a width and a height in inches, 150 dots each."""
    return _render(width, height, paint, "png", METADATA)


def _render(
    width: float,
    height: float,
    paint: Callable[[Figure], None],
    suffix: Literal["png", "pdf"],
    metadata: dict[str, str] | dict[str, str | None],
) -> bytes:
    """Draw afresh for each format: a layout that was made for one would be carried over to the other."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure)
        buffer = BytesIO()
        figure.savefig(buffer, format=suffix, metadata=metadata)
        return buffer.getvalue()
