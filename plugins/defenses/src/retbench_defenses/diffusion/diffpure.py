"""DiffPure: purification by a diffusion model, with its reverse stochastic differential equation or the discrete chain.

Source: Nie, Guo, Huang, Xiao, Vahdat and Anandkumar 2022, Diffusion models for adversarial purification; sections 3.1
and 3.2, settings of the published runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

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
    variance. `sampler: ddpm` is the discrete chain. Published: t_p 100 for CIFAR-10 at 8/255 (125 and 75 for other
    threats), 150 for ImageNet at 4/255.
    """

    name: ClassVar[str] = "diffpure"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Nie et al. 2022 (DiffPure), sections 3.1 and 3.2"

    t_p: PurifyStep = 100
    respace: Respace = None
    sampler: Literal["sde", "ddpm"] = Field(
        "sde", description="sde: the reverse equation by Euler and Maruyama; ddpm: the discrete chain"
    )

    def diffusion_passes(self, metadata: DenoiserMetadata) -> tuple[DiffusionPass, ...]:
        if self.sampler == "ddpm":
            return super().diffusion_passes(metadata)
        t_p = min(self.t_p if self.start == "t_p" else LEVELS, LEVELS - 1)  # the network's levels end at 999
        times = [max(index / LEVELS, END_TIME) for index in range(t_p, -1, -1)]
        steps = tuple(
            ReverseStep(level, alpha_bar_at(time), alpha_bar_at(next_time))
            for level, time, next_time in zip(range(t_p, 0, -1), times[:-1], times[1:], strict=True)
        )
        return (DiffusionPass(alphas_cumprod()[t_p - 1], steps),) * self.passes

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


def alpha_bar_at(time: float) -> float:
    """Return alpha-bar at a time in [0, 1]: exp of minus the integral of beta."""
    return math.exp(-BETA_MIN * time - (BETA_MAX - BETA_MIN) / 2 * time**2)


def time_of(alpha_bar: float) -> float:
    """Return the time in [0, 1] at which alpha-bar has this value: the inverse of `alpha_bar_at`."""
    slope = BETA_MAX - BETA_MIN
    return (math.sqrt(BETA_MIN**2 - 2 * slope * math.log(alpha_bar)) - BETA_MIN) / slope
