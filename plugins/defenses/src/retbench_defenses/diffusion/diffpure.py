"""DiffPure: purification by a diffusion model, with its reverse stochastic differential equation or the discrete chain.

Source: Nie, Guo, Huang, Xiao, Vahdat and Anandkumar 2022, Diffusion models for adversarial purification; sections 3.1
and 3.2, settings of the published runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from retbench import Facts
from retbench_defenses.denoisers.denoiser import DenoiserMetadata, Prediction
from retbench_defenses.denoisers.schedule import LEVELS, alphas_cumprod
from retbench_defenses.diffusion.chain import DiffusionPass, ReverseStep
from retbench_defenses.diffusion.purifier import DiffusionPurifier, PurifyStep, Respace, ReverseDistribution

BETA_MIN, BETA_MAX = 0.1, 20.0
"""beta(0) and beta(1) of the variance-preserving equation: Song et al. 2021, appendix C."""
END_TIME = 1e-5
"""Time at which the integration ends."""


class DiffPure(DiffusionPurifier):
    """Noises to level t_p - 1 of 1000 and denoises without guidance.

    `sampler: sde` integrates the reverse equation from t_p / 1000 to 1e-5 by Euler and Maruyama in steps of 1/1000, the
    network called with the whole number of thousandths; it ignores `mean`, `variance`, `respace`, `steps` and a learned
    variance. `sampler: ddpm` is the discrete chain, which ignores `index`. Published: t_p 100 for CIFAR-10 at 8/255
    (125 and 75 for other threats), 150 for ImageNet at 4/255.

    The published code adds the steps up in float32 and cuts off the thousandths, so that rounding lowers the level of
    some calls by one: for a t_p of 150, of the first two (149 and 148 in place of 150 and 149), for 75, of the first
    one; for 100 and 125, of none. `index: published` calls the network with these levels.
    """

    name: ClassVar[str] = "diffpure"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Nie et al. 2022 (DiffPure), sections 3.1 and 3.2"

    t_p: PurifyStep = 100
    respace: Respace = None
    sampler: Literal["sde", "ddpm"] = Field(
        "sde", description="sde: the reverse equation by Euler and Maruyama; ddpm: the discrete chain"
    )
    index: Literal["nominal", "published"] = Field(
        "nominal",
        description="levels that the network is called with by `sampler: sde`. nominal: the thousandths of the time; "
        "published: those of the published code, which rounding lowers by one in some steps",
    )

    def diffusion_passes(self, metadata: DenoiserMetadata) -> tuple[DiffusionPass, ...]:
        if self.sampler == "ddpm":
            return super().diffusion_passes(metadata)
        t_p = min(self.t_p if self.start == "t_p" else LEVELS, LEVELS - 1)  # the network's levels end at 999
        times = [max(index / LEVELS, END_TIME) for index in range(t_p, -1, -1)]
        levels = range(t_p, 0, -1)
        called = levels if self.index == "nominal" else published_levels(t_p)
        steps = tuple(
            ReverseStep(level, alpha_bar_at(time), alpha_bar_at(next_time), lowered=level - network_level)
            for level, network_level, time, next_time in zip(levels, called, times[:-1], times[1:], strict=True)
        )
        return (DiffusionPass(alphas_cumprod()[t_p - 1], steps),) * self.passes

    def spec(self, facts: Facts) -> dict[str, Any]:
        """Return the purifier's part of a recipe, with `index` only where it is not the default.

        Recipes from before the option keep their keys.
        """
        spec = super().spec(facts)
        omitted = {"index"} if self.index == "nominal" else set()
        return {**spec, "options": {name: value for name, value in spec["options"].items() if name not in omitted}}

    def details(self, facts: Facts) -> Mapping[str, Any]:
        details = super().details(facts)
        return {**details, "variance": "the equation's"} if self.sampler == "sde" else details

    def reverse_distribution(
        self, x: Tensor, prediction: Prediction, step: ReverseStep, metadata: DenoiserMetadata
    ) -> ReverseDistribution:
        if self.sampler == "ddpm":
            return super().reverse_distribution(x, prediction, step, metadata)
        time = time_of(step.alpha_bar)
        interval = time - time_of(step.alpha_bar_prev)
        variance = (BETA_MIN + (BETA_MAX - BETA_MIN) * time) * interval
        mean = x + variance * (x / 2 - prediction.eps / math.sqrt(1 - step.alpha_bar))
        return ReverseDistribution(mean, variance)


def published_levels(t_p: int) -> list[int]:
    """Return the levels that the published code calls the network with, from time t_p / 1000 on, in order.

    It integrates over s = 1 - t, as torchsde does: from 1 - t_p / 1000 in steps of 1e-3, all in float32, where each sum
    is rounded; the level is 1000 (1 - s) without its fraction. It takes `t_p` steps for any `t_p` below 1000.
    """
    time, step, levels = np.float32(1 - t_p / LEVELS), np.float32(1 / LEVELS), []
    for _ in range(t_p):
        levels.append(int((np.float32(1) - time) * np.float32(LEVELS)))
        time += step
    return levels


def alpha_bar_at(time: float) -> float:
    """Return alpha-bar at a time in [0, 1]: exp of minus the integral of beta."""
    return math.exp(-BETA_MIN * time - (BETA_MAX - BETA_MIN) / 2 * time**2)


def time_of(alpha_bar: float) -> float:
    """Return the time in [0, 1] at which alpha-bar has this value: the inverse of `alpha_bar_at`."""
    slope = BETA_MAX - BETA_MIN
    return (math.sqrt(BETA_MIN**2 - 2 * slope * math.log(alpha_bar)) - BETA_MIN) / slope
