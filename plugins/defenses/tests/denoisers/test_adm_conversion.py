"""The conversion against a reference with the paper's formulas and guided-diffusion's names, without diffusers."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from retbench_defenses.denoisers.adm_conversion import adm_config, convert_adm
from torch import Tensor
from torch.nn import functional as F

HEAD_WIDTH = 64
Shapes = dict[str, tuple[int, ...]]
NamedShapes = Iterator[tuple[str, tuple[int, ...]]]


class Net(NamedTuple):
    """A network in guided-diffusion's terms; `with_attention` lists the resolutions that have attention."""

    base: int
    multipliers: tuple[int, ...]
    blocks: int
    with_attention: tuple[int, ...]
    outputs: int = 6


PUBLISHED_NET = Net(256, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5))
REDUCED_NET = Net(64, (1, 2, 2), 2, (1, 2))
SHALLOW_NET = Net(64, (1, 1), 1, (0,), outputs=3)
NETS = [REDUCED_NET, SHALLOW_NET, Net(32, (1, 2, 4), 1, ())]


def weight_and_bias(name: str, shape: tuple[int, ...]) -> NamedShapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def residual(name: str, inputs: int, outputs: int, time: int) -> NamedShapes:
    yield from weight_and_bias(f"{name}.in_layers.0", (inputs,))
    yield from weight_and_bias(f"{name}.in_layers.2", (outputs, inputs, 3, 3))
    yield from weight_and_bias(f"{name}.emb_layers.1", (2 * outputs, time))
    yield from weight_and_bias(f"{name}.out_layers.0", (outputs,))
    yield from weight_and_bias(f"{name}.out_layers.3", (outputs, outputs, 3, 3))
    if inputs != outputs:
        yield from weight_and_bias(f"{name}.skip_connection", (outputs, inputs, 1, 1))


def attention(name: str, channels: int) -> NamedShapes:
    yield from weight_and_bias(f"{name}.norm", (channels,))
    yield from weight_and_bias(f"{name}.qkv", (3 * channels, channels, 1))
    yield from weight_and_bias(f"{name}.proj_out", (channels, channels, 1))


def list_shapes(net: Net) -> Shapes:
    """The tensor shapes of a checkpoint: input blocks with a stack of skip connections, then output blocks."""
    channels, time, resolutions = net.base, 4 * net.base, range(len(net.multipliers))
    shapes = dict(weight_and_bias("time_embed.0", (time, net.base))) | dict(
        weight_and_bias("time_embed.2", (time, time))
    )
    shapes |= dict(weight_and_bias("input_blocks.0.0", (channels, 3, 3, 3)))
    stack = [channels]
    for resolution in resolutions:
        width = net.base * net.multipliers[resolution]
        for _ in range(net.blocks):
            shapes |= dict(residual(f"input_blocks.{len(stack)}.0", channels, width, time))
            channels = width
            if resolution in net.with_attention:
                shapes |= dict(attention(f"input_blocks.{len(stack)}.1", channels))
            stack.append(channels)
        if resolution != resolutions[-1]:
            shapes |= dict(residual(f"input_blocks.{len(stack)}.0", channels, channels, time))
            stack.append(channels)
    shapes |= dict(residual("middle_block.0", channels, channels, time)) | dict(attention("middle_block.1", channels))
    shapes |= dict(residual("middle_block.2", channels, channels, time))
    names = iter([f"output_blocks.{number}" for number in range(len(stack))])
    for resolution in reversed(resolutions):
        width, has_attention = net.base * net.multipliers[resolution], resolution in net.with_attention
        for _ in range(net.blocks + 1):
            name = next(names)
            shapes |= dict(residual(f"{name}.0", channels + stack.pop(), width, time))
            channels = width
            if has_attention:
                shapes |= dict(attention(f"{name}.1", channels))
        if resolution:
            shapes |= dict(residual(f"{name}.{2 if has_attention else 1}", channels, channels, time))
    return (
        shapes
        | dict(weight_and_bias("out.0", (channels,)))
        | dict(weight_and_bias("out.2", (net.outputs, channels, 3, 3)))
    )


def draw_weights(net: Net) -> dict[str, Tensor]:
    """Random weights that keep activations near one; no bias or scale of a norm has its default value."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in list_shapes(net).items():
        values = torch.randn(shape, generator=generator)
        weights[name] = values / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.1 * values
        if name.endswith("weight") and len(shape) == 1:
            weights[name] += 1
    return weights


class ReferenceNet:
    """The network as formulas of a checkpoint's weights."""

    def __init__(self, net: Net, weights: dict[str, Tensor]) -> None:
        self.net, self.weights = net, weights

    def predict(self, x: Tensor, steps: Tensor) -> Tensor:
        half = self.net.base // 2
        angles = steps[:, None].float() * torch.exp(-math.log(10_000) * torch.arange(half) / half)
        time = self.linear("time_embed.0", torch.cat([angles.cos(), angles.sin()], dim=1))
        time = self.linear("time_embed.2", F.silu(time))
        h = self.conv("input_blocks.0.0", x)
        skips = [h]
        count = len(self.net.multipliers) * (self.net.blocks + 1)
        for number in range(1, count):
            is_downsampling = number % (self.net.blocks + 1) == 0
            h = self.residual(
                f"input_blocks.{number}.0", h, time, (lambda x: F.avg_pool2d(x, 2)) if is_downsampling else None
            )
            h = self.attention(f"input_blocks.{number}.1", h)
            skips.append(h)
        h = self.residual("middle_block.0", h, time)
        h = self.attention("middle_block.1", h)
        h = self.residual("middle_block.2", h, time)
        for number in range(count):
            name = f"output_blocks.{number}"
            h = self.residual(f"{name}.0", torch.cat([h, skips.pop()], dim=1), time)
            h = self.attention(f"{name}.1", h)
            for index in (1, 2):
                if f"{name}.{index}.in_layers.0.weight" in self.weights:
                    h = self.residual(f"{name}.{index}", h, time, lambda x: F.interpolate(x, scale_factor=2.0))
        return self.conv("out.2", F.silu(self.norm("out.0", h)))

    def residual(
        self, name: str, x: Tensor, time: Tensor, resample: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        h = F.silu(self.norm(f"{name}.in_layers.0", x))
        if resample is not None:
            h, x = resample(h), resample(x)
        h = self.conv(f"{name}.in_layers.2", h)
        scale, shift = self.linear(f"{name}.emb_layers.1", F.silu(time))[:, :, None, None].chunk(2, dim=1)
        h = self.norm(f"{name}.out_layers.0", h) * (1 + scale) + shift
        h = self.conv(f"{name}.out_layers.3", F.silu(h))
        return h + (self.conv(f"{name}.skip_connection", x) if f"{name}.skip_connection.weight" in self.weights else x)

    def attention(self, name: str, x: Tensor) -> Tensor:
        """Each head has 3 * 64 rows of `qkv`: its queries, its keys, its values."""
        if f"{name}.qkv.weight" not in self.weights:
            return x
        tokens = self.norm(f"{name}.norm", x).flatten(2)
        rows = F.conv1d(tokens, self.weights[f"{name}.qkv.weight"], self.weights[f"{name}.qkv.bias"])
        outputs = []
        for head in rows.split(3 * HEAD_WIDTH, dim=1):
            queries, keys, values = head.split(HEAD_WIDTH, dim=1)
            attention = torch.einsum("bct,bcs->bts", queries, keys).div(math.sqrt(HEAD_WIDTH)).softmax(dim=2)
            outputs.append(torch.einsum("bts,bcs->bct", attention, values))
        projected = F.conv1d(
            torch.cat(outputs, dim=1), self.weights[f"{name}.proj_out.weight"], self.weights[f"{name}.proj_out.bias"]
        )
        return x + projected.reshape(x.shape)

    def norm(self, name: str, x: Tensor) -> Tensor:
        return F.group_norm(x, 32, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], eps=1e-5)

    def conv(self, name: str, x: Tensor) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        return F.conv2d(x, weight, self.weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])


def load_unet(weights: dict[str, Tensor]) -> Any:
    from diffusers import UNet2DModel

    with torch.device("meta"):
        unet = UNet2DModel(**adm_config({name: tensor.shape for name, tensor in weights.items()}))
    unet.load_state_dict(convert_adm(weights), strict=True, assign=True)
    return unet.eval()


def largest_difference(net: Net, converted: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """The largest difference between the converted network with some weights and the reference with others."""
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    steps = torch.tensor([0, 44, 177, 999])
    with torch.no_grad():
        expected = ReferenceNet(net, reference).predict(images, steps)
        got = load_unet(converted)(images, steps).sample
    assert 0.3 < expected.square().mean().sqrt() < 3
    return float((got - expected).abs().max())


@pytest.mark.parametrize("net", NETS, ids=str)
def test_the_converted_network_computes_the_same_as_the_reference(net: Net) -> None:
    weights = draw_weights(net)
    assert largest_difference(net, weights, weights) < 1e-5


@pytest.mark.parametrize("name", ["input_blocks.4.1", "middle_block.1", "output_blocks.5.1"])
def test_the_order_of_attention_heads_changes_the_output(name: str) -> None:
    weights = draw_weights(REDUCED_NET)
    reordered = {
        f"{name}.qkv.{kind}": weights[f"{name}.qkv.{kind}"]
        .unflatten(0, (2, 3, HEAD_WIDTH))
        .transpose(0, 1)
        .flatten(0, 2)
        for kind in ("weight", "bias")
    }
    assert largest_difference(REDUCED_NET, weights | reordered, weights) > 1e-3


@pytest.mark.parametrize(
    "name", ["middle_block.1.norm.weight", "time_embed.0.bias", "output_blocks.2.2.emb_layers.1.bias"]
)
def test_a_change_of_one_tensor_changes_the_output(name: str) -> None:
    weights = draw_weights(REDUCED_NET)
    assert largest_difference(REDUCED_NET, weights | {name: weights[name].flip(0)}, weights) > 1e-3


def test_half_precision_weights_are_converted_to_contiguous_float32() -> None:
    halves = {name: tensor.half() for name, tensor in draw_weights(REDUCED_NET).items()}
    halves["out.2.weight"] = halves["out.2.weight"].to(memory_format=torch.channels_last)
    converted = convert_adm(halves)
    floats = convert_adm({name: tensor.float().contiguous() for name, tensor in halves.items()})
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in converted.values())
    assert all(torch.equal(converted[name], floats[name]) for name in converted.keys() | floats.keys())


def test_the_config_of_the_published_checkpoint_is_read_off_its_shapes() -> None:
    shapes = list_shapes(PUBLISHED_NET)
    assert len(shapes) == 566
    assert sum(math.prod(shape) for shape in shapes.values()) == 552_814_086
    assert adm_config(shapes) == {
        "in_channels": 3,
        "out_channels": 6,
        "layers_per_block": 2,
        "block_out_channels": (256, 256, 512, 512, 1024, 1024),
        "down_block_types": ("ResnetDownsampleBlock2D",) * 3 + ("AttnDownBlock2D",) * 3,
        "up_block_types": ("AttnUpBlock2D",) * 3 + ("ResnetUpsampleBlock2D",) * 3,
        "attention_head_dim": 64,
        "resnet_time_scale_shift": "scale_shift",
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "norm_num_groups": 32,
        "attn_norm_num_groups": 32,
        "norm_eps": 1e-5,
        "freq_shift": 0,
        "flip_sin_to_cos": True,
    }


def test_every_weight_of_the_published_checkpoint_is_loaded() -> None:
    shapes = list_shapes(PUBLISHED_NET)
    halves = {name: torch.empty(shape, dtype=torch.float16, device="meta") for name, shape in shapes.items()}
    loaded = load_unet(halves).state_dict()
    assert len(loaded) == 630
    assert sum(tensor.numel() for tensor in loaded.values()) == 552_814_086
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}


def test_the_head_width_is_that_of_the_argument() -> None:
    shapes = list_shapes(REDUCED_NET)
    assert adm_config(shapes, head_width=32) == adm_config(shapes) | {"attention_head_dim": 32}


def test_the_error_names_a_missing_tensor() -> None:
    shapes = list_shapes(SHALLOW_NET)
    for name in shapes:
        message = f"adm checkpoint: a tensor is missing: got no tensor of that name, expected {name}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            adm_config({other: shape for other, shape in shapes.items() if other != name})


COMPLETE = list_shapes(REDUCED_NET)
WITHOUT_ONE_ATTENTION = {name: shape for name, shape in COMPLETE.items() if not name.startswith("input_blocks.4.1.")}


@pytest.mark.parametrize(
    ("shapes", "head_width", "message"),
    [
        (
            COMPLETE | {"label_emb.weight": (9, 256)},
            64,
            "the network is class-conditional: got label_emb.weight, expected",
        ),
        (COMPLETE | {"input_blocks.3.0.op.bias": (64,)}, 64, "without a residual block: got input_blocks.3.0.op.bias,"),
        (COMPLETE | {"output_blocks.2.1.conv.bias": (9,)}, 64, "a residual block: got output_blocks.2.1.conv.bias,"),
        (
            COMPLETE | {"input_blocks.4.0.emb_layers.1.weight": (128, 256)},
            64,
            "layers.1.weight: got 128, expected 256, a",
        ),
        (
            COMPLETE | {"input_blocks.9.0.in_layers.0.bias": (64,)},
            64,
            "input blocks at 3 resolutions: got 10, expected the same number",
        ),
        (
            COMPLETE | {"input_blocks.0.0.weight": (64, 3, 3)},
            64,
            "number of axes of input_blocks.0.0.weight: got 3, expected 4",
        ),
        (COMPLETE | {"out.0.bias": (32,)}, 64, "shape of out.0.bias: got (32,), expected (64,)"),
        (COMPLETE | {"ema": (1,)}, 64, "unknown tensor: got ema, expected only the 306 tensors of such a network"),
        (
            {"conv_in.weight": (64, 3, 3, 3)},
            64,
            "missing: got no tensor of that name, expected input_blocks.0.0.weight",
        ),
        (
            WITHOUT_ONE_ATTENTION,
            64,
            "blocks with attention at resolution 1: got 4, expected 0 or 5 (all of its blocks)",
        ),
        (
            list_shapes(Net(48, (1, 2), 1, ())),
            48,
            "channels at resolution 0: got 48, expected a multiple of 32, the groups",
        ),
        (COMPLETE, 48, "head width at resolution 1: got 48, expected a divisor of its 128 channels"),
        (
            list_shapes(Net(32, (1, 2), 1, ())),
            0,
            "head width at resolution 1: got 0, expected a divisor of its 64 channels",
        ),
    ],
)
def test_an_unsupported_network_is_an_error(shapes: Shapes, head_width: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^adm checkpoint: .*{re.escape(message)}"):
        adm_config(shapes, head_width)
