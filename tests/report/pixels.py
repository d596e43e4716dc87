"""Figures as pixels, for tests that need no PDF: two thirds of the time of a figure go into the fonts of its PDF."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from retbench.report.figures import canvas


@contextmanager
def without_pdf() -> Iterator[None]:
    """Draw figures whose PDF is its signature alone."""
    render = canvas._render
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvas, "_render", lambda *drawn: b"%PDF-" if "pdf" in drawn else render(*drawn))
        yield


def pixels(png: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a PNG, (height, width, 3)."""
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def has_color(png: bytes, color: str) -> bool:
    """Return whether a pixel has a color such as `#0072b2`, up to rounding."""
    expected = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    return bool((np.abs(pixels(png).astype(int) - expected) <= 1).all(axis=-1).any())
