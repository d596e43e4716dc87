"""The noise schedule that every denoiser is trained on.

Source: Ho et al. 2020, section 4: beta linear from 1e-4 to 0.02 over 1000 levels, both ends included.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate
from operator import mul

from torch import Tensor

LEVELS = 1000
LOWEST_BETA, HIGHEST_BETA = 1e-4, 0.02


@lru_cache(maxsize=1)
def betas() -> tuple[float, ...]:
    """Return the variance that each level adds, lowest level first."""
    return tuple(LOWEST_BETA + (HIGHEST_BETA - LOWEST_BETA) * level / (LEVELS - 1) for level in range(LEVELS))


@lru_cache(maxsize=1)
def alphas_cumprod() -> tuple[float, ...]:
    """Return alpha-bar of each level, the product of 1 - beta up to it, lowest level first.

    In double precision: 1 - alpha-bar, on which every variance depends, loses four of the seven digits of float32.
    """
    return tuple(accumulate((1 - beta for beta in betas()), mul))


def diffuse(images: Tensor, alpha_bar: float, eps: Tensor) -> Tensor:
    """Return `images` in [-1, 1] noised to `alpha_bar` with standard normal `eps`: Ho et al. 2020, equation 4."""
    return math.sqrt(alpha_bar) * images + math.sqrt(1 - alpha_bar) * eps
