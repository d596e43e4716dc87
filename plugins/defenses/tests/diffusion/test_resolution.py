from collections.abc import Callable
from typing import get_args

import pytest
import torch
from retbench_defenses.denoisers.denoiser import Outline, Prediction, Predictor
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.resolution import (
    Resolution,
    at_network_size,
    misfit,
    network_size,
    predict_tiles,
    tile_count,
)
from torch import Tensor
from torch.nn.functional import interpolate

from retbench import Noise

POLICIES = get_args(Resolution)
NET = Outline({"block_out_channels": (8, 8, 8)}, 1000, (32, 32))


def half(images: Tensor) -> Tensor:
    return 0.5 * images


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(2, 3, 28, 40, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("policy", POLICIES)
def test_images_of_the_networks_size_are_handed_on(policy: Resolution) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(at_network_size(policy, (32, 32), half, images), half(images))


def test_images_are_scaled_there_and_back(pictures: Tensor) -> None:
    seen: list[Tensor] = []
    purified = at_network_size("resize", (32, 32), lambda x: seen.append(x) or half(x), pictures)
    assert torch.equal(seen[0], interpolate(pictures, (32, 32), mode="bilinear"))
    assert torch.equal(purified, interpolate(half(seen[0]), (28, 40), mode="bilinear"))


def test_a_residual_keeps_what_scaling_loses(pictures: Tensor) -> None:
    untouched = at_network_size("residual", (32, 32), lambda x: x, pictures)
    assert torch.equal(untouched, pictures)
    small = interpolate(pictures, (32, 32), mode="bilinear")
    expected = pictures + interpolate(-0.5 * small, (28, 40), mode="bilinear")
    assert torch.allclose(at_network_size("residual", (32, 32), half, pictures), expected, atol=1e-6)


@pytest.mark.parametrize("policy", POLICIES)
def test_no_images_stay_none(policy: Resolution) -> None:
    assert at_network_size(policy, (32, 32), half, torch.zeros(0, 3, 28, 40)).shape == (0, 3, 28, 40)


def tiles_of(answer: Callable[[Tensor], Tensor], x: Tensor, tile: tuple[int, int], channels: int = 3) -> Prediction:
    class Answer:
        def __call__(self, images: Tensor, level: int) -> object:
            assert images.shape[2:] == tile
            return type("Output", (), {"sample": answer(images)})

    outline = Outline({"block_out_channels": (8,), "out_channels": channels}, 1000, tile)
    return predict_tiles(Predictor(Answer(), outline), tile, x, 3)  # type: ignore[arg-type]  # a function for the net


@pytest.mark.parametrize("size", [(32, 32), (40, 33), (100, 32), (65, 47)])
def test_tiles_of_a_pointwise_network_give_what_the_whole_image_would(size: tuple[int, int]) -> None:
    x = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(0))
    found = tiles_of(lambda images: torch.sin(images), x, (32, 32))
    assert torch.allclose(found.eps, torch.sin(x), atol=1e-5)
    assert found.share is None


def test_tiles_carry_the_learned_variance_too() -> None:
    x = torch.randn(2, 3, 24, 20, generator=torch.Generator().manual_seed(0))
    found = tiles_of(lambda images: torch.cat([images, 2 * images], 1), x, (16, 16), 6)
    assert found.share is not None
    assert torch.allclose(found.share, 2 * x, atol=1e-5)


def test_where_tiles_overlap_the_nearer_middle_weighs_more() -> None:
    x = torch.zeros(1, 3, 16, 24)
    found = tiles_of(lambda images: torch.arange(2.0).view(2, 1, 1, 1).expand_as(images), x, (16, 16))
    row = found.eps[0, 0, 8]
    assert (row[:8] == 0).all()
    assert (row[16:] == 1).all()
    assert (row[8:16].diff() > 0).all()


def test_tiles_cost_the_memory_of_all_of_them() -> None:
    assert tile_count("tiles", (32, 32), (224, 224)) == 13 * 13
    assert tile_count("tiles", (32, 32), (32, 32)) == 1
    assert tile_count("resize", (32, 32), (224, 224)) == 1


def test_tiles_of_no_images_are_none() -> None:
    assert tiles_of(lambda images: images, torch.zeros(0, 3, 40, 40), (32, 32)).eps.shape == (0, 3, 40, 40)


@pytest.mark.parametrize(
    ("policy", "size", "seen"),
    [
        ("resize", (28, 40), (32, 32)),
        ("residual", (28, 40), (32, 32)),
        ("tiles", (40, 40), (32, 32)),
        ("native", (28, 40), (28, 40)),
    ],
)
def test_the_size_that_the_network_sees(policy: Resolution, size: tuple[int, int], seen: tuple[int, int]) -> None:
    assert network_size(policy, NET, size) == seen
    assert misfit(policy, NET, size) is None


def test_a_network_of_unknown_size_takes_images_as_they_are() -> None:
    unknown = NET._replace(size=None)
    assert network_size("resize", unknown, (28, 40)) == (28, 40)
    assert (
        misfit("resize", unknown, (30, 40)) == "image size does not fit the U-Net: got 30x40, expected multiples of 4"
    )


def test_what_does_not_fit_is_refused() -> None:
    assert misfit("native", NET, (28, 42)) == "image size does not fit the U-Net: got 28x42, expected multiples of 4"
    reason = misfit("tiles", NET, (28, 40))
    assert reason is not None
    assert reason.startswith("images are smaller than a tile: got 28x40")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_purifier_gives_images_of_their_own_size_alike_in_any_batch(
    policy: Resolution, module: Predictor, noise: Noise
) -> None:
    """The tiny denoiser is for 16 pixels."""
    pictures = torch.rand(3, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    purifier, lanes = Ddpm(t_p=3, resolution=policy), noise.rows(0, 3)
    together = purifier.purify(pictures, module, lanes)
    assert together.shape == pictures.shape
    assert 0 <= together.min() <= together.max() <= 1
    alone = torch.cat([purifier.purify(pictures[i : i + 1], module, lanes.rows(i, i + 1)) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert purifier.purify(pictures[:0], module, lanes.rows(0, 0)).shape == (0, 3, 20, 28)
