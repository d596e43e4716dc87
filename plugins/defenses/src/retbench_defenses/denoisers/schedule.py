"""The noise schedule that every denoiser is trained on.

Source: Ho et al. 2020, section 4: beta linear from 1e-4 to 0.02 over 1000 levels, both ends included.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from torch import Tensor

LEVELS = 1000


@lru_cache(maxsize=1)
def alphas_cumprod() -> tuple[float, ...]:
    """Return alpha-bar of the 1000 levels: beta linear from 1e-4 to 0.02, both ends included (Ho et al. 2020)."""
    import diffusers

    tables: Any = diffusers.DDPMScheduler
    return tuple(tables(LEVELS, beta_start=1e-4, beta_end=0.02, beta_schedule="linear").alphas_cumprod.tolist())


def diffuse(images: Tensor, kept: float, eps: Tensor) -> Tensor:
    """Return `images` in [-1, 1] noised to alpha-bar `kept` with standard normal `eps`: Ho et al. 2020, equation 4."""
    return math.sqrt(kept) * images + math.sqrt(1 - kept) * eps
