from typing import NamedTuple

import pytest
import torch
from pydantic import ValidationError
from retbench_defenses.controls.random_resize_pad import RandomResizePad
from torch import Tensor, nn
from torch.nn.functional import interpolate

from retbench import Noise


class Box(NamedTuple):
    """Where an image was put."""

    top: int
    left: int
    height: int
    width: int


def sources(count: int) -> Noise:
    return Noise(0, tuple(f"query-{row}" for row in range(count)))


def purified(images: Tensor, **options: object) -> Tensor:
    return RandomResizePad(**options).purify(images, nn.Module(), sources(len(images)))


def boxes(count: int, height: int, width: int, **options: object) -> list[Box]:
    """Where white images land on black; checks that each is one full rectangle."""
    found = []
    for image in purified(torch.ones(count, 3, height, width), **options):
        rows, columns = image[0].amax(1).nonzero()[:, 0].tolist(), image[0].amax(0).nonzero()[:, 0].tolist()
        box = Box(rows[0], columns[0], len(rows), len(columns))
        inside = image[:, box.top : box.top + box.height, box.left : box.left + box.width]
        assert bool((inside == 1).all())
        assert image.sum() == inside.numel()
        found.append(box)
    return found


def test_sizes_are_uniform_from_the_lowest_to_one_below_the_side() -> None:
    sizes = [box.height for box in boxes(2000, 20, 20, low=0.8)]
    counts = {size: sizes.count(size) for size in sorted(set(sizes))}
    assert list(counts) == [16, 17, 18, 19]
    assert all(abs(count - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5 for count in counts.values())


def test_places_are_uniform_over_all_that_fit() -> None:
    fitting = [(box.top, box.left) for box in boxes(2000, 20, 20, low=0.9) if box.height == 18]
    counts = {place: fitting.count(place) for place in set(fitting)}
    assert set(counts) == {(top, left) for top in range(3) for left in range(3)}
    share = len(fitting) / 9
    assert all(abs(count - share) < 5 * share**0.5 for count in counts.values())


def test_the_defaults_are_200_to_223_of_224() -> None:
    sizes = {box.height for box in boxes(60, 224, 224)}
    assert min(sizes) >= 200
    assert max(sizes) <= 223
    assert len(sizes) > 15


def test_the_width_keeps_the_aspect() -> None:
    for box in boxes(50, 20, 30, low=0.5):
        assert 10 <= box.height <= 19
        assert abs(box.width - 1.5 * box.height) <= 0.5


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_the_image_in_the_box_is_the_one_torch_scales(interpolation: str) -> None:
    count, height, width = 40, 24, 18
    options = {"low": 0.5, "interpolation": interpolation}
    images = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))
    for image, output, box in zip(
        images, purified(images, **options), boxes(count, height, width, **options), strict=True
    ):
        inside = output[:, box.top : box.top + box.height, box.left : box.left + box.width]
        expected = interpolate(image[None], (box.height, box.width), mode=interpolation)[0]
        assert torch.allclose(inside, expected, atol=1e-5)


def test_the_fill_surrounds_the_image() -> None:
    output = purified(torch.ones(30, 3, 16, 16), low=0.5, fill=0.25)
    assert set(output.unique().tolist()) == {0.25, 1.0}


def test_gradients_pass_to_what_is_shown_and_nothing_else() -> None:
    images = torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(purified(images, low=0.5).sum(), images)
    areas = torch.tensor([box.height * box.width for box in boxes(10, 16, 16, low=0.5)])
    assert torch.equal(gradient.sum((1, 2, 3)), 3.0 * areas)
    assert set(gradient.unique().tolist()) == {0.0, 1.0}


def test_a_side_without_room_for_a_draw_shrinks_by_one_pixel_and_one_pixel_stays() -> None:
    assert {box.height for box in boxes(20, 3, 3)} == {2}
    assert set(boxes(5, 1, 1)) == {Box(0, 0, 1, 1)}


@pytest.mark.parametrize("options", [{"low": 0}, {"low": 1}, {"fill": 1.5}, {"interpolation": "cubic"}])
def test_an_option_outside_its_range_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RandomResizePad(**options)
