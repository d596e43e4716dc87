"""RetPur: diffusion purification guided by the attacked query.

Source: RetPur: Diffusion purification model for defending hash retrieval target attacks (2024 submission).

The paper contains two algorithms. Equation 6 (derived as equation 22, after Wang et al. 2022) moves the reverse mean by
`-s sigma_t^2 grad D`; it is the default here. Equations 12, 15 and 16, and algorithm 2 with them, differ from it and
are the component `retpur-literal`.

The paper calls D "MSE or negative SSIM" in one place and SSIM in another; here the step always moves towards the query.
It noises for T steps but takes T_p = 45 reverse steps; here both are `t_p`, because 45 steps cannot start from pure
noise.
"""

from __future__ import annotations

from typing import ClassVar

from retbench_defenses.diffusion.guided_purifier import GuidedPurifier


class RetPur(GuidedPurifier):
    """Diffusion purification where every step is guided towards the query, noised to the same level."""

    name: ClassVar[str] = "retpur"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "RetPur (2024 submission), equation 6"
