"""The defenses that this distribution offers to retbench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retbench import hookimpl

if TYPE_CHECKING:
    from retbench import Defense


@hookimpl
def retbench_defenses() -> list[type[Defense]]:
    """Return the defenses; they are imported here, because listing plugins must not load torch."""
    from retbench_defenses.controls.bit_depth import BitDepth
    from retbench_defenses.controls.gaussian_blur import GaussianBlur
    from retbench_defenses.controls.gaussian_noise import GaussianNoise
    from retbench_defenses.controls.identity import Identity
    from retbench_defenses.controls.jpeg import Jpeg
    from retbench_defenses.controls.median import Median
    from retbench_defenses.controls.random_resize_pad import RandomResizePad
    from retbench_defenses.controls.resize import Resize
    from retbench_defenses.controls.tv import TV
    from retbench_defenses.diffusion.ddpm import Ddpm
    from retbench_defenses.diffusion.diffpure import DiffPure
    from retbench_defenses.diffusion.gdmp import Gdmp
    from retbench_defenses.diffusion.gradual import Gradual
    from retbench_defenses.diffusion.retpur import RetPur
    from retbench_defenses.diffusion.retpur_literal import RetPurLiteral
    from retbench_defenses.hardening.atrdh import ATRDH

    hardenings: list[type[Defense]] = [ATRDH]
    diffusion: list[type[Defense]] = [Ddpm, DiffPure, Gdmp, Gradual, RetPur, RetPurLiteral]
    controls: list[type[Defense]] = [
        BitDepth,
        GaussianBlur,
        GaussianNoise,
        Identity,
        Jpeg,
        Median,
        RandomResizePad,
        Resize,
        TV,
    ]
    return [*hardenings, *diffusion, *controls]
