"""Purification by diffusion where guidance moves every reverse step towards the query.

Sources: Wang et al. 2022, Guided diffusion model for adversarial purification (GDMP), with its published code; RetPur
(2024 submission), equations 6, 15 and 16.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from retbench import Facts
from retbench_defenses.denoisers.schedule import diffuse
from retbench_defenses.diffusion.image_distance import ImageDistance, Metric
from retbench_defenses.diffusion.purifier import DiffusionPurifier, SamplerStep
from retbench_defenses.diffusion.resolution import network_size

GuideMetric = Annotated[
    Metric, Field(description="distance D to the query: minus SSIM, or mean squared error (RetPur, Table 4)")
]
Scale = Annotated[float, Field(ge=0, description="guidance scale s; 0 is no guidance")]
ScaleForm = Annotated[
    Literal["constant", "gdmp"],
    Field(
        description="scale at each noise level. constant: s; gdmp: GDMP's, which grows with the noise, "
        "3 s / (2 assumed_eps) sqrt((1 - alpha-bar) / alpha-bar)"
    ),
]
AssumedEps = Annotated[
    float, Field(gt=0, le=1, description="attack budget that `scale_form: gdmp` assumes, pixels in [0, 1]")
]
GuideForm = Annotated[
    Literal["sigma2", "literal_eps"],
    Field(
        description="factor of the gradient. sigma2: sigma_t^2 (RetPur, equation 6); literal_eps: the predicted noise "
        "(RetPur, equation 16)"
    ),
]
GuideRef = Annotated[
    Literal["noised_fresh", "noised_shared", "clean"],
    Field(
        description="reference x_adv^t of D. noised_fresh: the query noised to level t (RetPur, equation 9), with new "
        "noise at each step; noised_shared: with the noise of the forward jump; clean: the query itself (GDMP, "
        "ImageNet)"
    ),
]
Reduction = Annotated[
    Literal["per_image_mean", "batch_mean", "per_image_sum"],
    Field(
        description="D of an image. per_image_mean: the mean over its values; per_image_sum: the sum; batch_mean: the "
        "mean divided by `guide_batch`, whatever the actual batch"
    ),
]
GuideBatch = Annotated[int, Field(ge=1, le=65_536, description="batch size that `reduction: batch_mean` divides by")]
DataRange = Annotated[
    Literal[1, 2], Field(description="data range that SSIM assumes of images in [-1, 1]; GDMP's code assumes 1")
]
Padding = Annotated[
    Literal["valid", "zero"], Field(description="valid: SSIM over whole windows; zero: with zero padding, as in GDMP")
]


class GuidedPurifier(DiffusionPurifier):
    """The chain, every reverse mean moved by -s sigma_t^2 grad D: GDMP, equation 7; RetPur, equation 6."""

    metric: GuideMetric = "ssim"
    scale: Scale = 1000.0
    scale_form: ScaleForm = "constant"
    assumed_eps: AssumedEps = 8 / 255
    pull: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="guidance strength that does not depend on the image size; replaces `scale`, `scale_form` and "
        "`reduction`. It is the share of the distance to the query that MSE guidance with fixed_small variance "
        "removes, summed over the steps of a pass",
    )
    guide_form: GuideForm = "sigma2"
    guide_ref: GuideRef = "noised_fresh"
    reduction: Reduction = "per_image_mean"
    guide_batch: GuideBatch = 100
    data_range: DataRange = 2
    padding: Padding = "valid"

    def supports(self, facts: Facts) -> str | None:
        if reason := super().supports(facts):
            return reason
        metadata = self._denoiser().metadata(facts)
        passes = self.diffusion_passes(metadata)
        if self.pull is not None and not all(diffusion_pass.total_variance for diffusion_pass in passes):
            return (
                "`pull` divides by the variance of a pass, which is 0 for a single step: got 1 step, expected at least "
                "2; set `scale` instead"
            )
        size = network_size(self.resolution, metadata, facts.image_size)
        if min(size) < self.distance.min_side:
            return (
                f"images too small for SSIM: got {size[0]}x{size[1]}, expected sides of at least "
                f"{self.distance.min_side} pixels; use `metric: mse` or `padding: zero`"
            )
        return None

    @property
    def distance(self) -> ImageDistance:
        """The distance D."""
        return ImageDistance(self.metric, float(self.data_range), self.padding)

    def guide(self, mean: Tensor, step: SamplerStep) -> Tensor:
        gradient = self.distance.gradient(step.x, self._reference(step))
        factor = step.eps if self.guide_form == "literal_eps" else self.guidance_variance(step)
        return mean - self._scale(step) * factor * gradient

    def guidance_variance(self, step: SamplerStep) -> float | Tensor:
        """Return sigma_t^2, the factor of the gradient: a number, or (B, 3, H, W) where the variance is learned."""
        return step.variance

    def _scale(self, step: SamplerStep) -> float:
        values = step.query.shape[1:].numel()
        if self.pull is not None:
            return self.pull * values / (2 * step.diffusion_pass.total_variance)
        scale = self.scale
        if self.scale_form == "gdmp":
            alpha_bar = step.reverse_step.alpha_bar
            scale *= 3 / (2 * self.assumed_eps) * math.sqrt((1 - alpha_bar) / alpha_bar)
        factors = {"per_image_mean": 1.0, "batch_mean": 1 / self.guide_batch, "per_image_sum": float(values)}
        return scale * factors[self.reduction]

    def _reference(self, step: SamplerStep) -> Tensor:
        match self.guide_ref:
            case "clean":
                return step.query
            case "noised_shared":
                return diffuse(step.query, step.reverse_step.alpha_bar, step.forward_noise)
            case "noised_fresh":
                return diffuse(step.query, step.reverse_step.alpha_bar, step.draw_noise("guide"))
