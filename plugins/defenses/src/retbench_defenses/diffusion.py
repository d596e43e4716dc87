"""The reverse diffusion that every purifier here shares."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from retbench import Facts, Noise, Part, Purifier, State, part_state
from retbench_defenses.bundled_denoiser import BundledDenoiser
from retbench_defenses.chain import LEVELS, Link, build_chain, spaced_levels
from retbench_defenses.denoiser import Denoiser, build_unet
from retbench_defenses.local_denoiser import LocalDenoiser
from retbench_defenses.trained_denoiser import TrainedDenoiser


class DiffusionPurifier(Purifier):
    """Noises a query up to one level (Ho et al. 2020, equation 4) and walks back down with a denoiser.

    A subclass says how the walk is guided. Forward, reverse and guiding noise are separate streams of each query, so
    two purifiers with the same seed differ by their guidance alone.
    """

    t_p: int = Field(45, ge=1, le=LEVELS, description="steps walked back, counted in steps of the (respaced) chain")
    respace: int | None = Field(
        None, ge=2, le=LEVELS, description="steps of a chain spaced evenly over the 1000 levels; null keeps all 1000"
    )
    variance: Literal["fixed_small", "fixed_large"] = Field(
        "fixed_small", description="reverse variance: Ho et al. 2020, equation 7 (small), or beta (large, section 3.2)"
    )
    mean: Literal["posterior_clip", "eps_form", "literal_abar"] = Field(
        "posterior_clip",
        description="reverse mean: Ho et al. 2020, equation 7 with the predicted image clipped to [-1, 1]; their "
        "equation 11, unclipped; or RetPur, equation 12 to the letter (alpha-bar under the root)",
    )
    denoiser: str = Field(
        "bundled", min_length=1, description="`bundled`, `train`, a folder in diffusers' layout, or a cached hub id"
    )
    training: TrainedDenoiser = Field(TrainedDenoiser(), description="options of the denoiser that `train` fits")

    def supports(self, facts: Facts) -> str | None:
        if self.t_p > (self.respace or LEVELS):
            return f"t_p is outside the chain: got {self.t_p}, expected at most {self.respace}, its `respace`"
        denoiser = self._denoiser()
        return denoiser.supports(facts) or self._above(denoiser.outline(facts).levels)

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"denoiser": self._denoiser()}

    def files(self, facts: Facts) -> dict[str, Path]:
        """Returns the weight file behind `denoiser` where that option names one, so that no recipe holds its path."""
        weights = LocalDenoiser(path=self.denoiser).files(facts) if self.denoiser not in ("bundled", "train") else {}
        return {"denoiser": weights["path"]} if "path" in weights else {}

    def purify(self, images: Tensor, state: State, noise: Noise) -> Tensor:
        net = build_unet(part_state(state, "denoiser"), images.device)
        chain = build_chain(self.t_p, self.respace)
        shape = tuple(images.shape[1:])
        attacked = 2 * images.contiguous() - 1
        x = diffuse(attacked, chain[0], noise.normal("forward", shape))
        for link in chain:
            eps = net(x.contiguous(memory_format=torch.channels_last), link.level).sample.float().contiguous()
            x = self.guide(self._mean(x, eps, link), x, eps, attacked, link, noise)
            if link.kept_after < 1:
                x = x + math.sqrt(self.variance_of(link)) * noise.normal("reverse", shape, link.level)
        return ((x + 1) / 2).clamp(0, 1)

    def guide(self, mean: Tensor, x: Tensor, eps: Tensor, attacked: Tensor, link: Link, noise: Noise) -> Tensor:
        """Returns the reverse `mean` of a step, moved by guidance; here unmoved.

        Args:
            mean, x, eps, attacked: (B, 3, H, W): reverse mean, current image, predicted noise, the query in [-1, 1].
        """
        return mean

    def variance_of(self, link: Link) -> float:
        """Returns the variance of one reverse step, in the units of images in [-1, 1] squared."""
        return link.small_variance if self.variance == "fixed_small" else link.beta

    def _mean(self, x: Tensor, eps: Tensor, link: Link) -> Tensor:
        beta, left = link.beta, 1 - link.kept
        if self.mean == "posterior_clip":
            clean = ((x - math.sqrt(left) * eps) / math.sqrt(link.kept)).clamp(-1, 1)
            to_clean = math.sqrt(link.kept_after) * beta / left
            return to_clean * clean + math.sqrt(1 - beta) * (1 - link.kept_after) / left * x
        shrink = link.kept if self.mean == "literal_abar" else 1 - beta
        return (x - beta / math.sqrt(left) * eps) / math.sqrt(shrink)

    def _denoiser(self) -> Denoiser:
        if self.denoiser == "bundled":
            return BundledDenoiser()
        return self.training if self.denoiser == "train" else LocalDenoiser(path=self.denoiser)

    def _above(self, levels: int) -> str | None:
        start = spaced_levels(self.respace)[self.t_p - 1]
        if start < levels:
            return None
        return (
            f"the chain starts above the levels its denoiser was trained for: got {start}, expected below "
            f"{levels}; lower `t_p`, or train for more levels"
        )


def diffuse(images: Tensor, link: Link, eps: Tensor) -> Tensor:
    """Returns `images` in [-1, 1] noised to a level with standard normal `eps`: Ho et al. 2020, equation 4."""
    return math.sqrt(link.kept) * images + math.sqrt(1 - link.kept) * eps
