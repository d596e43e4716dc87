"""What the attacker wants, may do, and sees."""

from __future__ import annotations

from typing import Literal, NamedTuple

from retbench.contracts.facts import Visibility

Goal = Literal["targeted", "untargeted"]
Norm = Literal["linf", "l2"]


class Ball(NamedTuple):
    """The perturbations an attack allows itself.

    Attributes:
        norm: over all pixels and channels of one image in [0, 1].
        eps: radius; 8/255 is eight gray levels for `linf`.
    """

    norm: Norm
    eps: float


class Threat(NamedTuple):
    """One attack's declaration, as a row prints it.

    Attributes:
        goal: `targeted` (the answers become the target's) or `untargeted` (they stop being the query's).
        ball: norm and budget; None for an attack that declares none.
        visibility: `oblivious` sees the hasher that encodes the database, not the purifier in front of it; `adaptive`
            sees both.
    """

    goal: Goal
    ball: Ball | None
    visibility: Visibility
