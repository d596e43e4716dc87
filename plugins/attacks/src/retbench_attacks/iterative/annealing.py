"""Schedules of the slope alpha of the relaxation tanh(alpha z); a small alpha keeps gradients from vanishing."""

from __future__ import annotations

from typing import Literal

Annealing = Literal["constant", "absolute", "relative"]

_LEVELS = (0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_PUBLISHED_STEPS = 2000


def compute_alpha(annealing: Annealing, step: int, steps: int, constant: float) -> float:
    """Return alpha at `step` (from 0) of `steps`.

    `constant` returns the argument `constant`. `absolute` depends on the step number: 0.1 before step 1000, then 0.2,
    0.3, 0.5 and 0.7 for 200 steps each, and 1 from step 1800 on, so an attack of 500 steps stays at 0.1 (the codes of
    Bai et al. 2020 and of ProS-GAN). `relative` distributes the same ten levels evenly over all steps (the code of
    SAAT). The two agree for 2000 steps.
    """
    if annealing == "constant":
        return constant
    span = _PUBLISHED_STEPS if annealing == "absolute" else steps
    return _LEVELS[min(step * len(_LEVELS) // span, len(_LEVELS) - 1)]
