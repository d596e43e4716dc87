from typing import NamedTuple

import pytest
import torch
from pydantic import ValidationError
from retbench_defenses.controls.random_resize_pad import RandomResizePad
from torch import Tensor, nn
from torch.nn.functional import interpolate

from retbench import Noise


class Box(NamedTuple):
    """Position and size of the shrunk image in the padded one."""

    top: int
    left: int
    height: int
    width: int


def make_noise(count: int) -> Noise:
    return Noise(0, tuple(f"query-{row}" for row in range(count)))


def purify(images: Tensor, **options: object) -> Tensor:
    return RandomResizePad(**options).purify(images, nn.Module(), make_noise(len(images)))


def find_boxes(count: int, height: int, width: int, **options: object) -> list[Box]:
    """Return the box of each of `count` white images on black padding; each must be one full rectangle."""
    boxes = []
    for image in purify(torch.ones(count, 3, height, width), **options):
        rows, columns = image[0].amax(1).nonzero()[:, 0].tolist(), image[0].amax(0).nonzero()[:, 0].tolist()
        box = Box(rows[0], columns[0], len(rows), len(columns))
        inside = image[:, box.top : box.top + box.height, box.left : box.left + box.width]
        assert bool((inside == 1).all())
        assert image.sum() == inside.numel()
        boxes.append(box)
    return boxes


def test_sizes_are_uniform_from_the_lowest_to_one_below_the_side() -> None:
    sizes = [box.height for box in find_boxes(2000, 20, 20, low=0.8)]
    counts = {size: sizes.count(size) for size in sorted(set(sizes))}
    assert list(counts) == [16, 17, 18, 19]
    assert all(abs(count - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5 for count in counts.values())


def test_offsets_are_uniform_over_those_that_fit() -> None:
    offsets = [(box.top, box.left) for box in find_boxes(2000, 20, 20, low=0.9) if box.height == 18]
    counts = {offset: offsets.count(offset) for offset in set(offsets)}
    assert set(counts) == {(top, left) for top in range(3) for left in range(3)}
    expected = len(offsets) / 9
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_the_default_heights_are_200_to_223_of_224() -> None:
    sizes = {box.height for box in find_boxes(60, 224, 224)}
    assert min(sizes) >= 200
    assert max(sizes) <= 223
    assert len(sizes) > 15


def test_the_width_keeps_the_aspect_ratio() -> None:
    for box in find_boxes(50, 20, 30, low=0.5):
        assert 10 <= box.height <= 19
        assert abs(box.width - 1.5 * box.height) <= 0.5


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_the_shrunk_image_equals_that_of_torch_interpolate(interpolation: str) -> None:
    count, height, width = 40, 24, 18
    options = {"low": 0.5, "interpolation": interpolation}
    images = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))
    for image, output, box in zip(
        images, purify(images, **options), find_boxes(count, height, width, **options), strict=True
    ):
        inside = output[:, box.top : box.top + box.height, box.left : box.left + box.width]
        expected = interpolate(image[None], (box.height, box.width), mode=interpolation)[0]
        assert torch.allclose(inside, expected, atol=1e-5)


def test_the_padding_has_the_value_of_fill() -> None:
    output = purify(torch.ones(30, 3, 16, 16), low=0.5, fill=0.25)
    assert set(output.unique().tolist()) == {0.25, 1.0}


def test_only_pixels_that_are_sampled_have_a_gradient() -> None:
    images = torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(purify(images, low=0.5).sum(), images)
    areas = torch.tensor([box.height * box.width for box in find_boxes(10, 16, 16, low=0.5)])
    assert torch.equal(gradient.sum((1, 2, 3)), 3.0 * areas)
    assert set(gradient.unique().tolist()) == {0.0, 1.0}


def test_small_sides_shrink_by_one_pixel_and_a_side_of_one_pixel_is_kept() -> None:
    assert {box.height for box in find_boxes(20, 3, 3)} == {2}
    assert set(find_boxes(5, 1, 1)) == {Box(0, 0, 1, 1)}


@pytest.mark.parametrize("options", [{"low": 0}, {"low": 1}, {"fill": 1.5}, {"interpolation": "cubic"}])
def test_an_option_outside_its_range_is_an_error(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RandomResizePad(**options)
