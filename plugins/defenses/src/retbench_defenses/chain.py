"""The noise levels a diffusion model knows, and the chain of them that a purifier walks down."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

LEVELS = 1000


class Link(NamedTuple):
    """One reverse step: from a noise level to the next lower one of its chain.

    Attributes:
        level: where the step starts, as the U-Net counts it: 0 is the lowest of 1000.
        kept: alpha-bar at `level`, the square of what the image is multiplied by before the noise is added.
        kept_after: alpha-bar where the step leads; 1 is the clean image.
    """

    level: int
    kept: float
    kept_after: float

    @property
    def beta(self) -> float:
        """Variance that the forward step from the next lower level of this chain adds (respaced where it is)."""
        return 1.0 - self.kept / self.kept_after

    @property
    def small_variance(self) -> float:
        """Variance of the true posterior, `fixed_small`: Ho et al. 2020, equation 7. Zero at the last step."""
        return self.beta * (1.0 - self.kept_after) / (1.0 - self.kept)


@lru_cache(maxsize=1)
def alphas_cumprod() -> tuple[float, ...]:
    """Returns alpha-bar of the 1000 levels: beta linear from 1e-4 to 0.02, both ends included (Ho et al. 2020)."""
    import diffusers

    tables: Any = diffusers.DDPMScheduler
    return tuple(tables(LEVELS, beta_start=1e-4, beta_end=0.02, beta_schedule="linear").alphas_cumprod.tolist())


def spaced_levels(respace: int | None) -> list[int]:
    """Returns the noise levels of a chain in ascending order: all 1000, or `respace` of them, both ends included.

    Source: Nichol and Dhariwal 2021, section 4; their even spacing, rounded.
    """
    if respace is None:
        return list(range(LEVELS))
    return [round(step * (LEVELS - 1) / (respace - 1)) for step in range(respace)]


def build_chain(t_p: int, respace: int | None) -> list[Link]:
    """Returns the `t_p` lowest steps of the (respaced) chain, in the order they are walked: highest level first."""
    walked = spaced_levels(respace)[:t_p]
    table = alphas_cumprod()
    kept = [1.0, *(table[level] for level in walked)]
    return [Link(level, kept[step + 1], kept[step]) for step, level in enumerate(walked)][::-1]
