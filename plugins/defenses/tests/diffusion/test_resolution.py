from collections.abc import Callable
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from retbench_defenses.denoisers.denoiser import DenoiserMetadata, Prediction, Predictor
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.resolution import (
    ResolutionPolicy,
    count_tiles,
    explain_size_mismatch,
    network_size,
    predict_tiles,
    purify_at_network_size,
)
from torch import Tensor
from torch.nn.functional import interpolate

from retbench import Noise

POLICIES = get_args(ResolutionPolicy)
DENOISER = DenoiserMetadata({"block_out_channels": (8, 8, 8)}, 1000, (32, 32))


def halve(images: Tensor) -> Tensor:
    return 0.5 * images


@pytest.fixture
def oblong_images() -> Tensor:
    return torch.rand(2, 3, 28, 40, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("policy", POLICIES)
def test_images_of_the_networks_size_are_not_scaled(policy: ResolutionPolicy) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(purify_at_network_size(policy, (32, 32), halve, images), halve(images))


def test_resize_scales_images_to_the_networks_size_and_back(oblong_images: Tensor) -> None:
    inputs: list[Tensor] = []
    purified = purify_at_network_size("resize", (32, 32), lambda x: inputs.append(x) or halve(x), oblong_images)
    assert torch.equal(inputs[0], interpolate(oblong_images, (32, 32), mode="bilinear"))
    assert torch.equal(purified, interpolate(halve(inputs[0]), (28, 40), mode="bilinear"))


def test_residual_adds_the_scaled_change_to_the_image(oblong_images: Tensor) -> None:
    untouched = purify_at_network_size("residual", (32, 32), lambda x: x, oblong_images)
    assert torch.equal(untouched, oblong_images)
    small = interpolate(oblong_images, (32, 32), mode="bilinear")
    expected = oblong_images + interpolate(-0.5 * small, (28, 40), mode="bilinear")
    assert torch.allclose(purify_at_network_size("residual", (32, 32), halve, oblong_images), expected, atol=1e-6)


@pytest.mark.parametrize("policy", POLICIES)
def test_an_empty_batch_stays_empty(policy: ResolutionPolicy) -> None:
    assert purify_at_network_size(policy, (32, 32), halve, torch.zeros(0, 3, 28, 40)).shape == (0, 3, 28, 40)


def predict_in_tiles(
    output: Callable[[Tensor], Tensor], x: Tensor, tile_size: tuple[int, int], channels: int = 3
) -> Prediction:
    class UNet:
        def __call__(self, images: Tensor, level: int) -> object:
            assert images.shape[2:] == tile_size
            return SimpleNamespace(sample=output(images))

    metadata = DenoiserMetadata({"block_out_channels": (8,), "out_channels": channels}, 1000, tile_size)
    return predict_tiles(Predictor(UNet(), metadata), tile_size, x, 3)  # type: ignore[arg-type]  # not a module


@pytest.mark.parametrize("size", [(32, 32), (40, 33), (100, 32), (65, 47)])
def test_tiles_of_a_pointwise_network_give_the_prediction_of_the_whole_image(size: tuple[int, int]) -> None:
    x = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(0))
    prediction = predict_in_tiles(lambda images: torch.sin(images), x, (32, 32))
    assert torch.allclose(prediction.eps, torch.sin(x), atol=1e-5)
    assert prediction.variance_output is None


def test_tiles_include_the_learned_variance() -> None:
    x = torch.randn(2, 3, 24, 20, generator=torch.Generator().manual_seed(0))
    prediction = predict_in_tiles(lambda images: torch.cat([images, 2 * images], 1), x, (16, 16), 6)
    assert prediction.variance_output is not None
    assert torch.allclose(prediction.variance_output, 2 * x, atol=1e-5)


def test_overlapping_tiles_are_weighted_by_the_distance_to_their_centers() -> None:
    x = torch.zeros(1, 3, 16, 24)
    prediction = predict_in_tiles(lambda images: torch.arange(2.0).view(2, 1, 1, 1).expand_as(images), x, (16, 16))
    row = prediction.eps[0, 0, 8]
    assert (row[:8] == 0).all()
    assert (row[16:] == 1).all()
    assert (row[8:16].diff() > 0).all()


def test_tiles_are_counted_half_a_tile_apart() -> None:
    assert count_tiles("tiles", (32, 32), (224, 224)) == 13 * 13
    assert count_tiles("tiles", (32, 32), (32, 32)) == 1
    assert count_tiles("resize", (32, 32), (224, 224)) == 1


def test_tiles_of_an_empty_batch_are_empty() -> None:
    prediction = predict_in_tiles(lambda images: images, torch.zeros(0, 3, 40, 40), (32, 32))
    assert prediction.eps.shape == (0, 3, 40, 40)


@pytest.mark.parametrize(
    ("policy", "size", "expected"),
    [
        ("resize", (28, 40), (32, 32)),
        ("residual", (28, 40), (32, 32)),
        ("tiles", (40, 40), (32, 32)),
        ("native", (28, 40), (28, 40)),
    ],
)
def test_the_policy_determines_the_size_of_the_networks_input(
    policy: ResolutionPolicy, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert network_size(policy, DENOISER, size) == expected
    assert explain_size_mismatch(policy, DENOISER, size) is None


def test_a_network_of_unknown_size_does_not_scale_images() -> None:
    unknown = DENOISER._replace(size=None)
    assert network_size("resize", unknown, (28, 40)) == (28, 40)
    assert (
        explain_size_mismatch("resize", unknown, (30, 40))
        == "image size does not fit the U-Net: got 30x40, expected multiples of 4"
    )


def test_the_reason_names_the_size_that_does_not_fit() -> None:
    reason = explain_size_mismatch("native", DENOISER, (28, 42))
    assert reason == "image size does not fit the U-Net: got 28x42, expected multiples of 4"
    reason = explain_size_mismatch("tiles", DENOISER, (28, 40))
    assert reason == "images are smaller than a tile: got 28x40, expected at least 32x32; use another `resolution`"


@pytest.mark.parametrize("policy", POLICIES)
def test_purified_images_keep_their_size_and_do_not_depend_on_the_batch(
    policy: ResolutionPolicy, module: Predictor, noise: Noise
) -> None:
    """The denoiser of the fixture is for 16 pixels."""
    images = torch.rand(3, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    purifier, noise = Ddpm(t_p=3, resolution=policy), noise.rows(0, 3)
    together = purifier.purify(images, module, noise)
    assert together.shape == images.shape
    assert 0 <= together.min() <= together.max() <= 1
    alone = torch.cat([purifier.purify(images[i : i + 1], module, noise.rows(i, i + 1)) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert purifier.purify(images[:0], module, noise.rows(0, 0)).shape == (0, 3, 20, 28)
