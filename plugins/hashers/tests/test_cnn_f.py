"""CNN-F against its table, published values of its normalisation, and a forward pass written from the paper."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.cnn_f import CnnF, Lrn
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

KERNELS = {
    "conv1": (64, 3, 11, 11),
    "conv2": (256, 64, 5, 5),
    "conv3": (256, 256, 3, 3),
    "conv4": (256, 256, 3, 3),
    "conv5": (256, 256, 3, 3),
    "fc6": (4096, 256, 6, 6),
    "fc7": (4096, 4096, 1, 1),
}
MIDDLE = [("conv3", (256, 13, 13)), ("conv4", (256, 13, 13)), ("conv5", (256, 13, 13))]
LAST = [("pool", (256, 6, 6)), ("fc6", (4096, 1, 1)), ("fc7", (4096, 1, 1))]
SIX_CHANNELS = torch.tensor([38.9418, 96.3558, 80.8496, 4.1581, 75.6803, 98.2453]).reshape(1, 6, 1, 1)


class Narrow(CnnF):
    """Small enough to run: hidden layers of 8."""

    width = 8


def with_a_mean(lrn: Lrn = "port", extra_padding: bool = False) -> CnnF:
    """Returns a narrow network whose mean image differs from pixel to pixel."""
    torch.manual_seed(0)
    network = Narrow(lrn, extra_padding).eval().requires_grad_(False)
    network.mean += 20 * torch.randn_like(network.mean)
    return network


def windowed(maps: Tensor, lrn: Lrn) -> Tensor:
    """Returns the normalised maps by the definition, a loop over channels."""
    before, after, alpha = (1, 0, 5e-5) if lrn == "port" else (2, 2, 1e-4)
    squares, channels = maps.double().square(), maps.shape[1]
    sums = [squares[:, max(c - before, 0) : c + after + 1].sum(dim=1) for c in range(channels)]
    return (maps.double() / (2 + alpha * torch.stack(sums, dim=1)) ** 0.75).float()


def by_the_table(network: CnnF, images: Tensor, lrn: Lrn, extra_padding: bool) -> Tensor:
    weights = network.state_dict()

    def layer(maps: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        return F.conv2d(maps, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding).relu()

    maps = windowed(layer(images * 255 - weights["mean"], "conv1", stride=4), lrn)
    border = int(extra_padding)
    maps = F.max_pool2d(F.pad(maps, (border, border + 1, border, border + 1)), 3, 2)
    maps = F.max_pool2d(windowed(layer(maps, "conv2", padding=2), lrn), 3, 2)
    for name in ("conv3", "conv4", "conv5"):
        maps = layer(maps, name, padding=1)
    hidden = F.max_pool2d(maps, 3, 2).flatten(1)
    for name in ("fc6", "fc7"):
        hidden = F.linear(hidden, weights[f"{name}.weight"].flatten(1), weights[f"{name}.bias"]).relu()
    return hidden


def test_its_weights_are_those_of_the_table() -> None:
    with torch.device("meta"):
        network = CnnF()
    expected = {f"{name}.weight": shape for name, shape in KERNELS.items()}
    expected |= {f"{name}.bias": shape[:1] for name, shape in KERNELS.items()}
    assert {name: tuple(weight.shape) for name, weight in network.named_parameters()} == expected
    assert round(sum(weight.numel() for weight in network.parameters()) / 1e6, 2) == 56.74


def test_the_mean_image_moves_with_the_weights_and_is_saved_with_them() -> None:
    with torch.device("meta"):
        network = CnnF()
    assert network.mean.device.type == "meta"
    assert network.state_dict()["mean"].shape == (3, 224, 224)


def test_a_fresh_mean_image_has_the_colour_of_imagenet_everywhere() -> None:
    colours = torch.tensor([123.675, 116.28, 103.53])
    torch.testing.assert_close(Narrow().mean, colours.reshape(3, 1, 1).expand(3, 224, 224))


@pytest.mark.parametrize("extra_padding", [False, True])
def test_its_maps_have_the_sizes_of_the_table(extra_padding: bool) -> None:
    sizes: list[tuple[str, tuple[int, ...]]] = []
    with torch.device("meta"):
        network = CnnF(extra_padding=extra_padding)
        for name, layer in network.named_children():
            layer.register_forward_hook(lambda _, __, maps, name=name: sizes.append((name, tuple(maps.shape[1:]))))
        assert network(torch.empty(1, 3, 224, 224)).shape == (1, 4096)
    side = 28 if extra_padding else 27
    assert sizes == [
        *[("conv1", (64, 54, 54)), ("norm", (64, 54, 54)), ("pool1", (64, side, side))],
        *[("conv2", (256, side, side)), ("norm", (256, side, side)), ("pool", (256, 13, 13))],
        *[*MIDDLE, *LAST],
    ]


def test_an_image_takes_1_44_gflop() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        CnnF()(torch.empty(1, 3, 224, 224))
    assert round(counter.get_total_flops() / 1e9, 2) == 1.44


@pytest.mark.parametrize(
    ("lrn", "expected"),
    [
        ("port", [22.5177, 47.8902, 37.4414, 2.2065, 40.6910, 45.7690]),
        ("exact", [14.4980, 35.8606, 27.0367, 1.2213, 25.8262, 38.0704]),
    ],
)
def test_its_normalisation_has_the_published_values(lrn: Lrn, expected: list[float]) -> None:
    found = Narrow(lrn).norm(SIX_CHANNELS).flatten()
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("extra_padding", [False, True])
@pytest.mark.parametrize("lrn", ["port", "exact"])
def test_it_computes_what_the_table_says(lrn: Lrn, extra_padding: bool) -> None:
    network, images = with_a_mean(lrn, extra_padding), torch.rand(2, 3, 224, 224)
    features = network(images)
    torch.testing.assert_close(features, by_the_table(network, images, lrn, extra_padding))
    assert features.std() > 0


def test_both_options_change_the_features() -> None:
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    plain = with_a_mean()(images)
    for changed in (with_a_mean(lrn="exact"), with_a_mean(extra_padding=True)):
        assert (changed(images) - plain).norm() > 1e-2 * plain.norm()


def test_transposing_kernels_mean_and_images_together_changes_nothing() -> None:
    network, images = with_a_mean(), torch.rand(2, 3, 224, 224)
    upright = network(images)
    transposed_images_alone = network(images.mT)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.copy_(layer.weight.mT.clone())
    transposed_kernels = network(images)
    network.mean.copy_(network.mean.mT.clone())
    torch.testing.assert_close(network(images.mT), upright, rtol=1e-5, atol=1e-5)
    for different in (transposed_images_alone, transposed_kernels, network(images)):
        assert (different - upright).norm() > 1e-2 * upright.norm()


def test_a_gradient_reaches_every_pixel() -> None:
    images = torch.rand(1, 3, 224, 224, requires_grad=True)
    with_a_mean()(images).sum().backward()
    assert images.grad is not None
    # The last convolution of conv1 ends at pixel 53 * 4 + 11 = 223: the outermost row and column are not looked at.
    assert (images.grad[..., :223, :223] != 0).all()
    assert (images.grad[..., 223, :] == 0).all()
    assert (images.grad[..., :, 223] == 0).all()
