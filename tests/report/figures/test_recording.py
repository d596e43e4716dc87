"""Records of trainings as PNG."""

from __future__ import annotations

import io
import statistics

import pytest
import torch
from matplotlib.image import imread
from torch import Tensor

from retbench.report.figures.recording import draw_training_curve, encode_png, is_number_series, running_mean

COLORED = torch.arange(2 * 5 * 3, dtype=torch.uint8).view(2, 5, 3) * 8


def read(png: bytes) -> Tensor:
    """Return the pixels of a PNG: uint8 (H, W, 4)."""
    return (torch.tensor(imread(io.BytesIO(png))) * 255).round().to(torch.uint8)


@pytest.mark.parametrize(
    "image",
    [COLORED, COLORED.permute(2, 0, 1), COLORED.permute(2, 0, 1).float() / 255],
    ids=["uint8 last", "uint8 first", "float"],
)
def test_a_color_image_keeps_every_pixel(image: Tensor) -> None:
    assert torch.equal(read(encode_png(image))[..., :3], COLORED)


def test_a_gray_image_keeps_every_pixel() -> None:
    gray = torch.tensor([[0, 1, 128], [200, 254, 255]], dtype=torch.uint8)
    assert torch.equal(read(encode_png(gray))[..., :3], gray[..., None].expand(2, 3, 3))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(4, 4), r"got float32 \(4, 4\), expected uint8"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), r"got uint8 \(2, 4, 4, 3\)"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "got int64"),
        (torch.zeros(0, 4, dtype=torch.uint8), r"got uint8 \(0, 4\)"),
        (torch.full((3, 4, 4), 1.5), r"values outside \[0, 1\]: got 1\.5 to 1\.5"),
        (torch.full((3, 4, 4), float("nan")), "got nan to nan"),
    ],
)
def test_a_tensor_that_is_not_an_image_is_an_error(image: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_png(image)


@pytest.mark.parametrize(
    ("value", "drawn"),
    [([1, 2.5], True), ([0.0], True), ([], False), ([1, None], False), ([True], False), ({"a": 1}, False), (3, False)],
)
def test_a_number_series_is_a_list_of_finite_numbers(value: object, drawn: bool) -> None:
    assert is_number_series(value) == drawn


@pytest.mark.parametrize("window", [1, 2, 5, 6, 40])
def test_a_running_mean_is_the_mean_of_the_surrounding_numbers(window: int) -> None:
    numbers = [float(n * n % 17) for n in range(31)]
    around = [numbers[max(0, at - window // 2) : at + (window + 1) // 2] for at in range(31)]
    assert running_mean(numbers, window) == pytest.approx([statistics.fmean(part) for part in around])


def test_a_curve_of_many_numbers_has_a_running_mean() -> None:
    orange = torch.tensor([0xD5, 0x5E, 0x00])
    for count, smoothed in ((99, False), (100, True)):
        image = read(draw_training_curve([1 / (n + 1) for n in range(count)], "net on data: loss", "loss"))[..., :3]
        assert bool((image == orange).all(dim=-1).any()) == smoothed


def test_two_drawings_have_equal_bytes() -> None:
    assert draw_training_curve([3.0], "net: loss", "loss") == draw_training_curve([3.0], "net: loss", "loss")
