import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from retbench_defenses.controls.jpeg import Jpeg
from torch import Tensor, nn

from retbench import Noise

NOISE = Noise(0, ("query",))


def compress(images: Tensor, **options: object) -> Tensor:
    return Jpeg(**options).purify(images, nn.Module(), NOISE)


def cosine_block(coefficient: float) -> Tensor:
    """A gray 8 x 8 block whose only AC coefficient of the DCT is that of the highest horizontal frequency."""
    wave = torch.tensor([math.cos((2 * x + 1) * 7 * math.pi / 16) for x in range(8)])
    return ((128 + coefficient / math.sqrt(32) * wave) / 255).expand(1, 3, 8, 8)


def test_a_coefficient_is_rounded_to_a_multiple_of_its_quantization_step() -> None:
    # Quality 50 is the standard's luminance table (ITU T.81, table K.1), whose step for this coefficient is 61.
    options = {"quality": 50, "subsampling": "4:4:4"}
    assert torch.equal(compress(cosine_block(26), **options), torch.full((1, 3, 8, 8), 128 / 255))
    assert torch.allclose(compress(cosine_block(45), **options), cosine_block(61), atol=1.1 / 255)
    assert torch.allclose(compress(cosine_block(26), quality=100), cosine_block(26), atol=1.1 / 255)


def test_channels_and_axes_are_not_exchanged() -> None:
    images = torch.zeros(1, 3, 16, 32)
    images[0, 0, :, :16], images[0, 2, 8:, 16:] = 1, 1
    assert torch.allclose(compress(images, quality=95, subsampling="4:4:4"), images, atol=8 / 255)


def test_images_are_rounded_to_8_bits_before_and_after_compression(images: Tensor) -> None:
    random = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    decoded = compress(random, quality=1)
    assert torch.equal(decoded, (decoded * 255).round() / 255)
    assert torch.equal(compress(images + 0.4 / 255), compress(images))


SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


def test_subsampling_blurs_color_along_its_axes() -> None:
    columns = torch.zeros(1, 3, 16, 16)
    columns[:, 0, :, ::2], columns[:, 2, :, 1::2] = 0.8, 0.8
    columns[:, 1] = 0.5
    for images, blurring_kinds in ((columns, {"4:2:2", "4:2:0"}), (columns.mT, {"4:2:0"})):
        errors = {kind: (compress(images, quality=95, subsampling=kind) - images).abs().max() for kind in SUBSAMPLINGS}
        assert {kind for kind, error in errors.items() if error > 0.2} == blurring_kinds


def test_lower_quality_changes_the_image_more() -> None:
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    errors = [float((compress(images, quality=quality) - images).square().mean()) for quality in (95, 75, 50, 10)]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]


def test_the_gradient_is_that_of_the_identity_and_does_not_change_the_values(images: Tensor) -> None:
    pixels = images.clone().requires_grad_()
    output = compress(pixels)
    weights = torch.rand(output.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((weights * output).sum(), pixels)
    assert torch.equal(gradient, weights)
    assert torch.equal(output.detach(), compress(images))


@settings(max_examples=25)
@given(st.integers(0, 255), st.integers(1, 20), st.integers(1, 20), st.sampled_from(SUBSAMPLINGS))
def test_flat_gray_images_of_any_size_are_kept(level: int, height: int, width: int, subsampling: str) -> None:
    images = torch.full((1, 3, height, width), level / 255)
    assert torch.allclose(compress(images, quality=100, subsampling=subsampling), images, atol=1.1 / 255)


@pytest.mark.parametrize("options", [{"quality": 0}, {"quality": 101}, {"subsampling": "4:1:1"}])
def test_an_option_outside_its_range_is_an_error(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Jpeg(**options)
