"""The shipped contract suite on every component of this distribution."""

from __future__ import annotations

import pytest
from retbench_hashers.conv import Conv
from retbench_hashers.csq import CSQ
from retbench_hashers.dph import DPH
from retbench_hashers.dpsh import DPSH
from retbench_hashers.dsh import DSH
from retbench_hashers.hashnet import HashNet
from retbench_hashers.plugin import retbench_hashers
from retbench_hashers.pretrained import Pretrained

from retbench import Hasher, Part
from retbench.testing import ToyDataset, check_component


@pytest.mark.parametrize("hasher", [DPSH, DPH, HashNet, CSQ, DSH])
def test_a_hasher_keeps_its_contract(hasher: type[Hasher]) -> None:
    check_component(hasher.create({"warmup_epochs": 1, "epochs": 1, "batch": 8}))


@pytest.mark.parametrize("optimiser", ["sgd", "rmsprop"])
def test_a_hasher_keeps_its_contract_under_every_optimiser(optimiser: str) -> None:
    check_component(DPSH.create({"warmup_epochs": 1, "epochs": 1, "batch": 8, "optimiser": optimiser, "rate": 1e-4}))


def test_a_hasher_on_a_published_backbone_keeps_its_contract() -> None:
    options = {"backbone": "resnet18", "weights": "random", "normalise": True, "epochs": 1, "batch": 6}
    check_component(CSQ.create(options), ToyDataset(side=32, database=12))


@pytest.mark.parametrize("backbone", [Conv(epochs=1), Pretrained(architecture="resnet18", weights="random")], ids=str)
def test_a_backbone_keeps_its_contract(backbone: Part) -> None:
    check_component(backbone)


def test_all_hashers_are_offered() -> None:
    assert {hasher.name for hasher in retbench_hashers()} == {"csq", "dph", "dpsh", "dsh", "hashnet"}
