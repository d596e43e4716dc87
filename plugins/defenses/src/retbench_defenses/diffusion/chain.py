"""The chains of noise levels that a purifier walks down."""

from __future__ import annotations

from typing import NamedTuple

from retbench_defenses.denoisers.schedule import LEVELS, alphas_cumprod


class Link(NamedTuple):
    """One reverse step: from a noise level to the next lower one of its chain.

    Attributes:
        level: where the step starts, as the U-Net counts it: 0 is the lowest of 1000.
        alpha_bar: of `level`, the square of what the image is multiplied by before the noise is added.
        alpha_bar_after: alpha-bar where the step leads; 1 is the clean image.
        fallback_variance: replaces the zero of `small_variance` at the last step, where its logarithm is taken: that of
            the step before (Nichol and Dhariwal 2021, their code).
    """

    level: int
    alpha_bar: float
    alpha_bar_after: float
    fallback_variance: float = 0.0

    @property
    def beta(self) -> float:
        """Variance that the forward step from the next lower level of this chain adds (respaced where it is)."""
        return 1.0 - self.alpha_bar / self.alpha_bar_after

    @property
    def small_variance(self) -> float:
        """Variance of the true posterior, `fixed_small`: Ho et al. 2020, equation 7. Zero at the last step."""
        return self.beta * (1.0 - self.alpha_bar_after) / (1.0 - self.alpha_bar)

    @property
    def clipped_variance(self) -> float:
        """The small variance, never zero."""
        return self.small_variance or self.fallback_variance


class Walk(NamedTuple):
    """One pass over an image: a jump up to a noise level, and the steps back down.

    Attributes:
        alpha_bar: of the level that the image is noised to.
        links: the steps, highest level first.
    """

    alpha_bar: float
    links: tuple[Link, ...]

    @property
    def start(self) -> int:
        """The level of the first step back."""
        return self.links[0].level

    @property
    def total_variance(self) -> float:
        """The sum of the steps' small variances."""
        return sum(link.small_variance for link in self.links)


def spaced_levels(respace: int | None) -> list[int]:
    """Return the noise levels of a chain in ascending order: all 1000, or `respace` of them, both ends included.

    Source: Nichol and Dhariwal 2021, section 4; their even spacing, rounded.
    """
    if respace is None:
        return list(range(LEVELS))
    return [round(step * (LEVELS - 1) / (respace - 1)) for step in range(respace)]


def walked_levels(t_p: int, respace: int | None, steps: int | None = None) -> list[int]:
    """Return the levels of the `t_p` lowest steps of the (respaced) chain, ascending; or `steps` of them.

    A shortened chain keeps the start: of a list of L levels it takes those at L j / k - 1 for j from 1 to k, rounded
    down (Lee and Kim 2023, their surrogate). 3 steps for 45 are levels 14, 29 and 44.
    """
    levels = spaced_levels(respace)[:t_p]
    return levels if steps is None else [levels[t_p * step // steps - 1] for step in range(1, steps + 1)]


def link_levels(levels: list[int]) -> tuple[Link, ...]:
    """Return the steps that walk down ascending `levels` to the clean image, highest level first."""
    table = alphas_cumprod()
    alpha_bars = [1.0, *(table[level] for level in levels)]
    links = [Link(level, alpha_bars[step + 1], alpha_bars[step]) for step, level in enumerate(levels)]
    # A chain of one step has no step before: its beta is the fallback.
    fallback = links[1].small_variance if len(links) > 1 else links[0].beta
    links[0] = links[0]._replace(fallback_variance=fallback)
    return tuple(links[::-1])


def build_walk(t_p: int, respace: int | None, steps: int | None = None, above: int = 0) -> Walk:
    """Return a pass over the `t_p` lowest steps, the image noised `above` steps higher than the first one starts."""
    links = link_levels(walked_levels(t_p, respace, steps))
    jump = spaced_levels(respace)[t_p - 1 + above]
    return Walk(alphas_cumprod()[jump], links)
