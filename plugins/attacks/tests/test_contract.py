"""The shipped contract suite on every component of this distribution."""

from __future__ import annotations

import pytest
from retbench_attacks.dhta import DHTA
from retbench_attacks.p2p import P2P
from retbench_attacks.plugin import retbench_attacks

from retbench import Attack
from retbench.testing import check_component


@pytest.mark.parametrize(
    "attack",
    [P2P(steps=3), DHTA(steps=3), DHTA(steps=3, update="l2", replacement=False, random_start=True)],
    ids=str,
)
def test_an_attack_keeps_its_contract(attack: Attack) -> None:
    check_component(attack)


def test_all_attacks_are_offered() -> None:
    assert {attack.name for attack in retbench_attacks()} == {"p2p", "dhta"}
