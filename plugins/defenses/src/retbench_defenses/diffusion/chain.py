"""The noise levels of a purification pass and the variances of its reverse steps."""

from __future__ import annotations

from typing import NamedTuple

from retbench_defenses.denoisers.schedule import LEVELS, alphas_cumprod


class ReverseStep(NamedTuple):
    """A reverse step: from a noise level to the next lower one of the chain.

    Attributes:
        level: noise level before the step, as the U-Net counts it: 0 is the lowest of 1000.
        alpha_bar: alpha-bar at `level`, the square of the clean image's factor in the noised one.
        alpha_bar_prev: alpha-bar after the step (that of t - 1 in the papers); 1 is the clean image.
        fallback_variance: the small variance of the step before; replaces the zero of the last step where its logarithm
            is taken (Nichol and Dhariwal 2021, their code).
        lowered: number of levels below `level` at which the network is called.
    """

    level: int
    alpha_bar: float
    alpha_bar_prev: float
    fallback_variance: float = 0.0
    lowered: int = 0

    @property
    def network_level(self) -> int:
        """The level that the network is called with."""
        return self.level - self.lowered

    @property
    def beta(self) -> float:
        """Variance that the forward step adds between the two levels."""
        return 1.0 - self.alpha_bar / self.alpha_bar_prev

    @property
    def small_variance(self) -> float:
        """Variance of the true posterior (`fixed_small`): Ho et al. 2020, equation 7. Zero at the last step."""
        return self.beta * (1.0 - self.alpha_bar_prev) / (1.0 - self.alpha_bar)

    @property
    def clipped_variance(self) -> float:
        """The small variance; at the last step, where it is zero, the fallback."""
        return self.small_variance or self.fallback_variance


class DiffusionPass(NamedTuple):
    """One purification pass: a forward jump to a noise level, and the reverse steps.

    Attributes:
        alpha_bar: alpha-bar of the level that the image is noised to.
        steps: the reverse steps, highest level first.
    """

    alpha_bar: float
    steps: tuple[ReverseStep, ...]

    @property
    def start_level(self) -> int:
        """The level of the first reverse step."""
        return self.steps[0].level

    @property
    def total_variance(self) -> float:
        """The sum of the small variances of the steps."""
        return sum(step.small_variance for step in self.steps)


def spaced_levels(respace: int | None) -> list[int]:
    """Return the noise levels of a chain in ascending order: all 1000, or `respace` of them, both ends included.

    Source: Nichol and Dhariwal 2021, section 4; their even spacing, rounded.
    """
    if respace is None:
        return list(range(LEVELS))
    return [round(index * (LEVELS - 1) / (respace - 1)) for index in range(respace)]


def pass_levels(t_p: int, respace: int | None, steps: int | None = None) -> list[int]:
    """Return the noise levels of a pass, ascending: the `t_p` lowest of the (respaced) chain, or `steps` of them.

    A shortened pass keeps its highest level: of a list of L levels it takes those at L j / k - 1 for j from 1 to k,
    rounded down (Lee and Kim 2023, their surrogate). 3 steps for 45 are levels 14, 29 and 44.
    """
    levels = spaced_levels(respace)[:t_p]
    return levels if steps is None else [levels[t_p * step // steps - 1] for step in range(1, steps + 1)]


def build_steps(levels: list[int]) -> tuple[ReverseStep, ...]:
    """Return the reverse steps from the last of the ascending `levels` to the clean image, highest level first."""
    table = alphas_cumprod()
    alpha_bars = [1.0, *(table[level] for level in levels)]
    steps = [ReverseStep(level, alpha_bars[index + 1], alpha_bars[index]) for index, level in enumerate(levels)]
    # With a single step there is no step before: its beta is the fallback.
    fallback = steps[1].small_variance if len(steps) > 1 else steps[0].beta
    steps[0] = steps[0]._replace(fallback_variance=fallback)
    return tuple(steps[::-1])


def build_pass(t_p: int, respace: int | None, steps: int | None = None, extra_noise: int = 0) -> DiffusionPass:
    """Return the pass over the `t_p` lowest levels of a chain.

    Args:
        t_p: number of levels.
        respace: number of levels of the whole chain; None for all 1000.
        steps: number of reverse steps if not `t_p`.
        extra_noise: number of levels by which the forward jump exceeds the first reverse step.
    """
    jump = spaced_levels(respace)[t_p - 1 + extra_noise]
    return DiffusionPass(alphas_cumprod()[jump], build_steps(pass_levels(t_p, respace, steps)))
