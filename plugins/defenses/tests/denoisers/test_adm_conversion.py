"""The reference here follows the paper's formulas and guided-diffusion's names; it shares no code with diffusers."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from retbench_defenses.denoisers.adm_conversion import adm_config, convert_adm
from torch import Tensor
from torch.nn import functional as F

WIDTH = 64
Shapes = dict[str, tuple[int, ...]]
Named = Iterator[tuple[str, tuple[int, ...]]]


class Net(NamedTuple):
    """A network in guided-diffusion's terms; `attended` are the levels with attention."""

    base: int
    multipliers: tuple[int, ...]
    blocks: int
    attended: tuple[int, ...]
    outputs: int = 6


PUBLISHED = Net(256, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5))
REDUCED = Net(64, (1, 2, 2), 2, (1, 2))
SHALLOW = Net(64, (1, 1), 1, (0,), outputs=3)
NETS = [REDUCED, SHALLOW, Net(32, (1, 2, 4), 1, ())]


def pair(name: str, shape: tuple[int, ...]) -> Named:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def residual(name: str, inputs: int, outputs: int, time: int) -> Named:
    yield from pair(f"{name}.in_layers.0", (inputs,))
    yield from pair(f"{name}.in_layers.2", (outputs, inputs, 3, 3))
    yield from pair(f"{name}.emb_layers.1", (2 * outputs, time))
    yield from pair(f"{name}.out_layers.0", (outputs,))
    yield from pair(f"{name}.out_layers.3", (outputs, outputs, 3, 3))
    if inputs != outputs:
        yield from pair(f"{name}.skip_connection", (outputs, inputs, 1, 1))


def attention(name: str, channels: int) -> Named:
    yield from pair(f"{name}.norm", (channels,))
    yield from pair(f"{name}.qkv", (3 * channels, channels, 1))
    yield from pair(f"{name}.proj_out", (channels, channels, 1))


def list_shapes(net: Net) -> Shapes:
    """A checkpoint's names and shapes, built as the network is: downwards with a stack of skips, then upwards."""
    channels, time, levels = net.base, 4 * net.base, range(len(net.multipliers))
    shapes = dict(pair("time_embed.0", (time, net.base))) | dict(pair("time_embed.2", (time, time)))
    shapes |= dict(pair("input_blocks.0.0", (channels, 3, 3, 3)))
    stack = [channels]
    for level in levels:
        width = net.base * net.multipliers[level]
        for _ in range(net.blocks):
            shapes |= dict(residual(f"input_blocks.{len(stack)}.0", channels, width, time))
            channels = width
            if level in net.attended:
                shapes |= dict(attention(f"input_blocks.{len(stack)}.1", channels))
            stack.append(channels)
        if level != levels[-1]:
            shapes |= dict(residual(f"input_blocks.{len(stack)}.0", channels, channels, time))
            stack.append(channels)
    shapes |= dict(residual("middle_block.0", channels, channels, time)) | dict(attention("middle_block.1", channels))
    shapes |= dict(residual("middle_block.2", channels, channels, time))
    names = iter([f"output_blocks.{number}" for number in range(len(stack))])
    for level in reversed(levels):
        width, attends = net.base * net.multipliers[level], level in net.attended
        for _ in range(net.blocks + 1):
            name = next(names)
            shapes |= dict(residual(f"{name}.0", channels + stack.pop(), width, time))
            channels = width
            if attends:
                shapes |= dict(attention(f"{name}.1", channels))
        if level:
            shapes |= dict(residual(f"{name}.{2 if attends else 1}", channels, channels, time))
    return shapes | dict(pair("out.0", (channels,))) | dict(pair("out.2", (net.outputs, channels, 3, 3)))


def draw_weights(net: Net) -> dict[str, Tensor]:
    """Weights that keep activations near one; every bias and every norm's scale away from its default."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in list_shapes(net).items():
        values = torch.randn(shape, generator=generator)
        weights[name] = values / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.1 * values
        if name.endswith("weight") and len(shape) == 1:
            weights[name] += 1
    return weights


class Reference:
    """The network as formulas over a checkpoint's weights."""

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
            down = number % (self.net.blocks + 1) == 0
            h = self.residual(f"input_blocks.{number}.0", h, time, (lambda x: F.avg_pool2d(x, 2)) if down else None)
            h = self.attention(f"input_blocks.{number}.1", h)
            skips.append(h)
        h = self.residual("middle_block.0", h, time)
        h = self.attention("middle_block.1", h)
        h = self.residual("middle_block.2", h, time)
        for number in range(count):
            name = f"output_blocks.{number}"
            h = self.residual(f"{name}.0", torch.cat([h, skips.pop()], dim=1), time)
            h = self.attention(f"{name}.1", h)
            for place in (1, 2):
                if f"{name}.{place}.in_layers.0.weight" in self.weights:
                    h = self.residual(f"{name}.{place}", h, time, lambda x: F.interpolate(x, scale_factor=2.0))
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
        """Every head owns 3 * 64 rows of `qkv`: its queries, its keys, its values."""
        if f"{name}.qkv.weight" not in self.weights:
            return x
        tokens = self.norm(f"{name}.norm", x).flatten(2)
        rows = F.conv1d(tokens, self.weights[f"{name}.qkv.weight"], self.weights[f"{name}.qkv.bias"])
        seen = []
        for head in rows.split(3 * WIDTH, dim=1):
            queries, keys, values = head.split(WIDTH, dim=1)
            share = torch.einsum("bct,bcs->bts", queries, keys).div(math.sqrt(WIDTH)).softmax(dim=2)
            seen.append(torch.einsum("bts,bcs->bct", share, values))
        seen_by_all = torch.cat(seen, dim=1)
        projected = F.conv1d(
            seen_by_all, self.weights[f"{name}.proj_out.weight"], self.weights[f"{name}.proj_out.bias"]
        )
        return x + projected.reshape(x.shape)

    def norm(self, name: str, x: Tensor) -> Tensor:
        return F.group_norm(x, 32, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], eps=1e-5)

    def conv(self, name: str, x: Tensor) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        return F.conv2d(x, weight, self.weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])


def load_net(weights: dict[str, Tensor]) -> Any:
    from diffusers import UNet2DModel

    with torch.device("meta"):
        net = UNet2DModel(**adm_config({name: tensor.shape for name, tensor in weights.items()}))
    net.load_state_dict(convert_adm(weights), strict=True, assign=True)
    return net.eval()


def largest_gap(net: Net, converted: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """The largest difference of the outputs of one set of weights, converted, and of another in the reference."""
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    steps = torch.tensor([0, 44, 177, 999])
    with torch.no_grad():
        expected = Reference(net, reference).predict(images, steps)
        got = load_net(converted)(images, steps).sample
    assert 0.3 < expected.square().mean().sqrt() < 3
    return float((got - expected).abs().max())


@pytest.mark.parametrize("net", NETS, ids=str)
def test_the_converted_network_computes_the_formulas(net: Net) -> None:
    weights = draw_weights(net)
    assert largest_gap(net, weights, weights) < 1e-5


@pytest.mark.parametrize("name", ["input_blocks.4.1", "middle_block.1", "output_blocks.5.1"])
def test_another_order_of_the_heads_is_another_network(name: str) -> None:
    weights = draw_weights(REDUCED)
    reordered = {
        f"{name}.qkv.{kind}": weights[f"{name}.qkv.{kind}"].unflatten(0, (2, 3, WIDTH)).transpose(0, 1).flatten(0, 2)
        for kind in ("weight", "bias")
    }
    assert largest_gap(REDUCED, weights | reordered, weights) > 1e-3


@pytest.mark.parametrize(
    "name", ["middle_block.1.norm.weight", "time_embed.0.bias", "output_blocks.2.2.emb_layers.1.bias"]
)
def test_a_change_of_one_tensor_is_seen(name: str) -> None:
    weights = draw_weights(REDUCED)
    assert largest_gap(REDUCED, weights | {name: weights[name].flip(0)}, weights) > 1e-3


def test_half_precision_weights_become_contiguous_float32() -> None:
    halves = {name: tensor.half() for name, tensor in draw_weights(REDUCED).items()}
    halves["out.2.weight"] = halves["out.2.weight"].to(memory_format=torch.channels_last)
    converted = convert_adm(halves)
    floats = convert_adm({name: tensor.float().contiguous() for name, tensor in halves.items()})
    assert all(tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in converted.values())
    assert all(torch.equal(converted[name], floats[name]) for name in converted.keys() | floats.keys())


def test_the_published_checkpoint_is_recognized_by_its_shapes() -> None:
    shapes = list_shapes(PUBLISHED)
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


def test_the_published_checkpoint_loads_whole() -> None:
    shapes = list_shapes(PUBLISHED)
    halves = {name: torch.empty(shape, dtype=torch.float16, device="meta") for name, shape in shapes.items()}
    held = load_net(halves).state_dict()
    assert len(held) == 630
    assert sum(tensor.numel() for tensor in held.values()) == 552_814_086
    assert {tensor.dtype for tensor in held.values()} == {torch.float32}


def test_the_head_width_is_the_callers() -> None:
    shapes = list_shapes(REDUCED)
    assert adm_config(shapes, head_width=32) == adm_config(shapes) | {"attention_head_dim": 32}


def test_a_missing_tensor_is_named() -> None:
    shapes = list_shapes(SHALLOW)
    for name in shapes:
        complaint = f"adm checkpoint: a tensor is missing: got none of that name, expected {name}"
        with pytest.raises(ValueError, match=f"^{re.escape(complaint)}$"):
            adm_config({kept: shape for kept, shape in shapes.items() if kept != name})


WHOLE = list_shapes(REDUCED)
PARTLY = {name: shape for name, shape in WHOLE.items() if not name.startswith("input_blocks.4.1.")}


@pytest.mark.parametrize(
    ("shapes", "head_width", "complaint"),
    [
        (
            WHOLE | {"label_emb.weight": (9, 256)},
            64,
            "the network is class-conditional: got label_emb.weight, expected",
        ),
        (WHOLE | {"input_blocks.3.0.op.bias": (64,)}, 64, "without a residual block: got input_blocks.3.0.op.bias,"),
        (WHOLE | {"output_blocks.2.1.conv.bias": (9,)}, 64, "a residual block: got output_blocks.2.1.conv.bias,"),
        (WHOLE | {"input_blocks.4.0.emb_layers.1.weight": (128, 256)}, 64, "layers.1.weight: got 128, expected 256, a"),
        (
            WHOLE | {"input_blocks.9.0.in_layers.0.bias": (64,)},
            64,
            "input blocks at 3 levels: got 10, expected equally",
        ),
        (WHOLE | {"input_blocks.0.0.weight": (64, 3, 3)}, 64, "axes of input_blocks.0.0.weight: got 3, expected 4"),
        (WHOLE | {"out.0.bias": (32,)}, 64, "shape of out.0.bias: got (32,), expected (64,)"),
        (WHOLE | {"ema": (1,)}, 64, "a tensor is unknown: got ema, expected only the 306 of such a network"),
        ({"conv_in.weight": (64, 3, 3, 3)}, 64, "missing: got none of that name, expected input_blocks.0.0.weight"),
        (PARTLY, 64, "blocks with attention at level 1: got 4, expected 0 or 5, all of the level's"),
        (list_shapes(Net(48, (1, 2), 1, ())), 48, "channels at level 0: got 48, expected a multiple of 32, the groups"),
        (WHOLE, 48, "head width at level 1: got 48, expected a divisor of its 128 channels"),
        (list_shapes(Net(32, (1, 2), 1, ())), 0, "head width at level 1: got 0, expected a divisor of its 64 channels"),
    ],
)
def test_a_network_that_is_not_understood_is_refused(shapes: Shapes, head_width: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^adm checkpoint: .*{re.escape(complaint)}"):
        adm_config(shapes, head_width)
