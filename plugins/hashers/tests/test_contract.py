"""Run the shipped contract suite on every component of this distribution."""

from __future__ import annotations

import pytest
from retbench_hashers.backbones.conv import Conv
from retbench_hashers.backbones.pretrained import Pretrained
from retbench_hashers.cross_modal.dadh import DADH
from retbench_hashers.cross_modal.dcmh import DCMH
from retbench_hashers.cross_modal.dgcpn import DGCPN
from retbench_hashers.cross_modal.djsrh import DJSRH
from retbench_hashers.cross_modal.jdsh import JDSH
from retbench_hashers.plugin import retbench_hashers
from retbench_hashers.supervised.csq import CSQ
from retbench_hashers.supervised.dph import DPH
from retbench_hashers.supervised.dpsh import DPSH
from retbench_hashers.supervised.dsh import DSH
from retbench_hashers.supervised.hashnet import HashNet

from retbench import Hasher, Part
from retbench.testing import ToyDataset, check_component


@pytest.mark.parametrize("hasher", [DPSH, DPH, HashNet, CSQ, DSH])
def test_supervised_hashers_meet_the_contract(hasher: type[Hasher]) -> None:
    check_component(hasher.create({"warmup_epochs": 1, "epochs": 1, "batch_size": 8}))


@pytest.mark.parametrize("hasher", [DCMH, DGCPN, DJSRH, JDSH])
def test_cross_modal_hashers_meet_the_contract(hasher: type[Hasher]) -> None:
    check_component(hasher.create({"warmup_epochs": 1, "epochs": 2, "batch_size": 8, "hidden": 8}))


@pytest.mark.parametrize("triplet", ["weighted", "none"])
def test_dadh_meets_the_contract(triplet: str) -> None:
    discriminators = {"feature_critic": (8,), "code_critic": (8,)}
    options = {"warmup_epochs": 1, "epochs": 2, "batch_size": 8, "hidden": (16, 16, 8), "triplet": triplet}
    check_component(DADH.create({**options, **discriminators}))


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_a_hasher_meets_the_contract_with_every_optimizer(optimizer: str) -> None:
    check_component(
        DPSH.create({"warmup_epochs": 1, "epochs": 1, "batch_size": 8, "optimizer": optimizer, "learning_rate": 1e-4})
    )


def test_a_hasher_on_a_published_backbone_meets_the_contract() -> None:
    options = {"backbone": "resnet18", "weights": "random", "normalize": True, "epochs": 1, "batch_size": 6}
    check_component(CSQ.create(options), ToyDataset(side=32, database=12))


@pytest.mark.parametrize("backbone", [Conv(epochs=1), Pretrained(architecture="resnet18", weights="random")], ids=str)
def test_backbones_meet_the_contract(backbone: Part) -> None:
    check_component(backbone)


def test_the_plugin_registers_all_hashers() -> None:
    supervised = {"csq", "dph", "dpsh", "dsh", "hashnet"}
    cross_modal = {"dadh", "dcmh", "dgcpn", "djsrh", "jdsh"}
    assert {hasher.name for hasher in retbench_hashers()} == supervised | cross_modal
