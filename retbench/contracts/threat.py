"""The threat model: the attacker's goal, budget and knowledge."""

from __future__ import annotations

from typing import Literal, NamedTuple

Goal = Literal["targeted", "untargeted"]
Norm = Literal["linf", "l2"]
Threat = Literal["oblivious", "adaptive"]
"""The attacker's knowledge.

`oblivious`: the hasher that encodes the database (the hardened one, if there is a hardening), but not the purifiers.
`adaptive`: the purifiers as well.
"""


class Ball(NamedTuple):
    """The budget of an attack: the largest norm of a perturbation.

    Attributes:
        norm: the norm over all pixels and channels of one image in [0, 1].
        eps: the radius; for `linf`, 8/255 is eight gray levels.
    """

    norm: Norm
    eps: float
