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
"""The metadata of a PNG; by default matplotlib adds its version, so that the bytes would change with it."""
PDF_METADATA = {"Creator": "retbench", "Producer": "retbench", "CreationDate": None}
"""The metadata of a PDF; by default matplotlib also adds the time."""
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
    "pdf.fonttype": 42,  # TrueType: many journals refuse Type 3 fonts, matplotlib's default
    "text.parse_math": False,  # names of components and options may contain a dollar sign
}


class DrawnFigure(NamedTuple):
    """One figure as PNG, 150 dots per inch, and as PDF."""

    png: bytes
    pdf: bytes


def draw_figure(width: float, height: float, draw: Callable[[Figure], None]) -> DrawnFigure:
    """Return the PNG and the PDF of what `draw` draws on an empty figure; equal bytes each time.

    The PDF embeds its fonts as TrueType, and contains neither a date nor the version of matplotlib.

    Args:
        width: in inches.
        height: in inches.
        draw: draws on the figure.
    """
    return DrawnFigure(draw_png(width, height, draw), _render(width, height, draw, "pdf", PDF_METADATA))


def draw_png(width: float, height: float, draw: Callable[[Figure], None]) -> bytes:
    """Return the PNG alone (see `draw_figure`)."""
    return _render(width, height, draw, "png", METADATA)


def _render(
    width: float,
    height: float,
    draw: Callable[[Figure], None],
    suffix: Literal["png", "pdf"],
    metadata: dict[str, str] | dict[str, str | None],
) -> bytes:
    """Draw once per format: a layout computed for one format would be reused for the other."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        buffer = BytesIO()
        figure.savefig(buffer, format=suffix, metadata=metadata)
        return buffer.getvalue()
