"""The shipped contract suite on every component of this distribution."""

from __future__ import annotations

import pytest
from retbench_hashers.dph import DPH
from retbench_hashers.dpsh import DPSH
from retbench_hashers.plugin import retbench_hashers

from retbench import Hasher
from retbench.testing import check_component


@pytest.mark.parametrize("hasher", [DPSH, DPH])
def test_a_hasher_keeps_its_contract(hasher: type[Hasher]) -> None:
    check_component(hasher.create({"warmup_epochs": 1, "epochs": 1, "batch": 8}))


def test_all_hashers_are_offered() -> None:
    assert {hasher.name for hasher in retbench_hashers()} == {"dpsh", "dph"}
