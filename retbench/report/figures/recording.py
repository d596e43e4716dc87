"""Records of trainings as PNG: recorded numbers as a curve, and recorded images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from textwrap import fill
from typing import Any, TypeGuard

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from retbench.report.figures.canvas import DPI, METADATA, draw_png
from retbench.report.figures.style import COLORS

WIDTH, HEIGHT = 5.6, 3.2
SMOOTHED = 50
"""The running mean covers one in this many of the numbers."""


def is_number_series(value: object) -> TypeGuard[list[float]]:
    """Return whether a value is a list of at least one number, all of them finite."""
    return isinstance(value, list) and bool(value) and all(_is_number(number) for number in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def draw_training_curve(numbers: Sequence[float], title: str, name: str) -> bytes:
    """Return recorded numbers as PNG, in the order they were recorded, with a running mean over a fiftieth of them.

    Fewer than 100 numbers have no running mean, because it would equal the numbers.

    Args:
        numbers: at least one, all finite.
        title: printed above the curve.
        name: the label of the y axis.
    """
    window = len(numbers) // SMOOTHED
    xs = range(1, len(numbers) + 1)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_title(fill(title, 70))
        axes.set_xlabel("recorded value")
        axes.set_ylabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        smooth = window > 1
        raw: dict[str, Any] = {"marker": "o" if len(numbers) <= SMOOTHED else "", "alpha": 0.4 if smooth else 1}
        axes.plot(xs, numbers, color=COLORS[0], linewidth=1, markersize=3, **raw)
        if smooth:
            label = f"mean of {window} values"
            axes.plot(xs, running_mean(numbers, window), color=COLORS[1], linewidth=1.4, label=label)
            axes.legend()

    return draw_png(WIDTH, HEIGHT, draw)


def running_mean(numbers: Sequence[float], window: int) -> list[float]:
    """Return for each number the mean of the `window` numbers around it, and of fewer at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(numbers, dtype=np.float64))])
    at = np.arange(len(numbers))
    starts, stops = np.maximum(at - window // 2, 0), np.minimum(at + (window + 1) // 2, len(numbers))
    means: list[float] = ((sums[stops] - sums[starts]) / (stops - starts)).tolist()
    return means


def encode_png(image: Tensor) -> bytes:
    """Return an image as PNG, pixel for pixel.

    Args:
        image: uint8 (3, H, W), (H, W, 3) or (H, W), or float (3, H, W) in [0, 1].

    Raises:
        ValueError: the image has another shape, dtype or range, or is empty.
    """
    pixels = _pixels(image.detach().cpu()).contiguous().numpy()
    buffer = BytesIO()
    imsave(buffer, pixels, format="png", vmin=0, vmax=255, cmap="gray", dpi=DPI, metadata=METADATA)
    return buffer.getvalue()


def _pixels(image: Tensor) -> Tensor:
    """Return an image as uint8 (H, W, 3) or (H, W)."""
    shape = tuple(image.shape)
    if image.numel() and image.dtype == torch.uint8:
        if len(shape) == 3 and shape[0] == 3:
            return image.permute(1, 2, 0)
        if len(shape) == 2 or (len(shape) == 3 and shape[2] == 3):
            return image
    if image.numel() and image.is_floating_point() and len(shape) == 3 and shape[0] == 3:
        if not bool(((image >= 0) & (image <= 1)).all()):
            raise ValueError(f"image: values outside [0, 1]: got {image.min():g} to {image.max():g}")
        return (255 * image.float()).round().to(torch.uint8).permute(1, 2, 0)
    raise ValueError(
        f"image: wrong shape or dtype: got {str(image.dtype).removeprefix('torch.')} {shape}, expected uint8 "
        "(3, H, W), (H, W, 3) or (H, W), or float (3, H, W) in [0, 1]"
    )
