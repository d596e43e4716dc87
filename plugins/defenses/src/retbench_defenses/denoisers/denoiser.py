"""The common base of denoisers: a part whose state is a diffusers `UNet2DModel` that predicts noise."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from retbench import Facts, Part, State, match_weights

Variance = Literal["fixed_small", "fixed_large", "learned_range"]
METADATA_KEY = "outline"
"""Name of the tensor in a denoiser's state that contains its metadata."""


class DenoiserMetadata(NamedTuple):
    """What is known of a denoiser before its weights are read.

    Attributes:
        config: the arguments of its `UNet2DModel`.
        levels: number of noise levels it was trained for, counted from the lowest.
        size: height and width in pixels of the images it was trained on; None if unknown.
        variance: the reverse variance it was trained for.
    """

    config: Mapping[str, Any]
    levels: int
    size: tuple[int, int] | None = None
    variance: Variance = "fixed_small"

    @property
    def size_multiple(self) -> int:
        """The number that height and width must be multiples of: 2 for each halving of the resolution."""
        return 1 << (len(self.config["block_out_channels"]) - 1)

    @property
    def learns_variance(self) -> bool:
        """Whether the network predicts the variance too, in three more channels."""
        return bool(self.config.get("out_channels", 3) == 6)


class Prediction(NamedTuple):
    """The output of a denoiser for a noised image.

    Attributes:
        eps: the predicted noise, float32 (B, 3, H, W).
        variance_output: v of Nichol and Dhariwal 2021, equation 15, before it is mapped from [-1, 1] to [0, 1]; same
            shape. None if the network does not learn the variance.
    """

    eps: Tensor
    variance_output: Tensor | None


class Predictor(nn.Module):
    """A denoiser's network, which maps a noised image and its level to a `Prediction`.

    Args:
        unet: a `UNet2DModel`, channels last.
        metadata: those of the denoiser.
    """

    def __init__(self, unet: nn.Module, metadata: DenoiserMetadata) -> None:
        super().__init__()
        self.unet, self.metadata = unet, metadata

    def forward(self, x: Tensor, level: int) -> Prediction:
        """Return the prediction for images (B, 3, H, W) noised to `level`."""
        # Without gradients, inference mode saves the version counters of the tensors.
        with torch.inference_mode(not torch.is_grad_enabled()):
            # torch.compile would compile the network anew for each level if the level were a Python number.
            level_tensor = torch.full((), level, dtype=torch.int64, device=x.device)
            output: Tensor = self.unet(x.contiguous(memory_format=torch.channels_last), level_tensor).sample
        output = output.float().contiguous()
        return Prediction(output[:, :3], output[:, 3:] if output.shape[1] == 6 else None)


class Denoiser(Part):
    """Predicts the noise in a noised image.

    Its state holds the weights under the names of diffusers' `UNet2DModel`, and `outline`, uint8, the UTF-8 bytes of
    its `DenoiserMetadata` as JSON.
    """

    @abstractmethod
    def metadata(self, facts: Facts) -> DenoiserMetadata:
        """Return the metadata; called only if the denoiser is available."""

    def explain_unavailable(self, facts: Facts) -> str | None:
        """Return which files are missing or unusable and how to get them, or None if the denoiser is available."""
        return None

    def supports(self, facts: Facts) -> str | None:
        return self.explain_unavailable(facts) or _explain_unfit_channels(self.metadata(facts).config)

    def module(self, state: State, device: torch.device) -> Predictor:
        return build_predictor(state, device)


def pack_state(weights: Mapping[str, Tensor], metadata: DenoiserMetadata, source: str) -> State:
    """Return a denoiser's state: the weights in float32, and the metadata as a tensor.

    Args:
        weights: the weights under the names of `UNet2DModel`.
        metadata: those of the denoiser.
        source: where the weights come from, for messages.

    Raises:
        UserError: the weights are not exactly those of the network of `metadata`, or not finite.
    """
    text = json.dumps({**metadata._asdict(), "config": dict(metadata.config)}, sort_keys=True).encode()
    packed = match_unet(weights, metadata.config, source)
    return packed | {METADATA_KEY: torch.tensor(list(text), dtype=torch.uint8)}


def match_unet(weights: Mapping[str, Tensor], config: Mapping[str, Any], source: str) -> State:
    """Return weights, or their shapes on the meta device, after checking that they are those of a `UNet2DModel`.

    Raises:
        UserError: as `retbench.match_weights` does; the message starts with `source`.
    """
    with torch.device("meta"):
        expected = build_unet(config).state_dict()
    return match_weights(weights, expected, f"weights {source}: not those of the configured U-Net")


def read_metadata(state: State) -> DenoiserMetadata:
    """Return the metadata in a denoiser's state."""
    fields: dict[str, Any] = json.loads(bytes(state[METADATA_KEY].tolist()))
    return DenoiserMetadata(**{**fields, "size": tuple(fields["size"]) if fields["size"] else None})


def build_predictor(state: State, device: torch.device) -> Predictor:
    """Return the network of a denoiser's state, frozen, in eval mode and channels last, on `device`.

    It is built on the meta device and takes over the state's tensors, which takes milliseconds.
    """
    metadata = read_metadata(state)
    weights = {name: tensor for name, tensor in state.items() if name != METADATA_KEY}
    with torch.inference_mode(False):  # a network made in inference mode could never be differentiated
        with torch.device("meta"):
            unet = build_unet(metadata.config)
        unet.load_state_dict(weights, assign=True)
        unet.to(device, memory_format=torch.channels_last)
        return Predictor(unet, metadata).eval().requires_grad_(False)


def build_unet(config: Mapping[str, Any]) -> Any:
    """Return a `UNet2DModel` with these arguments and fresh weights; untyped, as diffusers is."""
    import diffusers

    unet: Any = diffusers.UNet2DModel
    return unet(**config)


def _explain_unfit_channels(config: Mapping[str, Any]) -> str | None:
    if (channels := config.get("in_channels", 3)) != 3:
        return f"the U-Net does not take color images: got in_channels {channels}, expected 3"
    if (channels := config.get("out_channels", 3)) not in (3, 6):
        return (
            f"the U-Net does not predict noise: got out_channels {channels}, expected 3, or 6 with a learned variance"
        )
    return None
