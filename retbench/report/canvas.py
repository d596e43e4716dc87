"""Where figures are drawn: one style whatever the user's settings say, and equal bytes for equal drawings."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 150
METADATA = {"Software": "retbench"}
"""What stands in a picture's file besides its pixels; matplotlib would name its version, and bytes would hang on it."""
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
    "text.parse_math": False,  # names of components and options may hold a dollar sign
}


def paint_png(width: float, height: float, paint: Callable[[Figure], None]) -> bytes:
    """Returns the PNG that `paint` draws on an empty figure of a width and a height in inches, 150 dots each."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", metadata=METADATA)
        return buffer.getvalue()
