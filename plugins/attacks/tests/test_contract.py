"""The contract checks of `retbench.testing` on every attack."""

from __future__ import annotations

import pytest
from retbench_attacks.generative.prosgan import ProsGAN
from retbench_attacks.generative.tadch import TADCH
from retbench_attacks.iterative.dhta import DHTA
from retbench_attacks.iterative.hag import HAG
from retbench_attacks.iterative.p2p import P2P
from retbench_attacks.iterative.sdha import SDHA
from retbench_attacks.iterative.tha import THA
from retbench_attacks.plugin import retbench_attacks
from retbench_attacks.prototypes.prosgan_prototypes import ProsGanPrototypes
from retbench_attacks.prototypes.tadch_prototypes import TadchPrototypes
from retbench_attacks.prototypes.tha_prototypes import ThaPrototypes

from retbench import Attack
from retbench.testing import check_component

SMALL = {"hidden": 8, "semantic": 4, "steps": 5, "batch_size": 8}


@pytest.mark.parametrize(
    "attack",
    [
        P2P(steps=3),
        DHTA(steps=3),
        DHTA(steps=3, update="l2", replacement=False, random_start=True),
        THA(steps=3, prototypes=ThaPrototypes(**SMALL)),
        ProsGAN(
            epochs=2,
            width=4,
            blocks=1,
            decoder_width=16,
            critic_width=4,
            critic_depth=3,
            prototypes=ProsGanPrototypes(**SMALL),
        ),
        TADCH(
            epochs=1,
            decay_epochs=1,
            width=4,
            blocks=1,
            critic_width=4,
            critic_depth=3,
            prototypes=TadchPrototypes(hidden=8, width=16, epochs=2),
        ),
        HAG(steps=5),
        HAG(steps=5, form="atrdh", alpha="constant", random_start=True),
        SDHA(steps=5),
        SDHA(steps=5, targeted=True),
    ],
    ids=str,
)
def test_attack_fulfills_its_contract(attack: Attack) -> None:
    check_component(attack)


def test_plugin_lists_all_attacks() -> None:
    assert {attack.name for attack in retbench_attacks()} == {"p2p", "dhta", "prosgan", "tadch", "tha", "hag", "sdha"}
