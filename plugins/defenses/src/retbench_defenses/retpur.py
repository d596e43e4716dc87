"""RetPur: diffusion purification guided by the attacked query.

Source: RetPur: Diffusion purification model for defending hash retrieval target attacks (2024 submission).

The paper gives two algorithms. Equation 6 (derived as equation 22, after Wang et al. 2022) moves the reverse mean by
`-s sigma_t^2 grad D`; it is the default. Equations 12, 15 and 16, and with them algorithm 2, are off by default:

- They divide by the root of alpha-bar_t where the reverse mean has alpha_t (equation 12). Over 45 steps of 1000 that
  brightens the image by 1.2251 in place of 1.0122. Option: `mean: literal_abar`.
- They multiply the gradient by the predicted noise, element by element, in place of sigma_t^2 (equations 15 and 16).
  The noise's sign is random, so the product guides nowhere and only adds noise. Option: `guide_form: literal_eps`.

The paper calls D "MSE or negative SSIM" in one place and SSIM in another; here the step always pulls towards the query.
It diffuses for T steps but walks back T_p = 45; here both are `t_p`, since 45 steps cannot start from pure noise.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from retbench import Facts, Noise
from retbench_defenses.chain import Link
from retbench_defenses.diffusion import DiffusionPurifier, diffuse
from retbench_defenses.guidance import WINDOW, Metric, distance_gradient


class RetPur(DiffusionPurifier):
    """The chain, pulled at every step towards the query noised to the same level."""

    name: ClassVar[str] = "retpur"
    source: ClassVar[str] = "RetPur (2024 submission), equation 6"

    metric: Metric = Field("ssim", description="distance D of equation 6: minus SSIM, or mean squared error (Table 4)")
    scale: float = Field(1000.0, ge=0, description="guidance scale s of equation 6; 0 guides nowhere")
    guide_form: Literal["sigma2", "literal_eps"] = Field(
        "sigma2", description="factor of the gradient: sigma_t^2 (equation 6), or the predicted noise (equation 16)"
    )
    guide_ref: Literal["noised_fresh", "noised_shared", "clean"] = Field(
        "noised_fresh",
        description="x_adv^t of equation 6: the query noised by equation 9 with noise of each step's own, or with the "
        "forward jump's; or the query itself, as Wang et al. 2022 do for ImageNet",
    )
    reduction: Literal["per_image_mean", "per_image_sum"] = Field(
        "per_image_mean", description="D is a mean over an image's values, or their number times that"
    )

    def supports(self, facts: Facts) -> str | None:
        if self.metric == "ssim" and min(facts.image_size) < WINDOW:
            size = "x".join(map(str, facts.image_size))
            return f"images too small for SSIM: got {size}, expected sides from {WINDOW}; use `metric: mse`"
        return super().supports(facts)

    def guide(self, mean: Tensor, x: Tensor, eps: Tensor, attacked: Tensor, link: Link, noise: Noise) -> Tensor:
        gradient = distance_gradient(self.metric, x, self._reference(attacked, link, noise))
        values = attacked.shape[1:].numel() if self.reduction == "per_image_sum" else 1
        weight = eps if self.guide_form == "literal_eps" else self.variance_of(link)
        return mean - self.scale * values * weight * gradient

    def _reference(self, attacked: Tensor, link: Link, noise: Noise) -> Tensor:
        shape = tuple(attacked.shape[1:])
        match self.guide_ref:
            case "clean":
                return attacked
            case "noised_shared":
                return diffuse(attacked, link, noise.normal("forward", shape))
            case "noised_fresh":
                return diffuse(attacked, link, noise.normal("guide", shape, link.level))
