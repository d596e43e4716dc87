"""Purification by plain diffusion: add noise to the query, then denoise it.

Source: Nie et al. 2022, Diffusion models for adversarial purification (DiffPure), with the discrete chain of Ho et al.
2020. The default `t_p` is RetPur's, so that the two differ only by guidance; DiffPure's own is 100 of 1000 for small
images.
"""

from __future__ import annotations

from typing import ClassVar

from retbench_defenses.diffusion.purifier import DiffusionPurifier


class Ddpm(DiffusionPurifier):
    """Purification by the discrete diffusion chain, without guidance."""

    name: ClassVar[str] = "ddpm"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Ho et al. 2020, algorithm 2 from level t_p; Nie et al. 2022, section 3"
