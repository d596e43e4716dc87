"""The forward and reverse diffusion that all purifiers by diffusion share.

Sources: Ho et al. 2020 (the chain and its means), Nichol and Dhariwal 2021 (respacing, learned variance), Nie et al.
2022 (purification by it). Where papers and codes differ, the reading is an option.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from retbench import Facts, Noise, Part, Purifier, State, part_state
from retbench_defenses.denoisers.activations import activation_bytes
from retbench_defenses.denoisers.adm_denoiser import PUBLISHED_NAME, PUBLISHED_SIDE, AdmDenoiser
from retbench_defenses.denoisers.bundled_denoiser import BundledDenoiser
from retbench_defenses.denoisers.denoiser import (
    Denoiser,
    DenoiserMetadata,
    Prediction,
    Predictor,
    Variance,
    build_predictor,
)
from retbench_defenses.denoisers.local_denoiser import LocalDenoiser
from retbench_defenses.denoisers.schedule import LEVELS, diffuse
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser
from retbench_defenses.diffusion.chain import DiffusionPass, ReverseStep, build_pass
from retbench_defenses.diffusion.resolution import (
    ResolutionPolicy,
    count_tiles,
    explain_size_mismatch,
    network_size,
    predict_tiles,
    purify_at_network_size,
)

LARGE_SIDE = 128
"""Side in pixels from which `respace: auto` uses a chain of 250 levels (GDMP's ImageNet setting) instead of 1000."""

PurifyStep = Annotated[
    int, Field(ge=1, le=LEVELS, description="purify step: number of reverse steps of the (respaced) chain")
]
Passes = Annotated[int, Field(ge=1, le=100, description="times the image is noised and denoised, one after another")]
Mean = Annotated[
    Literal["posterior_clip", "eps_form", "literal_abar"],
    Field(
        description="reverse mean. posterior_clip: Ho et al. 2020, equation 7, the predicted image clipped to [-1, 1]; "
        "eps_form: their equation 11, unclipped; literal_abar: RetPur, equation 12 as printed (alpha-bar under the "
        "root)"
    ),
]
ReverseVariance = Annotated[
    Literal["auto", "fixed_small", "fixed_large", "learned_range"],
    Field(
        description="reverse variance. fixed_small: Ho et al. 2020, equation 7; fixed_large: beta (their section 3.2); "
        "learned_range: Nichol and Dhariwal 2021, equation 15; auto: the one that the denoiser was trained for"
    ),
]
Respace = Annotated[
    Literal["auto"] | Annotated[int, Field(ge=2, le=LEVELS)] | None,
    Field(
        description="number of levels of the chain, evenly spaced over the 1000; null: all 1000; auto: 250 for a "
        f"denoiser of at least {LARGE_SIDE} pixels a side, else null"
    ),
]


class SamplerStep(NamedTuple):
    """The values at one reverse step that guidance depends on.

    Attributes:
        diffusion_pass: the pass of the step.
        pass_index: number of passes before this one.
        reverse_step: noise levels and variances of the step.
        x: the current image, float32 (B, 3, H, W), around [-1, 1].
        eps: the noise predicted in `x`, same shape.
        query: the image to purify, same shape, in [-1, 1].
        variance: reverse variance, a number or (B, 3, H, W).
        noise: the random numbers of the queries.
    """

    diffusion_pass: DiffusionPass
    pass_index: int
    reverse_step: ReverseStep
    x: Tensor
    eps: Tensor
    query: Tensor
    variance: float | Tensor
    noise: Noise

    def draw_noise(self, purpose: str) -> Tensor:
        """Return standard normal noise (B, 3, H, W), independent for each purpose, level and pass."""
        return _draw_noise(self.noise, purpose, self.x, self.pass_index, self.reverse_step.level)

    @property
    def forward_noise(self) -> Tensor:
        """The noise (B, 3, H, W) of the pass's forward jump."""
        return _draw_noise(self.noise, "forward", self.x, self.pass_index)


class ReverseDistribution(NamedTuple):
    """The normal distribution of a reverse step: mean (B, 3, H, W); variance, a number or of the same shape."""

    mean: Tensor
    variance: float | Tensor


class DiffusionPurifier(Purifier):
    """Noises a query up to one level (Ho et al. 2020, equation 4) and denoises it step by step.

    A subclass defines the guidance, or the noise levels. Forward, reverse and guidance noise are separate streams for
    each query, so two purifiers with the same seed differ by their guidance alone.
    """

    t_p: PurifyStep = 45
    respace: Respace = "auto"
    steps: int | None = Field(
        None,
        ge=1,
        le=LEVELS,
        description="number of reverse steps from the same start, fewer and longer ones; null: `t_p`",
    )
    start: Literal["t_p", "T"] = Field(
        "t_p",
        description="level that images are noised to. t_p: that of `t_p`; T: the last one, followed by the whole chain "
        "(Wu et al. 2022)",
    )
    passes: Passes = 1
    mean: Mean = "posterior_clip"
    variance: ReverseVariance = "auto"
    denoiser: str = Field(
        "bundled",
        min_length=1,
        description="`bundled`, `train`, `adm-imagenet-256`, a guided-diffusion checkpoint (.pt), a folder in "
        "diffusers' layout, or a cached hub id",
    )
    training: TrainedDenoiser = Field(TrainedDenoiser(), description="options of the denoiser that `train` fits")
    resolution: ResolutionPolicy = Field(
        "resize",
        description="images of another size than the denoiser's. resize: scale them to it and back; native: keep their "
        "size; tiles: denoise overlapping tiles; residual: scale, and add the change back to the image",
    )
    compile: bool = Field(False, description="compile the denoiser with torch.compile; not part of the recipe")

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if isinstance(self.respace, int) and (reason := self._explain_outside_chain(self.respace)):
            raise ValueError(reason)
        if self.start == "t_p" and self.steps is not None and self.steps > self.t_p:
            raise ValueError(f"`steps` exceeds `t_p`: got {self.steps}, expected at most {self.t_p}")
        return self

    @property
    def highest_step(self) -> int:
        """The highest step that images are noised to, counted from 1; the chain must be at least this long."""
        return self.t_p if self.start == "t_p" else self.steps or 1

    def supports(self, facts: Facts) -> str | None:
        denoiser = self._denoiser()
        if reason := denoiser.supports(facts):
            return reason
        metadata = denoiser.metadata(facts)
        if self._variance_kind(metadata) == "learned_range" and not metadata.learns_variance:
            return (
                "`variance: learned_range` needs a denoiser that learned it: got 3 output channels, expected 6; "
                "choose another variance"
            )
        return (
            self._explain_outside_chain(self._chain_length(metadata) or LEVELS)
            or explain_size_mismatch(self.resolution, metadata, facts.image_size)
            or self._explain_untrained_level(metadata)
        )

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"denoiser": self._denoiser()}

    def files(self, facts: Facts) -> dict[str, Path]:
        """Return the weight file that the option `denoiser` names, if any."""
        files = self._denoiser().files(facts)
        return {"denoiser": files["path"]} if "path" in files else {}

    def spec(self, facts: Facts) -> dict[str, Any]:
        """Return the purifier's part of a recipe, without `compile`, and without `training` unless it is used."""
        spec: dict[str, Any] = super().spec(facts)
        omitted = {"compile"} | ({"training"} if self.denoiser != "train" else set())
        return {**spec, "options": {name: value for name, value in spec["options"].items() if name not in omitted}}

    def details(self, facts: Facts) -> Mapping[str, Any]:
        """Return the denoiser, the start level and its alpha-bar, the number of network calls and the variance."""
        metadata = self._denoiser().metadata(facts)
        passes = self.diffusion_passes(metadata)
        highest = max(passes, key=lambda diffusion_pass: diffusion_pass.start_level)
        size = network_size(self.resolution, metadata, facts.image_size)
        scaled = {"resolution": f"{self.resolution} {size[0]}x{size[1]}"} if size != facts.image_size else {}
        return {
            **super().details(facts),
            "denoiser": Path(self.denoiser).name,
            "start_level": highest.start_level,
            "alpha_bar": highest.alpha_bar,
            "network_calls": sum(len(diffusion_pass.steps) for diffusion_pass in passes),
            "variance": self._variance_kind(metadata),
            **scaled,
        }

    def memory(self, facts: Facts) -> int | None:
        metadata = self._denoiser().metadata(facts)
        size = network_size(self.resolution, metadata, facts.image_size)
        return activation_bytes(metadata.config, size) * count_tiles(self.resolution, size, facts.image_size)

    def module(self, state: State, device: torch.device) -> Predictor:
        """Return the denoiser's network; with `compile`, it is compiled once for each shape and precision."""
        predictor = build_predictor(part_state(state, "denoiser"), device)
        if self.compile:
            predictor.unet.compile(dynamic=False)
        return predictor

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        if not len(images):
            return images.clone()  # attention does not accept an empty batch
        predictor = cast(Predictor, module)
        size = network_size(self.resolution, predictor.metadata, (images.shape[2], images.shape[3]))
        purified = purify_at_network_size(
            self.resolution, size, lambda x: self._diffuse_and_denoise(x, predictor, noise), images
        )
        return purified.clamp(0, 1)

    def diffusion_passes(self, metadata: DenoiserMetadata) -> tuple[DiffusionPass, ...]:
        """Return the passes over an image, in order."""
        respace = self._chain_length(metadata)
        t_p = self.t_p if self.start == "t_p" else respace or LEVELS
        return (build_pass(t_p, respace, self.steps),) * self.passes

    def guide(self, mean: Tensor, step: SamplerStep) -> Tensor:
        """Return the guided mean (B, 3, H, W) of a reverse step; without guidance, `mean` itself."""
        return mean

    def reverse_distribution(
        self, x: Tensor, prediction: Prediction, step: ReverseStep, metadata: DenoiserMetadata
    ) -> ReverseDistribution:
        """Return the distribution of a reverse step from `x`, before guidance."""
        variance = self._variance(self._variance_kind(metadata), prediction, step)
        return ReverseDistribution(self._mean(x, prediction.eps, step), variance)

    def _diffuse_and_denoise(self, images: Tensor, predictor: Predictor, noise: Noise) -> Tensor:
        query = x = 2 * images.contiguous() - 1
        for pass_index, diffusion_pass in enumerate(self.diffusion_passes(predictor.metadata)):
            x = diffuse(x, diffusion_pass.alpha_bar, _draw_noise(noise, "forward", x, pass_index))
            for reverse_step in diffusion_pass.steps:
                prediction = self._predict(predictor, x, reverse_step.network_level)
                mean, variance = self.reverse_distribution(x, prediction, reverse_step, predictor.metadata)
                step = SamplerStep(diffusion_pass, pass_index, reverse_step, x, prediction.eps, query, variance, noise)
                x = self.guide(mean, step)
                if reverse_step.alpha_bar_prev < 1:
                    x = x + _square_root(variance) * step.draw_noise("reverse")
        return (x + 1) / 2

    def _predict(self, predictor: Predictor, x: Tensor, level: int) -> Prediction:
        tile_size = predictor.metadata.size
        if self.resolution == "tiles" and tile_size and tile_size != tuple(x.shape[2:]):
            return predict_tiles(predictor, tile_size, x, level)
        prediction: Prediction = predictor(x, level)
        return prediction

    def _mean(self, x: Tensor, eps: Tensor, step: ReverseStep) -> Tensor:
        beta, noise_variance = step.beta, 1 - step.alpha_bar
        if self.mean == "posterior_clip":
            clean = ((x - math.sqrt(noise_variance) * eps) / math.sqrt(step.alpha_bar)).clamp(-1, 1)
            clean_weight = math.sqrt(step.alpha_bar_prev) * beta / noise_variance
            return clean_weight * clean + math.sqrt(1 - beta) * (1 - step.alpha_bar_prev) / noise_variance * x
        divisor = step.alpha_bar if self.mean == "literal_abar" else 1 - beta
        return (x - beta / math.sqrt(noise_variance) * eps) / math.sqrt(divisor)

    def _variance(self, kind: Variance, prediction: Prediction, step: ReverseStep) -> float | Tensor:
        if kind == "learned_range" and prediction.variance_output is not None:
            large, small = math.log(step.beta), math.log(step.clipped_variance)
            return torch.exp(small + (prediction.variance_output + 1) / 2 * (large - small))
        return step.beta if kind == "fixed_large" else step.small_variance

    def _variance_kind(self, metadata: DenoiserMetadata) -> Variance:
        return metadata.variance if self.variance == "auto" else self.variance

    def _chain_length(self, metadata: DenoiserMetadata) -> int | None:
        """Return the value of `respace` with `auto` resolved; None for all 1000 levels."""
        if self.respace != "auto":
            return self.respace
        return 250 if metadata.size and min(metadata.size) >= LARGE_SIDE else None

    def _denoiser(self) -> Denoiser:
        if self.denoiser == "bundled":
            return BundledDenoiser()
        if self.denoiser == "train":
            return self.training
        if self.denoiser == PUBLISHED_NAME or self.denoiser.endswith(".pt"):
            return AdmDenoiser(path=self.denoiser, side=PUBLISHED_SIDE if self.denoiser == PUBLISHED_NAME else None)
        return LocalDenoiser(path=self.denoiser)

    def _explain_outside_chain(self, length: int) -> str | None:
        if self.highest_step <= length:
            return None
        return (
            f"images are noised to a step outside the chain: got step {self.highest_step}, expected at most {length}; "
            "take fewer steps or raise `respace`"
        )

    def _explain_untrained_level(self, metadata: DenoiserMetadata) -> str | None:
        start_level = max(diffusion_pass.start_level for diffusion_pass in self.diffusion_passes(metadata))
        if start_level < metadata.levels:
            return None
        return (
            f"the denoiser was not trained for the start level: got {start_level}, expected below {metadata.levels}; "
            "lower `t_p`, or train for more levels"
        )


def _draw_noise(noise: Noise, purpose: str, like: Tensor, pass_index: int, level: int = 0) -> Tensor:
    return noise.normal(purpose, tuple(like.shape[1:]), level + LEVELS * pass_index)


def _square_root(variance: float | Tensor) -> float | Tensor:
    return variance.sqrt() if isinstance(variance, Tensor) else math.sqrt(variance)
