"""Gradual noise scheduling: many passes at low noise, then fewer at higher noise.

Source: Lee and Kim 2023, Robust evaluation of diffusion-based adversarial purification, section 5 and the published
configurations: for CIFAR-10 four passes of 30 steps, two of 50 and two of 125 (for ImageNet, 200 instead of 125); DDIM
with eta 1 and without clipping, which is the chain's unclipped mean with its small variance; ten copies and their vote
(here the options `copies` and `vote`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from retbench_defenses.denoisers.denoiser import DenoiserMetadata
from retbench_defenses.denoisers.schedule import LEVELS
from retbench_defenses.diffusion.chain import DiffusionPass, build_pass
from retbench_defenses.diffusion.purifier import DiffusionPurifier, Mean, Respace, ReverseVariance

StepCount = Annotated[int, Field(ge=1, le=LEVELS)]
PassCount = Annotated[int, Field(ge=1, le=100)]


class Gradual(DiffusionPurifier):
    """Passes without guidance, by `schedule`; `t_p`, `start` and `passes` are ignored.

    `steps` is the maximum number of reverse steps of a pass.
    """

    name: ClassVar[str] = "gradual"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Lee and Kim 2023, section 5, gradual noise scheduling"

    respace: Respace = None
    mean: Mean = "eps_form"
    variance: ReverseVariance = "fixed_small"
    schedule: tuple[tuple[StepCount, PassCount], ...] = Field(
        ((30, 4), (50, 2), (125, 2)), min_length=1, description="pairs of reverse steps and number of such passes"
    )

    @property
    def highest_step(self) -> int:
        return max(t_p for t_p, _ in self.schedule)

    def diffusion_passes(self, metadata: DenoiserMetadata) -> tuple[DiffusionPass, ...]:
        respace = self._chain_length(metadata)
        return tuple(
            build_pass(t_p, respace, self.steps and min(self.steps, t_p))
            for t_p, passes in self.schedule
            for _ in range(passes)
        )
