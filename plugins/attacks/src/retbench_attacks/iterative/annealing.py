"""How steep the relaxation tanh(alpha z) is at each step of an attack; a flat one keeps the gradient alive."""

from __future__ import annotations

from typing import Literal

Annealing = Literal["constant", "absolute", "relative"]

_TENTHS = (0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_PUBLISHED_STEPS = 2000


def compute_alpha(annealing: Annealing, step: int, steps: int, constant: float) -> float:
    """Return alpha at `step` (from 0) of `steps`.

    `constant` is `constant`. `absolute` counts steps: 0.1 before step 1000, then 0.2, 0.3, 0.5 and 0.7 for 200 each,
    and 1 from 1800 on, so that an attack of 500 steps stays at 0.1 (the codes of Bai et al. 2020 and of ProS-GAN).
    `relative` stretches the same ten levels over all steps (the code of SAAT). The two agree for 2000 steps.
    """
    if annealing == "constant":
        return constant
    span = _PUBLISHED_STEPS if annealing == "absolute" else steps
    return _TENTHS[min(step * len(_TENTHS) // span, len(_TENTHS) - 1)]
