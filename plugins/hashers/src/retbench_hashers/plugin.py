"""What this distribution offers to retbench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retbench import hookimpl

if TYPE_CHECKING:
    from retbench import Hasher


@hookimpl
def retbench_hashers() -> list[type[Hasher]]:
    """Returns the hashers; imported here, so that listing plugins stays light."""
    from retbench_hashers.csq import CSQ
    from retbench_hashers.dadh import DADH
    from retbench_hashers.dcmh import DCMH
    from retbench_hashers.dgcpn import DGCPN
    from retbench_hashers.djsrh import DJSRH
    from retbench_hashers.dph import DPH
    from retbench_hashers.dpsh import DPSH
    from retbench_hashers.dsh import DSH
    from retbench_hashers.hashnet import HashNet
    from retbench_hashers.jdsh import JDSH

    return [CSQ, DADH, DCMH, DGCPN, DJSRH, DPH, DPSH, DSH, HashNet, JDSH]
