"""The threat model: what the attacker wants, may change and knows."""

from __future__ import annotations

from typing import Literal, NamedTuple

Goal = Literal["targeted", "untargeted"]
Norm = Literal["linf", "l2"]
Threat = Literal["oblivious", "adaptive"]
"""What the attacker knows.

`oblivious`: the hasher that encodes the database (hardened, if it is), not the purifiers in front of it; `adaptive`:
those too.
"""


class Ball(NamedTuple):
    """The perturbations that an attack allows itself.

    Attributes:
        norm: over all pixels and channels of one image in [0, 1].
        eps: radius; 8/255 is eight gray levels for `linf`.
    """

    norm: Norm
    eps: float
