"""GDMP: guided diffusion purification as released.

Source: Wang, Lyu, Lin, Dai and Fu 2022, Guided diffusion model for adversarial purification; algorithm 1 and the
configurations of the published code.

- `setting: cifar`: 4 passes over the chain of 1000, from level 35 after noising to 36 (the code's off-by-one), beta as
  variance, guided by MSE to the query with new noise at each step, scale 60 000 for attacks of 8/255.
- `setting: imagenet`: one pass of 45 steps of 250, learned variance, guided by SSIM to the query itself, scale 1000 for
  attacks of 4/255.

The code averages D over its batch (100 and 60 images), so its guidance is weaker in larger batches; here the published
batch size is an option, and an image does not depend on the others. SSIM pads with zeros and assumes a data range of 1,
as in the code. The scale depends on the attack's budget (`assumed_eps`), which a defender does not know.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from retbench_defenses.denoisers.denoiser import DenoiserMetadata
from retbench_defenses.diffusion.chain import DiffusionPass, build_pass
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

IMAGENET_DEFAULTS: dict[str, Any] = {
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
"""Defaults of `setting: imagenet` where they differ from those of the class, which are for CIFAR-10."""


class Gdmp(GuidedPurifier):
    """The chain with guidance that grows with the noise, in one of two published settings."""

    name: ClassVar[str] = "gdmp"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Wang et al. 2022 (GDMP), algorithm 1 and the published configurations"

    setting: Literal["cifar", "imagenet"] = Field(
        "cifar", description="published configuration that sets the defaults of the other options"
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
    def _apply_setting(cls, options: Any) -> Any:
        is_imagenet = isinstance(options, dict) and options.get("setting") == "imagenet"
        return {**IMAGENET_DEFAULTS, **options} if is_imagenet else options

    @property
    def highest_step(self) -> int:
        return super().highest_step + (self.setting == "cifar" and self.start == "t_p")

    def diffusion_passes(self, metadata: DenoiserMetadata) -> tuple[DiffusionPass, ...]:
        if self.setting == "imagenet" or self.start == "T":
            return super().diffusion_passes(metadata)
        return (build_pass(self.t_p, self._chain_length(metadata), self.steps, extra_noise=1),) * self.passes

    def guidance_variance(self, step: SamplerStep) -> float | Tensor:
        """Return sigma_t^2; with `fixed_large`, the last step has the published code's variance instead of beta."""
        is_last = step.reverse_step.alpha_bar_prev == 1 and self.variance == "fixed_large"
        return step.reverse_step.fallback_variance if is_last else step.variance
