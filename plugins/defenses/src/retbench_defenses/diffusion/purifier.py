"""The reverse diffusion that every purifier here shares.

Sources: Ho et al. 2020 (the chain and its means), Nichol and Dhariwal 2021 (respacing, learned variance), Nie et al.
2022 (purification by it). Where papers and codes read differently, the reading is an option.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from retbench import Facts, Noise, Part, Purifier, State, part_state
from retbench_defenses.denoisers.activations import activation_bytes
from retbench_defenses.denoisers.adm_denoiser import PUBLISHED, SIDE, AdmDenoiser
from retbench_defenses.denoisers.bundled_denoiser import BundledDenoiser
from retbench_defenses.denoisers.denoiser import Denoiser, Outline, Prediction, Predictor, Variance, load_predictor
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


class Moment(NamedTuple):
    """One reverse step of one pass, as guidance sees it.

    Attributes:
        walk: the pass that the step belongs to.
        number: how many passes came before.
        link: where the step leads from and to.
        x, eps, attacked: (B, 3, H, W): the current image, the noise predicted in it, the query; in [-1, 1] and around.
        variance: of the step, a number or (B, 3, H, W).
        noise: the queries' source.
    """

    walk: Walk
    number: int
    link: Link
    x: Tensor
    eps: Tensor
    attacked: Tensor
    variance: float | Tensor
    noise: Noise

    def draw(self, purpose: str) -> Tensor:
        """Returns standard normal (B, 3, H, W), a stream of its own for each purpose, level and pass."""
        return _draw(self.noise, purpose, self.x, self.number, self.link.level)

    @property
    def jump(self) -> Tensor:
        """The noise (B, 3, H, W) of the pass's jump up."""
        return _draw(self.noise, "forward", self.x, self.number)


class DiffusionPurifier(Purifier):
    """Noises a query up to one level (Ho et al. 2020, equation 4) and walks back down with a denoiser.

    A subclass says how the walk is guided, or what it walks. Forward, reverse and guiding noise are separate streams of
    each query, so two purifiers with the same seed differ by their guidance alone.
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
        """The step that images are noised to and the chain must have, counted from 1; of several, the highest."""
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
        """Returns the weight file behind `denoiser` where that option names one, so that no recipe holds its path."""
        files = self._denoiser().files(facts)
        return {"denoiser": files["path"]} if "path" in files else {}

    def spec(self, facts: Facts) -> dict[str, Any]:
        """Returns what identifies it: not how it is compiled, and not how a denoiser is trained that is not."""
        spec: dict[str, Any] = super().spec(facts)
        idle = {"compile"} | ({"training"} if self.denoiser != "train" else set())
        return {**spec, "options": {name: value for name, value in spec["options"].items() if name not in idle}}

    def details(self, facts: Facts) -> Mapping[str, Any]:
        """Returns the denoiser, where the walk starts, how many network calls it takes, and with what variance."""
        outline = self._denoiser().outline(facts)
        walks = self.walks(outline)
        highest = max(walks, key=lambda walk: walk.start)
        size = network_size(self.resolution, outline, facts.image_size)
        scaled = {"resolution": f"{self.resolution} {size[0]}x{size[1]}"} if size != facts.image_size else {}
        return {
            **super().details(facts),
            "denoiser": Path(self.denoiser).name,
            "start_level": highest.start,
            "alpha_bar": highest.kept,
            "network_calls": sum(len(walk.links) for walk in walks),
            "variance": self._variance_kind(outline),
            **scaled,
        }

    def memory(self, facts: Facts) -> int | None:
        outline = self._denoiser().outline(facts)
        size = network_size(self.resolution, outline, facts.image_size)
        return activation_bytes(outline.config, size) * tile_count(self.resolution, size, facts.image_size)

    def purify(self, images: Tensor, state: State, noise: Noise) -> Tensor:
        if not len(images):
            return images.clone()  # attention has no answer for no images
        predictor = load_predictor(part_state(state, "denoiser"), images.device, self.compile)
        own = (images.shape[2], images.shape[3])
        size = network_size(self.resolution, predictor.outline, own)
        purified = at_network_size(self.resolution, size, lambda x: self._walk_back(x, predictor, noise), images)
        return purified.clamp(0, 1)

    def walks(self, outline: Outline) -> tuple[Walk, ...]:
        """Returns the passes over an image, in order."""
        respace = self._respace(outline)
        t_p = self.t_p if self.start == "t_p" else respace or LEVELS
        return (build_walk(t_p, respace, self.steps),) * self.passes

    def guide(self, mean: Tensor, moment: Moment) -> Tensor:
        """Returns the reverse `mean` (B, 3, H, W) of a step, moved by guidance; here unmoved."""
        return mean

    def reverse(self, x: Tensor, told: Prediction, link: Link, outline: Outline) -> tuple[Tensor, float | Tensor]:
        """Returns mean and variance of the step from `x` at a link."""
        return self._mean(x, told.eps, link), self._variance(self._variance_kind(outline), told, link)

    def _walk_back(self, images: Tensor, predictor: Predictor, noise: Noise) -> Tensor:
        attacked = x = 2 * images.contiguous() - 1
        for number, walk in enumerate(self.walks(predictor.outline)):
            x = diffuse(x, walk.kept, _draw(noise, "forward", x, number))
            for link in walk.links:
                told = self._predict(predictor, x, link.level)
                mean, variance = self.reverse(x, told, link, predictor.outline)
                moment = Moment(walk, number, link, x, told.eps, attacked, variance, noise)
                x = self.guide(mean, moment)
                if link.kept_after < 1:
                    x = x + _root(variance) * moment.draw("reverse")
        return (x + 1) / 2

    def _predict(self, predictor: Predictor, x: Tensor, level: int) -> Prediction:
        tile = predictor.outline.size
        if self.resolution == "tiles" and tile and tile != tuple(x.shape[2:]):
            return predict_tiles(predictor, tile, x, level)
        return predictor.predict(x, level)

    def _mean(self, x: Tensor, eps: Tensor, link: Link) -> Tensor:
        beta, left = link.beta, 1 - link.kept
        if self.mean == "posterior_clip":
            clean = ((x - math.sqrt(left) * eps) / math.sqrt(link.kept)).clamp(-1, 1)
            to_clean = math.sqrt(link.kept_after) * beta / left
            return to_clean * clean + math.sqrt(1 - beta) * (1 - link.kept_after) / left * x
        shrink = link.kept if self.mean == "literal_abar" else 1 - beta
        return (x - beta / math.sqrt(left) * eps) / math.sqrt(shrink)

    def _variance(self, kind: Variance, told: Prediction, link: Link) -> float | Tensor:
        if kind == "learned_range" and told.share is not None:
            large, small = math.log(link.beta), math.log(link.clipped_variance)
            return torch.exp(small + (told.share + 1) / 2 * (large - small))
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


def _draw(noise: Noise, purpose: str, like: Tensor, number: int, level: int = 0) -> Tensor:
    return noise.normal(purpose, tuple(like.shape[1:]), level + LEVELS * number)


def _root(variance: float | Tensor) -> float | Tensor:
    return variance.sqrt() if isinstance(variance, Tensor) else math.sqrt(variance)
