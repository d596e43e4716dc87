"""PNG files with a palette."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from retbench.report.figures.palette import reduce_colors


def encode(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def decode(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def noise(colors: int, seed: int = 0) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    palette = random.integers(0, 256, (colors, 3), dtype=np.uint8)
    return palette[random.integers(0, colors, (40, 30))]


@settings(max_examples=20)
@given(colors=st.integers(1, 256), seed=st.integers(0, 99))
def test_images_of_at_most_256_colors_keep_every_pixel(colors: int, seed: int) -> None:
    pixels = noise(colors, seed)
    assert np.array_equal(decode(reduce_colors(encode(pixels))), pixels)


def test_a_smooth_image_changes_little_and_keeps_white() -> None:
    ramp = np.linspace(0, 255, 300)
    pixels = np.stack([np.tile(ramp, (80, 1)), np.tile(ramp[::-1], (80, 1)), np.full((80, 300), 128)], axis=2)
    pixels[:10] = 255
    pixels = pixels.astype(np.uint8)
    reduced = decode(reduce_colors(encode(pixels)))
    assert (reduced[:10] == 255).all()
    assert np.abs(reduced.astype(int) - pixels).max() <= 4


def test_more_colors_become_256_and_fewer_bytes() -> None:
    png = encode(noise(2000))
    reduced = reduce_colors(png)
    assert len(np.unique(decode(reduced).reshape(-1, 3), axis=0)) <= 256
    assert len(reduced) < len(png)


def test_equal_images_give_equal_bytes_that_name_the_program() -> None:
    png = encode(noise(300))
    assert reduce_colors(png) == reduce_colors(png)
    assert Image.open(io.BytesIO(reduce_colors(png))).info == {"Software": "retbench"}


def test_damaged_bytes_are_refused() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        reduce_colors(b"not a PNG")
