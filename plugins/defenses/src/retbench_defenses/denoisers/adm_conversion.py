"""Conversion of OpenAI's guided-diffusion U-Nets to diffusers' `UNet2DModel`: the same function, other names.

Source: Dhariwal and Nichol 2021, Diffusion models beat GANs on image synthesis ("ADM"), section 3 and guided-diffusion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

GROUPS = 32
COMMON_CONFIG: dict[str, Any] = {
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
BLOCK_TENSOR = re.compile(r"^(input|output)_blocks\.(\d+)\.(\d+)\.(.+)$", re.MULTILINE)
"""Name of a tensor in a block: side, number of the block, index of the module in it, tensor of the module."""
PLAIN_RESAMPLING = re.compile(r"input_blocks\.\d+\.\d+\.op\.|output_blocks\.\d+\.\d+\.conv\.")
ATTENTION_LAYERS = ("norm.", "qkv.", "proj_out.")

Shapes = Mapping[str, Sequence[int]]


def adm_config(shapes: Shapes, head_width: int = 64) -> dict[str, Any]:
    """Return the arguments of the diffusers `UNet2DModel` that matches a guided-diffusion checkpoint.

    The network has residual up- and downsampling, scale-shift norms and no classes. The size of its images is not among
    the arguments: it cannot be read off the shapes.

    Args:
        shapes: the shape of every tensor by its name in the checkpoint.
        head_width: channels of an attention head, which cannot be read off the shapes either.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape, or diffusers cannot express the network.
    """
    _check_supported_variant(shapes)
    conv_in, conv_out = _find_shape(shapes, "input_blocks.0.0.weight", 4), _find_shape(shapes, "out.2.weight", 4)
    block_counts = _read_block_counts(shapes)
    widths = _read_widths(shapes, block_counts)
    attention = _read_attention(shapes, block_counts)
    _check_heads(widths, attention, head_width)
    config = COMMON_CONFIG | {
        "in_channels": conv_in[1],
        "out_channels": conv_out[0],
        "layers_per_block": block_counts.layers,
        "block_out_channels": widths,
        "down_block_types": tuple("AttnDownBlock2D" if has else "ResnetDownsampleBlock2D" for has in attention),
        "up_block_types": tuple("AttnUpBlock2D" if has else "ResnetUpsampleBlock2D" for has in reversed(attention)),
        "attention_head_dim": head_width,
    }
    _check_shapes(shapes, config)
    return config


def convert_adm(weights: Mapping[str, Tensor], head_width: int = 64) -> dict[str, Tensor]:
    """Return a checkpoint's weights under the names of `UNet2DModel`.

    They are float32, contiguous and on the device of `weights`, including the meta device, and load strictly into the
    network of `adm_config`; a tensor that needs no change is not copied. Heads are taken as the outer axis of queries,
    keys and values, guided-diffusion's default. The order cannot be read off the tensors: a network trained with
    `use_new_attention_order` is converted to a wrong one without an error.

    Args:
        weights: the checkpoint's tensors by name.
        head_width: channels of an attention head.

    Raises:
        ValueError: as `adm_config`.
    """
    config = adm_config({name: tensor.shape for name, tensor in weights.items()}, head_width)
    converted: dict[str, Tensor] = {}
    for layer in _list_layers(config):
        for kind in ("weight", "bias"):
            tensor = weights[f"{layer.source}.{kind}"].float()
            if tensor.ndim == 3:  # a convolution along a sequence with kernel size 1 is a linear map
                tensor = tensor.squeeze(-1)
            if not layer.source.endswith(".qkv"):
                converted[f"{layer.target}.{kind}"] = tensor.contiguous()
                continue
            by_head = tensor.reshape(-1, 3, head_width, *tensor.shape[1:])
            for index, name in enumerate(("to_q", "to_k", "to_v")):
                converted[f"{layer.target}.{name}.{kind}"] = by_head[:, index].flatten(0, 1).contiguous()
    return converted


class _BlockCounts(NamedTuple):
    """The number of resolutions, and of residual blocks per resolution in the downward half."""

    resolutions: int
    layers: int


class _LayerNames(NamedTuple):
    """A layer's name in the checkpoint and in diffusers, and the shape of its weight in the checkpoint."""

    source: str
    target: str
    shape: tuple[int, ...]


def _check_supported_variant(shapes: Shapes) -> None:
    if "label_emb.weight" in shapes:
        raise _conversion_error("the network is class-conditional", "label_emb.weight", "a network without classes")
    for name in filter(PLAIN_RESAMPLING.match, shapes):
        raise _conversion_error("resampling without a residual block", name, "residual up- and downsampling")


def _find_shape(shapes: Shapes, name: str, axes: int) -> Sequence[int]:
    if name not in shapes:
        raise _conversion_error("a tensor is missing", "no tensor of that name", name)
    if len(shapes[name]) != axes:
        raise _conversion_error(f"number of axes of {name}", len(shapes[name]), axes)
    return shapes[name]


def _read_block_counts(shapes: Shapes) -> _BlockCounts:
    matches = BLOCK_TENSOR.findall("\n".join(shapes))
    blocks = 1 + max(int(number) for _, number, _, _ in matches)
    # Of all residual blocks, only an upsampling one is not the first module of its block.
    upsampling = {number for _, number, index, tensor in matches if index != "0" and tensor.startswith("in_layers.")}
    resolutions = 1 + len(upsampling)
    if blocks % resolutions or blocks == resolutions:
        raise _conversion_error(
            f"input blocks at {resolutions} resolutions", blocks, "the same number at each, at least two"
        )
    return _BlockCounts(resolutions, blocks // resolutions - 1)


def _read_widths(shapes: Shapes, block_counts: _BlockCounts) -> tuple[int, ...]:
    widths = []
    for resolution in range(block_counts.resolutions):
        block = f"input_blocks.{1 + resolution * (block_counts.layers + 1)}.0"
        width, time_projection = (
            _find_shape(shapes, f"{block}.in_layers.2.weight", 4)[0],
            f"{block}.emb_layers.1.weight",
        )
        if width % GROUPS:
            raise _conversion_error(
                f"channels at resolution {resolution}", width, f"a multiple of {GROUPS}, the groups of its norms"
            )
        if _find_shape(shapes, time_projection, 2)[0] == width:
            raise _conversion_error(
                f"no scale-shift norm: rows of {time_projection}", width, f"{2 * width}, a scale and a shift"
            )
        widths.append(width)
    return tuple(widths)


def _read_attention(shapes: Shapes, block_counts: _BlockCounts) -> list[bool]:
    """Return whether each resolution has attention, finest resolution first."""
    matches = BLOCK_TENSOR.findall("\n".join(shapes))
    blocks = {(side, int(number)) for side, number, _, tensor in matches if tensor.startswith(ATTENTION_LAYERS)}
    counts = [0] * block_counts.resolutions
    for side, number in blocks:
        resolution = (number - (side == "input")) // (block_counts.layers + 1)
        counts[resolution if side == "input" else -1 - resolution] += 1
    for resolution, count in enumerate(counts):
        if count not in (0, expected := 2 * block_counts.layers + 1):
            raise _conversion_error(
                f"blocks with attention at resolution {resolution}", count, f"0 or {expected} (all of its blocks)"
            )
    return [count > 0 for count in counts]


def _check_heads(widths: Sequence[int], attention: Sequence[bool], head_width: int) -> None:
    # The middle block has attention at the width of the last resolution, whether or not that resolution has it.
    for resolution, width in enumerate(widths):
        has_attention = attention[resolution] or resolution + 1 == len(widths)
        if has_attention and (head_width < 1 or width % head_width):
            raise _conversion_error(
                f"head width at resolution {resolution}", head_width, f"a divisor of its {width} channels"
            )


def _check_shapes(shapes: Shapes, config: Mapping[str, Any]) -> None:
    expected: dict[str, tuple[int, ...]] = {}
    for layer in _list_layers(config):
        expected |= {f"{layer.source}.weight": layer.shape, f"{layer.source}.bias": layer.shape[:1]}
    for name, shape in expected.items():
        if (got := tuple(_find_shape(shapes, name, len(shape)))) != shape:
            raise _conversion_error(f"shape of {name}", got, shape)
    for name in shapes:
        if name not in expected:
            raise _conversion_error("unknown tensor", name, f"only the {len(expected)} tensors of such a network")


def _list_layers(config: Mapping[str, Any]) -> Iterator[_LayerNames]:
    """Yield every layer of the network, in the order of the checkpoint."""
    widths, layers = config["block_out_channels"], config["layers_per_block"]
    first, last, time = widths[0], widths[-1], 4 * widths[0]
    # Widths of the skip connections, in the order of the input blocks: residual blocks, then downsampling.
    skips = [first, *(width for width in widths for _ in range(layers + 1))][:-1]
    yield _LayerNames("time_embed.0", "time_embedding.linear_1", (time, first))
    yield _LayerNames("time_embed.2", "time_embedding.linear_2", (time, time))
    yield _LayerNames("input_blocks.0.0", "conv_in", (first, config["in_channels"], 3, 3))
    for number, (inputs, outputs) in enumerate(pairwise(skips), start=1):
        resolution, index = divmod(number - 1, layers + 1)
        source, target = f"input_blocks.{number}", f"down_blocks.{resolution}"
        module = f"resnets.{index}" if index < layers else "downsamplers.0"
        yield from _list_residual_layers(f"{source}.0", f"{target}.{module}", inputs, outputs, time)
        if index < layers and config["down_block_types"][resolution] == "AttnDownBlock2D":
            yield from _list_attention_layers(f"{source}.1", f"{target}.attentions.{index}", outputs)
    yield from _list_residual_layers("middle_block.0", "mid_block.resnets.0", last, last, time)
    yield from _list_attention_layers("middle_block.1", "mid_block.attentions.0", last)
    yield from _list_residual_layers("middle_block.2", "mid_block.resnets.1", last, last, time)
    inputs = last
    for number, skip in enumerate(reversed(skips)):
        resolution, index = divmod(number, layers + 1)
        source, target = f"output_blocks.{number}", f"up_blocks.{resolution}"
        outputs = widths[-1 - resolution]
        yield from _list_residual_layers(f"{source}.0", f"{target}.resnets.{index}", inputs + skip, outputs, time)
        has_attention = config["up_block_types"][resolution] == "AttnUpBlock2D"
        if has_attention:
            yield from _list_attention_layers(f"{source}.1", f"{target}.attentions.{index}", outputs)
        if index == layers and resolution + 1 < len(widths):
            upsampling = f"{source}.{1 + has_attention}"
            yield from _list_residual_layers(upsampling, f"{target}.upsamplers.0", outputs, outputs, time)
        inputs = outputs
    yield _LayerNames("out.0", "conv_norm_out", (first,))
    yield _LayerNames("out.2", "conv_out", (config["out_channels"], first, 3, 3))


def _list_residual_layers(source: str, target: str, inputs: int, outputs: int, time: int) -> Iterator[_LayerNames]:
    yield _LayerNames(f"{source}.in_layers.0", f"{target}.norm1", (inputs,))
    yield _LayerNames(f"{source}.in_layers.2", f"{target}.conv1", (outputs, inputs, 3, 3))
    yield _LayerNames(f"{source}.emb_layers.1", f"{target}.time_emb_proj", (2 * outputs, time))
    yield _LayerNames(f"{source}.out_layers.0", f"{target}.norm2", (outputs,))
    yield _LayerNames(f"{source}.out_layers.3", f"{target}.conv2", (outputs, outputs, 3, 3))
    if inputs != outputs:
        yield _LayerNames(f"{source}.skip_connection", f"{target}.conv_shortcut", (outputs, inputs, 1, 1))


def _list_attention_layers(source: str, target: str, width: int) -> Iterator[_LayerNames]:
    yield _LayerNames(f"{source}.norm", f"{target}.group_norm", (width,))
    yield _LayerNames(f"{source}.qkv", target, (3 * width, width, 1))
    yield _LayerNames(f"{source}.proj_out", f"{target}.to_out.0", (width, width, 1))


def _conversion_error(problem: str, got: object, expected: object) -> ValueError:
    return ValueError(f"adm checkpoint: {problem}: got {got}, expected {expected}")
