"""The reverse diffusion that all purifiers by diffusion share.

Sources: Ho et al. 2020 (the chain and its means), Nichol and Dhariwal 2021 (respacing, learned variance), Nie et al.
2022 (purification by it). Where papers and codes read differently, the reading is an option.
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
from retbench_defenses.denoisers.adm_denoiser import PUBLISHED, SIDE, AdmDenoiser
from retbench_defenses.denoisers.bundled_denoiser import BundledDenoiser
from retbench_defenses.denoisers.denoiser import Denoiser, Outline, Prediction, Predictor, Variance, build_predictor
from retbench_defenses.denoisers.local_denoiser import LocalDenoiser
from retbench_defenses.denoisers.schedule import LEVELS, diffuse
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser
from retbench_defenses.diffusion.chain import Link, Walk, build_walk
from retbench_defenses.diffusion.resolution import (
    Resolution,
    at_network_size,
    misfit,
    network_size,
    predict_tiles,
    tile_count,
)

LARGE = 128
"""Side in pixels from which 45 steps are counted in a chain of 250 (GDMP's ImageNet setting) and not of 1000."""

PurifyStep = Annotated[
    int, Field(ge=1, le=LEVELS, description="steps walked back, counted in steps of the (respaced) chain")
]
Passes = Annotated[int, Field(ge=1, le=100, description="times the image is noised and walked back, one after another")]
Mean = Annotated[
    Literal["posterior_clip", "eps_form", "literal_abar"],
    Field(
        description="reverse mean: Ho et al. 2020, equation 7 with the predicted image clipped to [-1, 1]; their "
        "equation 11, unclipped; or RetPur, equation 12 to the letter (alpha-bar under the root)"
    ),
]
ReverseVariance = Annotated[
    Literal["auto", "fixed_small", "fixed_large", "learned_range"],
    Field(
        description="reverse variance: Ho et al. 2020, equation 7 (small), or beta (large, section 3.2); Nichol and "
        "Dhariwal 2021, equation 15 (learned); auto takes what the denoiser was trained for"
    ),
]
Respace = Annotated[
    Literal["auto"] | Annotated[int, Field(ge=2, le=LEVELS)] | None,
    Field(
        description="steps of a chain spaced evenly over the 1000 levels; null keeps all 1000; auto is 250 for a "
        f"denoiser of {LARGE} pixels and more, else null"
    ),
]


class SamplerStep(NamedTuple):
    """One reverse step of one pass, with everything that guidance depends on.

    Attributes:
        walk: the pass that the step belongs to.
        pass_index: how many passes came before.
        link: where the step leads from and to.
        x, eps, attacked: (B, 3, H, W), around [-1, 1]: the current image, the noise predicted in it, the query.
        variance: of the step, a number or (B, 3, H, W).
        noise: the source of the queries' random numbers.
    """

    walk: Walk
    pass_index: int
    link: Link
    x: Tensor
    eps: Tensor
    attacked: Tensor
    variance: float | Tensor
    noise: Noise

    def draw(self, purpose: str) -> Tensor:
        """Return standard normal (B, 3, H, W), a stream of its own for each purpose, level and pass."""
        return _draw(self.noise, purpose, self.x, self.pass_index, self.link.level)

    @property
    def jump(self) -> Tensor:
        """The noise (B, 3, H, W) of the pass's jump up."""
        return _draw(self.noise, "forward", self.x, self.pass_index)


class Reverse(NamedTuple):
    """The normal distribution of a reverse step: mean (B, 3, H, W), and variance, a number or of the same shape."""

    mean: Tensor
    variance: float | Tensor


class DiffusionPurifier(Purifier):
    """Noises a query up to one level (Ho et al. 2020, equation 4) and walks back down with a denoiser.

    A subclass defines how the walk is guided, or which levels it takes. Forward, reverse and guiding noise are separate
    streams of each query, so two purifiers with the same seed differ by their guidance alone.
    """

    t_p: PurifyStep = 45
    respace: Respace = "auto"
    steps: int | None = Field(
        None, ge=1, le=LEVELS, description="walk from the same start in this many longer steps; null takes every one"
    )
    start: Literal["t_p", "T"] = Field(
        "t_p", description="level noised to: that of t_p; or the last one, the whole chain walked (Wu et al. 2022)"
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
    resolution: Resolution = Field(
        "resize",
        description="images of another size than the denoiser's: scaled there and back; native, as they are; tiles, "
        "overlapping; residual, adding back the change",
    )
    compile: bool = Field(False, description="hand the denoiser to torch.compile; in no recipe, it only saves time")

    @model_validator(mode="after")
    def _stays_in_the_chain(self) -> Self:
        if isinstance(self.respace, int) and (reason := self._outside(self.respace)):
            raise ValueError(reason)
        if self.start == "t_p" and self.steps is not None and self.steps > self.t_p:
            raise ValueError(f"a walk of {self.t_p} steps has no more than that: steps is {self.steps}")
        return self

    @property
    def highest_step(self) -> int:
        """The highest step that images are noised to, counted from 1; the chain must have it."""
        return self.t_p if self.start == "t_p" else self.steps or 1

    def supports(self, facts: Facts) -> str | None:
        part = self._denoiser()
        if reason := part.supports(facts):
            return reason
        outline = part.outline(facts)
        if self._variance_kind(outline) == "learned_range" and not outline.learns_variance:
            return "variance learned_range needs a denoiser that learned it: got 3 output channels, expected 6"
        outside = self._outside(self._respace(outline) or LEVELS)
        return outside or misfit(self.resolution, outline, facts.image_size) or self._above(outline)

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"denoiser": self._denoiser()}

    def files(self, facts: Facts) -> dict[str, Path]:
        """Return the weight file that `denoiser` names, if any, so that no recipe holds its path."""
        files = self._denoiser().files(facts)
        return {"denoiser": files["path"]} if "path" in files else {}

    def spec(self, facts: Facts) -> dict[str, Any]:
        """Return what identifies it, without `compile`, and without `training` where nothing is trained."""
        spec: dict[str, Any] = super().spec(facts)
        idle = {"compile"} | ({"training"} if self.denoiser != "train" else set())
        return {**spec, "options": {name: value for name, value in spec["options"].items() if name not in idle}}

    def details(self, facts: Facts) -> Mapping[str, Any]:
        """Return the denoiser, where the walk starts, how many network calls it takes, and with what variance."""
        outline = self._denoiser().outline(facts)
        walks = self.walks(outline)
        highest = max(walks, key=lambda walk: walk.start)
        size = network_size(self.resolution, outline, facts.image_size)
        scaled = {"resolution": f"{self.resolution} {size[0]}x{size[1]}"} if size != facts.image_size else {}
        return {
            **super().details(facts),
            "denoiser": Path(self.denoiser).name,
            "start_level": highest.start,
            "alpha_bar": highest.alpha_bar,
            "network_calls": sum(len(walk.links) for walk in walks),
            "variance": self._variance_kind(outline),
            **scaled,
        }

    def memory(self, facts: Facts) -> int | None:
        outline = self._denoiser().outline(facts)
        size = network_size(self.resolution, outline, facts.image_size)
        return activation_bytes(outline.config, size) * tile_count(self.resolution, size, facts.image_size)

    def module(self, state: State, device: torch.device) -> Predictor:
        """Return the denoiser's network with its outline; compiled, if asked for, once for each shape and precision."""
        predictor = build_predictor(part_state(state, "denoiser"), device)
        if self.compile:
            predictor.unet.compile(dynamic=False)
        return predictor

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        if not len(images):
            return images.clone()  # attention does not accept an empty batch
        predictor = cast(Predictor, module)
        own = (images.shape[2], images.shape[3])
        size = network_size(self.resolution, predictor.outline, own)
        purified = at_network_size(self.resolution, size, lambda x: self._walk_back(x, predictor, noise), images)
        return purified.clamp(0, 1)

    def walks(self, outline: Outline) -> tuple[Walk, ...]:
        """Return the passes over an image, in order."""
        respace = self._respace(outline)
        t_p = self.t_p if self.start == "t_p" else respace or LEVELS
        return (build_walk(t_p, respace, self.steps),) * self.passes

    def guide(self, mean: Tensor, step: SamplerStep) -> Tensor:
        """Return the reverse `mean` (B, 3, H, W) of a step, moved by guidance; here unmoved."""
        return mean

    def reverse(self, x: Tensor, prediction: Prediction, link: Link, outline: Outline) -> Reverse:
        """Return the distribution of the step from `x` at a link."""
        kind = self._variance_kind(outline)
        return Reverse(self._mean(x, prediction.eps, link), self._variance(kind, prediction, link))

    def _walk_back(self, images: Tensor, predictor: Predictor, noise: Noise) -> Tensor:
        attacked = x = 2 * images.contiguous() - 1
        for pass_index, walk in enumerate(self.walks(predictor.outline)):
            x = diffuse(x, walk.alpha_bar, _draw(noise, "forward", x, pass_index))
            for link in walk.links:
                prediction = self._predict(predictor, x, link.level)
                mean, variance = self.reverse(x, prediction, link, predictor.outline)
                step = SamplerStep(walk, pass_index, link, x, prediction.eps, attacked, variance, noise)
                x = self.guide(mean, step)
                if link.alpha_bar_after < 1:
                    x = x + _root(variance) * step.draw("reverse")
        return (x + 1) / 2

    def _predict(self, predictor: Predictor, x: Tensor, level: int) -> Prediction:
        tile = predictor.outline.size
        if self.resolution == "tiles" and tile and tile != tuple(x.shape[2:]):
            return predict_tiles(predictor, tile, x, level)
        prediction: Prediction = predictor(x, level)
        return prediction

    def _mean(self, x: Tensor, eps: Tensor, link: Link) -> Tensor:
        beta, noise_variance = link.beta, 1 - link.alpha_bar
        if self.mean == "posterior_clip":
            clean = ((x - math.sqrt(noise_variance) * eps) / math.sqrt(link.alpha_bar)).clamp(-1, 1)
            to_clean = math.sqrt(link.alpha_bar_after) * beta / noise_variance
            return to_clean * clean + math.sqrt(1 - beta) * (1 - link.alpha_bar_after) / noise_variance * x
        shrink = link.alpha_bar if self.mean == "literal_abar" else 1 - beta
        return (x - beta / math.sqrt(noise_variance) * eps) / math.sqrt(shrink)

    def _variance(self, kind: Variance, prediction: Prediction, link: Link) -> float | Tensor:
        if kind == "learned_range" and prediction.share is not None:
            large, small = math.log(link.beta), math.log(link.clipped_variance)
            return torch.exp(small + (prediction.share + 1) / 2 * (large - small))
        return link.beta if kind == "fixed_large" else link.small_variance

    def _variance_kind(self, outline: Outline) -> Variance:
        return outline.variance if self.variance == "auto" else self.variance

    def _respace(self, outline: Outline) -> int | None:
        if self.respace != "auto":
            return self.respace
        return 250 if outline.size and min(outline.size) >= LARGE else None

    def _denoiser(self) -> Denoiser:
        """Return the denoiser that the option names: shipped, trained here, a checkpoint, a folder or a hub id."""
        if self.denoiser == "bundled":
            return BundledDenoiser()
        if self.denoiser == "train":
            return self.training
        if self.denoiser == PUBLISHED or self.denoiser.endswith(".pt"):
            return AdmDenoiser(path=self.denoiser, side=SIDE if self.denoiser == PUBLISHED else None)
        return LocalDenoiser(path=self.denoiser)

    def _outside(self, length: int) -> str | None:
        if self.highest_step <= length:
            return None
        return f"the walk is outside the chain: its highest step is {self.highest_step}, the chain has {length}"

    def _above(self, outline: Outline) -> str | None:
        start = max(walk.start for walk in self.walks(outline))
        if start < outline.levels:
            return None
        return (
            f"the chain starts above the levels its denoiser was trained for: got {start}, expected below "
            f"{outline.levels}; lower `t_p`, or train for more levels"
        )


def _draw(noise: Noise, purpose: str, like: Tensor, pass_index: int, level: int = 0) -> Tensor:
    return noise.normal(purpose, tuple(like.shape[1:]), level + LEVELS * pass_index)


def _root(variance: float | Tensor) -> float | Tensor:
    return variance.sqrt() if isinstance(variance, Tensor) else math.sqrt(variance)
