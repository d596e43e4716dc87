"""The threat model: the attacker's goal, budget and knowledge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal, get_args

from retbench.errors import suggest

Goal = Literal["targeted", "untargeted"]
Norm = Literal["linf", "l2"]
Threat = Literal["oblivious", "adaptive"]
"""The attacker's knowledge.

`oblivious`: the hasher that encodes the database (the hardened one, if there is a hardening), but not the purifiers.
`adaptive`: the purifiers as well. A black-box attack (see `Access`) does not see these components, but queries them.
"""
Access = Literal["gradient", "score", "decision"]
"""What an attack gets from the attacked network.

`gradient`: the network itself, with its weights and gradients (white box).
`score`: relaxed codes, tanh of the logits, without gradients (black box).
`decision`: binary codes (black box).
"""
BlackBoxAccess = Literal["score", "decision"]

NORMS: tuple[Norm, ...] = get_args(Norm)


@dataclass(frozen=True)
class Ball:
    """The budget of an attack: the largest norm of a perturbation.

    Attributes:
        norm: the norm over all pixels and channels of one image in [0, 1].
        eps: the radius, above 0; for `linf` at most 1, so 8/255 is eight gray levels. Any real number; stored as float.

    Raises:
        ValueError: an unknown norm, or a radius that is not a finite number in this range.

    Example:
        >>> Ball("linf", 8)
        Traceback (most recent call last):
            ...
        ValueError: ball: wrong eps: got 8, expected a number in (0, 1]; images are in [0, 1], so eight gray levels \
are 8/255
    """

    norm: Norm
    eps: float

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            norms = suggest(str(self.norm).lower(), NORMS)
            raise ValueError(f"ball: unknown norm: got {self.norm!r}, {norms}")
        if not _is_radius(self.eps, 1.0 if self.norm == "linf" else math.inf):
            expected = (
                "a number in (0, 1]; images are in [0, 1], so eight gray levels are 8/255"
                if self.norm == "linf"
                else "a finite number above 0"
            )
            raise ValueError(f"ball: wrong eps: got {self.eps!r}, expected {expected}")
        object.__setattr__(self, "eps", float(self.eps))

    def size_problem(self, image_size: tuple[int, int]) -> str | None:
        """Return why the budget is no limit for images of a height and width, or None.

        The largest possible l2 norm of a perturbation is that from a black to a white image.
        """
        largest = math.sqrt(3 * math.prod(image_size))
        if self.norm == "linf" or not largest or self.eps <= largest:
            return None
        height, width = image_size
        return (
            f"ball: wrong eps: got {self.eps:g}, expected at most {largest:.4g}, the largest l2 norm on images of "
            f"{height} x {width} pixels in [0, 1]"
        )


def _is_radius(eps: object, largest: float) -> bool:
    """Return whether a value is a finite real number above 0 and at most `largest`."""
    if isinstance(eps, bool) or not isinstance(eps, Real):
        return False
    try:
        return math.isfinite(eps) and 0 < float(eps) <= largest
    except OverflowError:  # an integer beyond the range of float
        return False
