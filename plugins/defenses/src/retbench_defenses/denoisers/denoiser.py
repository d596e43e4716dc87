"""What every denoiser is: a part whose state is a diffusers `UNet2DModel` that predicts noise."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from retbench import Facts, Part, State

Variance = Literal["fixed_small", "fixed_large", "learned_range"]
OUTLINE = "outline"


class Outline(NamedTuple):
    """What is known of a denoiser before its weights are read.

    Attributes:
        config: the arguments of its `UNet2DModel`.
        levels: how many noise levels it was trained for, counted from the lowest: it knows the levels below this one.
        size: height and width in pixels of the images it was trained on; None where unknown.
        variance: the reverse variance it was trained for.
    """

    config: Mapping[str, Any]
    levels: int
    size: tuple[int, int] | None = None
    variance: Variance = "fixed_small"

    @property
    def factor(self) -> int:
        """What the sides of its images must be multiples of: it halves them once for each further resolution."""
        return 2 ** (len(self.config["block_out_channels"]) - 1)

    @property
    def learns_variance(self) -> bool:
        """Whether it predicts the variance beside the noise, in three channels more."""
        return bool(self.config.get("out_channels", 3) == 6)


class Prediction(NamedTuple):
    """The output of a denoiser for a noised image.

    Attributes:
        eps: the noise in it, float32 (B, 3, H, W).
        share: where it learns the variance, the share v of Nichol and Dhariwal 2021, equation 15, before it is mapped
            from [-1, 1] to [0, 1]; else None.
    """

    eps: Tensor
    share: Tensor | None


class Predictor(nn.Module):
    """A denoiser's network with its outline; maps a noised image and its level to a `Prediction`.

    Args:
        unet: a `UNet2DModel`, channels last.
        outline: of the same denoiser.
    """

    def __init__(self, unet: nn.Module, outline: Outline) -> None:
        super().__init__()
        self.unet, self.outline = unet, outline

    def forward(self, x: Tensor, level: int) -> Prediction:
        """Return the prediction for images (B, 3, H, W) noised to `level`."""
        # Without a gradient to keep, inference mode spares the network its version counters.
        with torch.inference_mode(not torch.is_grad_enabled()):
            # A number would be compiled into the network, once for each level.
            at = torch.full((), level, dtype=torch.int64, device=x.device)
            output: Tensor = self.unet(x.contiguous(memory_format=torch.channels_last), at).sample
        output = output.float().contiguous()
        return Prediction(output[:, :3], output[:, 3:] if output.shape[1] == 6 else None)


class Denoiser(Part):
    """Predicts the noise in a noised image.

    Its state holds the weights under the names of diffusers' `UNet2DModel`, and `outline`, uint8, the UTF-8 bytes of
    its `Outline` as JSON, from which everything else is recovered.
    """

    @abstractmethod
    def outline(self, facts: Facts) -> Outline:
        """Return its outline; only called when nothing is `missing`."""

    def missing(self, facts: Facts) -> str | None:
        """Return what is not on disk and the exact steps to get it, or None when the denoiser is available."""
        return None

    def supports(self, facts: Facts) -> str | None:
        return self.missing(facts) or _unfit_channels(self.outline(facts).config)

    def module(self, state: State, device: torch.device) -> Predictor:
        return build_predictor(state, device)


def pack_state(weights: Mapping[str, Tensor], outline: Outline) -> State:
    """Return a denoiser's state: float32 `weights` and the outline as a tensor."""
    text = json.dumps({**outline._asdict(), "config": dict(outline.config)}, sort_keys=True).encode()
    packed = {name: weight.float().contiguous() for name, weight in weights.items()}
    return packed | {OUTLINE: torch.tensor(list(text), dtype=torch.uint8)}


def read_outline(state: State) -> Outline:
    """Return the outline in a denoiser's state."""
    fields: dict[str, Any] = json.loads(bytes(state[OUTLINE].tolist()))
    return Outline(**{**fields, "size": tuple(fields["size"]) if fields["size"] else None})


def build_predictor(state: State, device: torch.device) -> Predictor:
    """Return the network of a denoiser's state, frozen, in eval mode and channels last, on `device`.

    It is laid out on the meta device and takes the state's tensors as they are, which costs milliseconds.
    """
    outline = read_outline(state)
    weights = {name: tensor for name, tensor in state.items() if name != OUTLINE}
    with torch.inference_mode(False):  # a network made in inference mode could never be differentiated
        with torch.device("meta"):
            unet = lay_out(outline.config)
        unet.load_state_dict(weights, assign=True)
        unet.to(device, memory_format=torch.channels_last)
        return Predictor(unet, outline).eval().requires_grad_(False)


def lay_out(config: Mapping[str, Any]) -> Any:
    """Return a `UNet2DModel` of these arguments with fresh weights; untyped, as diffusers is."""
    import diffusers

    unet: Any = diffusers.UNet2DModel
    return unet(**config)


def _unfit_channels(config: Mapping[str, Any]) -> str | None:
    """Return why a network cannot predict the noise of color images, or None."""
    if (channels := config.get("in_channels", 3)) != 3:
        return f"the U-Net does not take color images: got in_channels {channels}, expected 3"
    if (channels := config.get("out_channels", 3)) not in (3, 6):
        return f"the U-Net predicts no noise: got out_channels {channels}, expected 3, or 6 with the variance learned"
    return None
