"""RetPur's equations 12, 15 and 16 and its algorithm 2 as they are printed, so that their effect can be measured.

Source: RetPur: Diffusion purification model for defending hash retrieval target attacks (2024 submission).

- They divide by the root of alpha-bar_t where the reverse mean has alpha_t (equation 12). Over 45 steps of 1000 that
  brightens the image by a factor of 1.2251 instead of 1.0122, over 45 of 250 by 13.
- They multiply the gradient by the predicted noise, element by element, instead of by sigma_t^2 (equations 15 and 16).
  The sign of the noise is random, so the product does not guide: it only adds noise.

Each is also an option of `retpur` (`mean: literal_abar`, `guide_form: literal_eps`).
"""

from __future__ import annotations

from typing import ClassVar

from retbench_defenses.diffusion.guided_purifier import GuidedPurifier, GuideForm
from retbench_defenses.diffusion.purifier import Mean, Respace, ReverseVariance


class RetPurLiteral(GuidedPurifier):
    """The chain of 1000 levels with RetPur's printed mean and printed guidance."""

    name: ClassVar[str] = "retpur-literal"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "RetPur (2024 submission), equations 12, 15 and 16, algorithm 2"

    respace: Respace = None
    mean: Mean = "literal_abar"
    variance: ReverseVariance = "fixed_small"
    guide_form: GuideForm = "literal_eps"
