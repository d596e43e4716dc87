"""GDMP: guided diffusion purification as released.

Source: Wang, Lyu, Lin, Dai and Fu 2022, Guided diffusion model for adversarial purification; algorithm 1 and the
configurations of the published code.

- `setting: cifar`: 4 passes over the chain of 1000, from level 35 after noising to 36 (the code's off-by-one), beta as
  variance, guided by MSE to the query noised anew, scale 60 000 for attacks of 8/255.
- `setting: imagenet`: one pass of 45 steps of 250, learned variance, guided by SSIM to the query itself, scale 1000 for
  attacks of 4/255.

The code takes D over its whole batch (100 and 60), which makes guidance weaker the larger the batch; here the
published batch is a number, so that an image does not depend on the others. SSIM pads with zeros and assumes a data
range of 1, as in the code. The scale needs the attack's budget (`assumed_eps`), which a defender does not know.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from retbench_defenses.denoisers.denoiser import Outline
from retbench_defenses.diffusion.chain import Walk, build_walk
from retbench_defenses.diffusion.guided_purifier import (
    DataRange,
    GuidedPurifier,
    GuideMetric,
    Padding,
    Reduction,
    Scale,
    ScaleForm,
)
from retbench_defenses.diffusion.purifier import Passes, PurifyStep, Respace, ReverseVariance, SamplerStep

IMAGENET: dict[str, Any] = {
    "t_p": 45,
    "respace": 250,
    "passes": 1,
    "variance": "auto",
    "metric": "ssim",
    "scale": 1000.0,
    "assumed_eps": 4 / 255,
    "guide_ref": "clean",
    "guide_batch": 60,
}
"""Defaults of `setting: imagenet`; those of the class are for CIFAR-10."""


class Gdmp(GuidedPurifier):
    """The chain with guidance that grows with the noise, in one of two published settings."""

    name: ClassVar[str] = "gdmp"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Wang et al. 2022 (GDMP), algorithm 1 and the published configurations"

    setting: Literal["cifar", "imagenet"] = Field(
        "cifar", description="published configuration that the defaults of the other options are taken from"
    )
    t_p: PurifyStep = 36
    respace: Respace = None
    passes: Passes = 4
    variance: ReverseVariance = "fixed_large"
    metric: GuideMetric = "mse"
    scale: Scale = 60_000.0
    scale_form: ScaleForm = "gdmp"
    reduction: Reduction = "batch_mean"
    data_range: DataRange = 1
    padding: Padding = "zero"

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, options: Any) -> Any:
        published = isinstance(options, dict) and options.get("setting") == "imagenet"
        return {**IMAGENET, **options} if published else options

    @property
    def highest_step(self) -> int:
        return super().highest_step + (self.setting == "cifar" and self.start == "t_p")

    def walks(self, outline: Outline) -> tuple[Walk, ...]:
        if self.setting == "imagenet" or self.start == "T":
            return super().walks(outline)
        return (build_walk(self.t_p, self._respace(outline), self.steps, above=1),) * self.passes

    def weight(self, step: SamplerStep) -> float | Tensor:
        """Return sigma_t^2; at the last step, in place of beta, the variance that the published code has there."""
        last = step.link.alpha_bar_after == 1 and self.variance == "fixed_large"
        return step.link.fallback_variance if last else step.variance
