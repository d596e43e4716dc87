"""Gradual noise scheduling: many passes over little noise, then fewer over more.

Source: Lee and Kim 2023, Robust evaluation of diffusion-based adversarial purification, section 5 and the published
configurations: for CIFAR-10 four passes of 30 steps, two of 50 and two of 125, for ImageNet the last of 200; DDIM with
eta 1 and without clipping, which is the chain's unclipped mean with its small variance; ten copies and
their vote (here the options `copies` and `vote`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from retbench_defenses.denoisers.denoiser import Outline
from retbench_defenses.denoisers.schedule import LEVELS
from retbench_defenses.diffusion.chain import Walk, build_walk
from retbench_defenses.diffusion.purifier import DiffusionPurifier, Mean, Respace, ReverseVariance

Count = Annotated[int, Field(ge=1, le=LEVELS)]


class Gradual(DiffusionPurifier):
    """Passes over the chain without guidance, by `schedule`; `t_p`, `start` and `passes` are ignored.

    `steps` is the most that a pass takes.
    """

    name: ClassVar[str] = "gradual"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Lee and Kim 2023, section 5, gradual noise scheduling"

    respace: Respace = None
    mean: Mean = "eps_form"
    variance: ReverseVariance = "fixed_small"
    schedule: tuple[tuple[Count, Annotated[int, Field(ge=1, le=100)]], ...] = Field(
        ((30, 4), (50, 2), (125, 2)), min_length=1, description="steps walked back and number of such passes, in order"
    )

    @property
    def highest_step(self) -> int:
        return max(steps for steps, _ in self.schedule)

    def walks(self, outline: Outline) -> tuple[Walk, ...]:
        respace = self._respace(outline)
        return tuple(
            build_walk(steps, respace, self.steps and min(self.steps, steps))
            for steps, passes in self.schedule
            for _ in range(passes)
        )
