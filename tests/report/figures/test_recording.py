"""What trainings recorded, as PNG."""

from __future__ import annotations

import io
import statistics

import pytest
import torch
from matplotlib.image import imread
from torch import Tensor

from retbench.report.figures.recording import draw_course, encode_picture, is_course, running_mean

COLORED = torch.arange(2 * 5 * 3, dtype=torch.uint8).view(2, 5, 3) * 8


def read(png: bytes) -> Tensor:
    """Return the pixels of a PNG: uint8 (H, W, 4)."""
    return (torch.tensor(imread(io.BytesIO(png))) * 255).round().to(torch.uint8)


@pytest.mark.parametrize(
    "image",
    [COLORED, COLORED.permute(2, 0, 1), COLORED.permute(2, 0, 1).float() / 255],
    ids=["uint8 last", "uint8 first", "float"],
)
def test_a_colored_picture_keeps_every_pixel(image: Tensor) -> None:
    assert torch.equal(read(encode_picture(image))[..., :3], COLORED)


def test_a_gray_picture_keeps_every_pixel() -> None:
    gray = torch.tensor([[0, 1, 128], [200, 254, 255]], dtype=torch.uint8)
    assert torch.equal(read(encode_picture(gray))[..., :3], gray[..., None].expand(2, 3, 3))


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (torch.zeros(4, 4), r"got float32 \(4, 4\), expected uint8"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), r"got uint8 \(2, 4, 4, 3\)"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "got int64"),
        (torch.zeros(0, 4, dtype=torch.uint8), r"got uint8 \(0, 4\)"),
        (torch.full((3, 4, 4), 1.5), r"leave \[0, 1\]: got 1\.5 to 1\.5"),
        (torch.full((3, 4, 4), float("nan")), "got nan to nan"),
    ],
)
def test_what_is_no_picture_says_what_it_is(image: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        encode_picture(image)


@pytest.mark.parametrize(
    ("value", "drawn"),
    [([1, 2.5], True), ([0.0], True), ([], False), ([1, None], False), ([True], False), ({"a": 1}, False), (3, False)],
)
def test_a_course_is_a_list_of_numbers(value: object, drawn: bool) -> None:
    assert is_course(value) == drawn


@pytest.mark.parametrize("window", [1, 2, 5, 6, 40])
def test_a_running_mean_is_the_mean_of_the_numbers_around(window: int) -> None:
    numbers = [float(n * n % 17) for n in range(31)]
    around = [numbers[max(0, at - window // 2) : at + (window + 1) // 2] for at in range(31)]
    assert running_mean(numbers, window) == pytest.approx([statistics.fmean(part) for part in around])


def test_a_course_of_many_numbers_has_a_running_mean_over_it() -> None:
    orange = torch.tensor([0xD5, 0x5E, 0x00])
    for count, smoothed in ((99, False), (100, True)):
        image = read(draw_course([1 / (n + 1) for n in range(count)], "net on data: loss", "loss"))[..., :3]
        assert bool((image == orange).all(dim=-1).any()) == smoothed


def test_a_course_drawn_twice_is_the_same_bytes() -> None:
    assert draw_course([3.0], "net: loss", "loss") == draw_course([3.0], "net: loss", "loss")
