"""A purifier by diffusion whose every step is pulled towards the query.

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
from retbench_defenses.diffusion.distance import Distance, Metric
from retbench_defenses.diffusion.purifier import DiffusionPurifier, SamplerStep
from retbench_defenses.diffusion.resolution import network_size

GuideMetric = Annotated[
    Metric, Field(description="distance D to the query: minus SSIM, or mean squared error (RetPur, Table 4)")
]
Scale = Annotated[float, Field(ge=0, description="guidance scale s; 0 is no guidance")]
ScaleForm = Annotated[
    Literal["constant", "gdmp"],
    Field(
        description="s at every level; or GDMP's, which grows with the noise: 3 s / (2 assumed_eps) "
        "sqrt((1 - alpha-bar) / alpha-bar)"
    ),
]
AssumedEps = Annotated[
    float, Field(gt=0, le=1, description="the attack's budget that `scale_form: gdmp` assumes, pixels in [0, 1]")
]
GuideForm = Annotated[
    Literal["sigma2", "literal_eps"],
    Field(description="factor of the gradient: sigma_t^2 (RetPur, equation 6), or the predicted noise (equation 16)"),
]
GuideRef = Annotated[
    Literal["noised_fresh", "noised_shared", "clean"],
    Field(
        description="x_adv^t: the query noised by RetPur, equation 9, with noise of each step's own, or with the "
        "forward jump's; or the query itself, as GDMP does for ImageNet"
    ),
]
Reduction = Annotated[
    Literal["per_image_mean", "batch_mean", "per_image_sum"],
    Field(
        description="D is a mean over an image's values; that of a batch of `guide_batch` images, whatever the batch "
        "here; or the sum over an image's values"
    ),
]
GuideBatch = Annotated[int, Field(ge=1, le=65_536, description="batch that `reduction: batch_mean` divides by")]
DataRange = Annotated[Literal[1, 2], Field(description="data range that SSIM assumes of images in [-1, 1]; GDMP: 1")]
Padding = Annotated[Literal["valid", "zero"], Field(description="SSIM over whole windows, or zero-padded as GDMP's")]


class GuidedPurifier(DiffusionPurifier):
    """The chain, every step moved by -s sigma_t^2 grad D: GDMP, equation 7; RetPur, equation 6."""

    metric: GuideMetric = "ssim"
    scale: Scale = 1000.0
    scale_form: ScaleForm = "constant"
    assumed_eps: AssumedEps = 8 / 255
    pull: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="in place of `scale`, its form and `reduction`, whatever the image size: the sum over a walk of the"
        " shares by which guidance by MSE, at a constant scale and fixed_small variance, brings the image nearer to the"
        " query",
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
        outline = self._denoiser().outline(facts)
        if self.pull is not None and not all(walk.total_variance for walk in self.walks(outline)):
            return (
                "pull divides by the variance of a walk, and one step has none: got 1 step, expected more; set `scale`"
            )
        inside = network_size(self.resolution, outline, facts.image_size)
        if min(inside) < self.distance.least_side:
            size = "x".join(map(str, inside))
            return (
                f"images too small for SSIM: got {size}, expected sides from {self.distance.least_side}; "
                "use `metric: mse` or `padding: zero`"
            )
        return None

    @property
    def distance(self) -> Distance:
        """The distance D."""
        return Distance(self.metric, float(self.data_range), self.padding)

    def guide(self, mean: Tensor, step: SamplerStep) -> Tensor:
        gradient = self.distance.gradient(step.x, self._reference(step))
        weight = step.eps if self.guide_form == "literal_eps" else self.weight(step)
        return mean - self._scale(step) * weight * gradient

    def weight(self, step: SamplerStep) -> float | Tensor:
        """Return sigma_t^2 of a step: a number, or (B, 3, H, W) where it is learned."""
        return step.variance

    def _scale(self, step: SamplerStep) -> float:
        values = step.attacked.shape[1:].numel()
        if self.pull is not None:
            return self.pull * values / (2 * step.walk.total_variance)
        reduced = {"per_image_mean": 1.0, "batch_mean": 1 / self.guide_batch, "per_image_sum": float(values)}
        scale = self.scale
        if self.scale_form == "gdmp":
            scale *= 3 / (2 * self.assumed_eps) * math.sqrt((1 - step.link.alpha_bar) / step.link.alpha_bar)
        return scale * reduced[self.reduction]

    def _reference(self, step: SamplerStep) -> Tensor:
        match self.guide_ref:
            case "clean":
                return step.attacked
            case "noised_shared":
                return diffuse(step.attacked, step.link.alpha_bar, step.jump)
            case "noised_fresh":
                return diffuse(step.attacked, step.link.alpha_bar, step.draw("guide"))
