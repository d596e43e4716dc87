"""The attacks of this distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retbench import hookimpl

if TYPE_CHECKING:
    from retbench import Attack


@hookimpl
def retbench_attacks() -> list[type[Attack]]:
    """Return the attack classes; the imports are here so that discovery stays fast."""
    from retbench_attacks.generative.prosgan import ProsGAN
    from retbench_attacks.generative.tadch import TADCH
    from retbench_attacks.iterative.dhta import DHTA
    from retbench_attacks.iterative.hag import HAG
    from retbench_attacks.iterative.p2p import P2P
    from retbench_attacks.iterative.sdha import SDHA
    from retbench_attacks.iterative.tha import THA

    return [P2P, DHTA, ProsGAN, TADCH, THA, HAG, SDHA]
