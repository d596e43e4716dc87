"""The plugin of this distribution: its hashers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retbench import hookimpl

if TYPE_CHECKING:
    from retbench import Hasher


@hookimpl
def retbench_hashers() -> list[type[Hasher]]:
    """Return the hashers, imported here because listing plugins must not load torch."""
    from retbench_hashers.cross_modal.dadh import DADH
    from retbench_hashers.cross_modal.dcmh import DCMH
    from retbench_hashers.cross_modal.dgcpn import DGCPN
    from retbench_hashers.cross_modal.djsrh import DJSRH
    from retbench_hashers.cross_modal.jdsh import JDSH
    from retbench_hashers.supervised.csq import CSQ
    from retbench_hashers.supervised.dph import DPH
    from retbench_hashers.supervised.dpsh import DPSH
    from retbench_hashers.supervised.dsh import DSH
    from retbench_hashers.supervised.hashnet import HashNet

    return [CSQ, DADH, DCMH, DGCPN, DJSRH, DPH, DPSH, DSH, HashNet, JDSH]
