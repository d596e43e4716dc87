"""OpenAI's guided-diffusion U-Nets as diffusers' `UNet2DModel`: the same function under other names.

Source: Dhariwal and Nichol 2021, Diffusion models beat GANs on image synthesis ("ADM"), section 3 and guided-diffusion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

GROUPS = 32
FIXED: dict[str, Any] = {
    "resnet_time_scale_shift": "scale_shift",
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "norm_num_groups": GROUPS,
    # Left out, the attention of the middle block would lose its norm, as the residual blocks' norm is scale-shift.
    "attn_norm_num_groups": GROUPS,
    "norm_eps": 1e-5,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
}
"""The arguments that all supported networks share."""
BLOCK = re.compile(r"^(input|output)_blocks\.(\d+)\.(\d+)\.(.+)$", re.MULTILINE)
RESAMPLING = re.compile(r"input_blocks\.\d+\.\d+\.op\.|output_blocks\.\d+\.\d+\.conv\.")
ATTENTION = ("norm.", "qkv.", "proj_out.")

Shapes = Mapping[str, Sequence[int]]


def adm_config(shapes: Shapes, head_width: int = 64) -> dict[str, Any]:
    """Return the arguments of the diffusers `UNet2DModel` that a guided-diffusion checkpoint's tensor shapes describe.

    The network has residual up- and downsampling, scale-shift norms and no classes. The size of its images is not among
    the arguments: it cannot be read off the shapes.

    Args:
        shapes: the shape of every tensor by its name in the checkpoint.
        head_width: channels of an attention head, which cannot be read off the shapes either.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape, or diffusers cannot express the network.
    """
    _refuse_variants(shapes)
    conv_in, conv_out = _find(shapes, "input_blocks.0.0.weight", 4), _find(shapes, "out.2.weight", 4)
    depth = _read_depth(shapes)
    widths = _read_widths(shapes, depth)
    attends = _read_attention(shapes, depth)
    _check_heads(widths, attends, head_width)
    config = FIXED | {
        "in_channels": conv_in[1],
        "out_channels": conv_out[0],
        "layers_per_block": depth.layers,
        "block_out_channels": widths,
        "down_block_types": tuple("AttnDownBlock2D" if there else "ResnetDownsampleBlock2D" for there in attends),
        "up_block_types": tuple("AttnUpBlock2D" if there else "ResnetUpsampleBlock2D" for there in reversed(attends)),
        "attention_head_dim": head_width,
    }
    _check_shapes(shapes, config)
    return config


def convert_adm(weights: Mapping[str, Tensor], head_width: int = 64) -> dict[str, Tensor]:
    """Return a checkpoint's weights under the names of `UNet2DModel`.

    They are float32, contiguous and on the device of `weights`, the meta device too, and load strictly into the network
    of `adm_config`; a tensor that needs no change is not copied. Heads are taken as the outer axis of queries, keys and
    values, guided-diffusion's default. The order cannot be read off the tensors: a network trained with
    `use_new_attention_order` becomes a wrong one without an error.

    Raises:
        ValueError: as `adm_config`.
    """
    config = adm_config({name: tensor.shape for name, tensor in weights.items()}, head_width)
    converted: dict[str, Tensor] = {}
    for layer in _list_layers(config):
        for kind in ("weight", "bias"):
            tensor = weights[f"{layer.source}.{kind}"].float()
            if tensor.ndim == 3:  # a convolution along a sequence, with a kernel of one: a linear map
                tensor = tensor.squeeze(-1)
            if not layer.source.endswith(".qkv"):
                converted[f"{layer.target}.{kind}"] = tensor.contiguous()
                continue
            by_head = tensor.reshape(-1, 3, head_width, *tensor.shape[1:])
            for axis, name in enumerate(("to_q", "to_k", "to_v")):
                converted[f"{layer.target}.{name}.{kind}"] = by_head[:, axis].flatten(0, 1).contiguous()
    return converted


class _Depth(NamedTuple):
    """The number of resolutions, and of residual blocks at each on the way down."""

    levels: int
    layers: int


class _Layer(NamedTuple):
    """A weight and its bias: their common name in the checkpoint and in diffusers, and the weight's shape there."""

    source: str
    target: str
    shape: tuple[int, ...]


def _refuse_variants(shapes: Shapes) -> None:
    if "label_emb.weight" in shapes:
        raise _error("the network is class-conditional", "label_emb.weight", "a network without classes")
    for name in filter(RESAMPLING.match, shapes):
        raise _error("resampling without a residual block", name, "residual up- and downsampling")


def _find(shapes: Shapes, name: str, axes: int) -> Sequence[int]:
    if name not in shapes:
        raise _error("a tensor is missing", "none of that name", name)
    if len(shapes[name]) != axes:
        raise _error(f"axes of {name}", len(shapes[name]), axes)
    return shapes[name]


def _read_depth(shapes: Shapes) -> _Depth:
    found = BLOCK.findall("\n".join(shapes))
    blocks = 1 + max(int(number) for _, number, _, _ in found)
    # Of all residual blocks, only an upsampling one comes after something else in its block.
    levels = 1 + len({number for _, number, place, rest in found if place != "0" and rest.startswith("in_layers.")})
    if blocks % levels or blocks == levels:
        raise _error(f"input blocks at {levels} levels", blocks, "equally many at each, at least two")
    return _Depth(levels, blocks // levels - 1)


def _read_widths(shapes: Shapes, depth: _Depth) -> tuple[int, ...]:
    widths = []
    for level in range(depth.levels):
        block = f"input_blocks.{1 + level * (depth.layers + 1)}.0"
        width, features = _find(shapes, f"{block}.in_layers.2.weight", 4)[0], f"{block}.emb_layers.1.weight"
        if width % GROUPS:
            raise _error(f"channels at level {level}", width, f"a multiple of {GROUPS}, the groups of its norms")
        if _find(shapes, features, 2)[0] == width:
            raise _error(f"no scale-shift norm: rows of {features}", width, f"{2 * width}, a scale and a shift")
        widths.append(width)
    return tuple(widths)


def _read_attention(shapes: Shapes, depth: _Depth) -> list[bool]:
    """Return whether a level attends, by level, the finest first."""
    found = BLOCK.findall("\n".join(shapes))
    attending = {(side, int(number)) for side, number, _, rest in found if rest.startswith(ATTENTION)}
    counts = [0] * depth.levels
    for side, number in attending:
        level = (number - (side == "input")) // (depth.layers + 1)
        counts[level if side == "input" else -1 - level] += 1
    for level, count in enumerate(counts):
        if count not in (0, whole := 2 * depth.layers + 1):
            raise _error(f"blocks with attention at level {level}", count, f"0 or {whole}, all of the level's")
    return [count > 0 for count in counts]


def _check_heads(widths: Sequence[int], attends: Sequence[bool], head_width: int) -> None:
    # The middle block attends at the width of the last level, whether or not that level does.
    for level, width in enumerate(widths):
        if (attends[level] or level + 1 == len(widths)) and (head_width < 1 or width % head_width):
            raise _error(f"head width at level {level}", head_width, f"a divisor of its {width} channels")


def _check_shapes(shapes: Shapes, config: Mapping[str, Any]) -> None:
    expected: dict[str, tuple[int, ...]] = {}
    for layer in _list_layers(config):
        expected |= {f"{layer.source}.weight": layer.shape, f"{layer.source}.bias": layer.shape[:1]}
    for name, shape in expected.items():
        if (got := tuple(_find(shapes, name, len(shape)))) != shape:
            raise _error(f"shape of {name}", got, shape)
    for name in shapes:
        if name not in expected:
            raise _error("a tensor is unknown", name, f"only the {len(expected)} of such a network")


def _list_layers(config: Mapping[str, Any]) -> Iterator[_Layer]:
    """Yield every layer of the network."""
    widths, layers = config["block_out_channels"], config["layers_per_block"]
    first, last, time = widths[0], widths[-1], 4 * widths[0]
    # Widths of the skip connections, in the order of the input blocks: residual blocks, then downsampling.
    skips = [first, *(width for width in widths for _ in range(layers + 1))][:-1]
    yield _Layer("time_embed.0", "time_embedding.linear_1", (time, first))
    yield _Layer("time_embed.2", "time_embedding.linear_2", (time, time))
    yield _Layer("input_blocks.0.0", "conv_in", (first, config["in_channels"], 3, 3))
    for number, (inputs, outputs) in enumerate(pairwise(skips), start=1):
        level, index = divmod(number - 1, layers + 1)
        source, target = f"input_blocks.{number}", f"down_blocks.{level}"
        part = f"resnets.{index}" if index < layers else "downsamplers.0"
        yield from _residual(f"{source}.0", f"{target}.{part}", inputs, outputs, time)
        if index < layers and config["down_block_types"][level] == "AttnDownBlock2D":
            yield from _attention(f"{source}.1", f"{target}.attentions.{index}", outputs)
    yield from _residual("middle_block.0", "mid_block.resnets.0", last, last, time)
    yield from _attention("middle_block.1", "mid_block.attentions.0", last)
    yield from _residual("middle_block.2", "mid_block.resnets.1", last, last, time)
    width = last
    for number, skip in enumerate(reversed(skips)):
        level, index = divmod(number, layers + 1)
        source, target, wide = f"output_blocks.{number}", f"up_blocks.{level}", widths[-1 - level]
        yield from _residual(f"{source}.0", f"{target}.resnets.{index}", width + skip, wide, time)
        attends = config["up_block_types"][level] == "AttnUpBlock2D"
        if attends:
            yield from _attention(f"{source}.1", f"{target}.attentions.{index}", wide)
        if index == layers and level + 1 < len(widths):
            yield from _residual(f"{source}.{1 + attends}", f"{target}.upsamplers.0", wide, wide, time)
        width = wide
    yield _Layer("out.0", "conv_norm_out", (first,))
    yield _Layer("out.2", "conv_out", (config["out_channels"], first, 3, 3))


def _residual(source: str, target: str, inputs: int, outputs: int, time: int) -> Iterator[_Layer]:
    yield _Layer(f"{source}.in_layers.0", f"{target}.norm1", (inputs,))
    yield _Layer(f"{source}.in_layers.2", f"{target}.conv1", (outputs, inputs, 3, 3))
    yield _Layer(f"{source}.emb_layers.1", f"{target}.time_emb_proj", (2 * outputs, time))
    yield _Layer(f"{source}.out_layers.0", f"{target}.norm2", (outputs,))
    yield _Layer(f"{source}.out_layers.3", f"{target}.conv2", (outputs, outputs, 3, 3))
    if inputs != outputs:
        yield _Layer(f"{source}.skip_connection", f"{target}.conv_shortcut", (outputs, inputs, 1, 1))


def _attention(source: str, target: str, width: int) -> Iterator[_Layer]:
    yield _Layer(f"{source}.norm", f"{target}.group_norm", (width,))
    yield _Layer(f"{source}.qkv", target, (3 * width, width, 1))
    yield _Layer(f"{source}.proj_out", f"{target}.to_out.0", (width, width, 1))


def _error(what: str, got: object, expected: object) -> ValueError:
    return ValueError(f"adm checkpoint: {what}: got {got}, expected {expected}")
