"""What this distribution offers to retbench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retbench import hookimpl

if TYPE_CHECKING:
    from retbench import Defense


@hookimpl
def retbench_defenses() -> list[type[Defense]]:
    """Returns the defenses; imported here, so that listing plugins stays light."""
    from retbench_defenses.atrdh import ATRDH
    from retbench_defenses.ddpm import Ddpm
    from retbench_defenses.retpur import RetPur

    return [ATRDH, Ddpm, RetPur]
