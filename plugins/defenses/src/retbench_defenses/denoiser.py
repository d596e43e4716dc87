"""What every denoiser is: a part whose state is a diffusers `UNet2DModel` that predicts noise."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from retbench import Facts, Part, State


class Outline(NamedTuple):
    """What is known of a denoiser before its weights are read.

    Attributes:
        config: the arguments of its `UNet2DModel`.
        levels: how many noise levels it was trained for, counted from the lowest: it knows the levels below this one.
    """

    config: Mapping[str, Any]
    levels: int


class Denoiser(Part):
    """Predicts the noise in a noised image.

    Its state holds the weights under the names of diffusers' `UNet2DModel`, and two entries from which everything else
    is recovered: `config`, uint8, the UTF-8 bytes of the model's arguments as JSON, and `levels`, int64, a scalar.
    """

    @abstractmethod
    def outline(self, facts: Facts) -> Outline:
        """Returns architecture and levels; asked only when nothing is `missing`."""

    def missing(self, facts: Facts) -> str | None:
        """Returns what is not on disk and the exact steps to get it, or None when the denoiser can be had."""
        return None

    def supports(self, facts: Facts) -> str | None:
        return self.missing(facts) or _misfit(self.outline(facts).config, facts)

    def module(self, state: State, device: torch.device) -> nn.Module:
        return build_unet(state, device)


def pack_state(weights: Mapping[str, Tensor], outline: Outline) -> State:
    """Returns a denoiser's state: float32 `weights` and the outline as tensors."""
    text = json.dumps(dict(outline.config), sort_keys=True).encode()
    extra = {"config": torch.tensor(list(text), dtype=torch.uint8), "levels": torch.tensor(outline.levels)}
    return {name: weight.float().contiguous() for name, weight in weights.items()} | extra


def build_unet(state: State, device: torch.device) -> nn.Module:
    """Returns the `UNet2DModel` of a denoiser's state, frozen, in eval mode and channels last, on `device`.

    It is laid out on the meta device and takes the state's tensors as they are, which costs milliseconds.
    """
    weights = {name: tensor for name, tensor in state.items() if name not in ("config", "levels")}
    with torch.device("meta"):
        unet = lay_out(json.loads(bytes(state["config"].tolist())))
    unet.load_state_dict(weights, assign=True)
    frozen: nn.Module = unet.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    return frozen


def lay_out(config: Mapping[str, Any]) -> Any:
    """Returns a `UNet2DModel` of these arguments with fresh weights; untyped, as diffusers is."""
    import diffusers

    unet: Any = diffusers.UNet2DModel
    return unet(**config)


def _misfit(config: Mapping[str, Any], facts: Facts) -> str | None:
    for option in ("in_channels", "out_channels"):
        if config.get(option, 3) != 3:
            return f"the U-Net does not map colour to noise: got {option} {config[option]}, expected 3"
    factor = 2 ** (len(config["block_out_channels"]) - 1)
    if any(side % factor for side in facts.image_size):
        size = "x".join(map(str, facts.image_size))
        return f"image size does not fit the U-Net: got {size}, expected multiples of {factor}"
    return None
