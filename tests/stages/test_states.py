"""Loading trained states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from retbench.contracts import State
from retbench.errors import ContractBreach
from retbench.stages import Load, StateKeys, Victim
from retbench.stages.states import load_frozen
from retbench.testing.toys import ToyBackbone, ToyHasher, ToyPurifier

CPU = torch.device("cpu")


def test_states_of_parts_have_names_with_their_role(artifacts: Callable[..., Load]) -> None:
    load = artifacts(own={"weight": torch.ones(1)}, first={"weight": torch.zeros(1)}, second={"mean": torch.ones(2)})
    state = StateKeys("own", {"denoiser": "first", "prior": "second"}).load(load, CPU)
    assert state.keys() == {"weight", "denoiser/weight", "prior/mean"}
    assert state["weight"] == 1
    assert state["denoiser/weight"] == 0


def test_records_of_a_fit_are_not_part_of_its_state(artifacts: Callable[..., Load]) -> None:
    fitted = {"weight": torch.ones(1), "record/samples": torch.zeros(3, 4, 4)}
    load = artifacts(own=fitted, part=fitted)
    assert StateKeys("own", {"denoiser": "part"}).load(load, CPU).keys() == {"weight", "denoiser/weight"}
    assert StateKeys("own", {"denoiser": "part"}).load_parts(load, CPU)["denoiser"].keys() == {"weight"}
    assert Victim(ToyHasher(), "own").state(load, CPU).keys() == {"weight"}


def test_a_component_without_a_fit_has_an_empty_state(artifacts: Callable[..., Load]) -> None:
    assert StateKeys().load(artifacts(), CPU) == {}


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")])
def test_a_state_has_the_order_of_its_names_because_files_have_none(
    artifacts: Callable[..., Load], names: tuple[str, ...]
) -> None:
    fitted = {name: torch.ones(1) for name in names}
    state = StateKeys("own", {"part": "own"}).load(artifacts(own=fitted), CPU)
    assert list(state) == ["a", "b", "c", "part/a", "part/b", "part/c"]


class ListHasher(ToyHasher):
    """Returns no network."""

    def network(self, state: State, device: torch.device) -> Any:
        return nn.Linear(3, 8)


class ListPurifier(ToyPurifier):
    """Returns no module."""

    def module(self, state: State, device: torch.device) -> Any:
        return [nn.Linear(3, 8)]


class TrainingBackbone(ToyBackbone):
    """Returns a module in training mode, which depends on the batch."""

    def module(self, state: State, device: torch.device) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(3), super().module(state, device)).train()


def test_anything_but_a_network_is_refused(artifacts: Callable[..., Load]) -> None:
    load = artifacts(own={"weight": torch.ones(8, 3), "mean": torch.zeros(3)})
    problem = r"^hasher toy \(package tests\): wrong type of network: got Linear, expected a HashNetwork"
    with pytest.raises(ContractBreach, match=problem):
        Victim(ListHasher(), "own").network(load, CPU)
    problem = r"^defense toy \(package tests\): wrong type of module: got list, expected a torch.nn.Module"
    with pytest.raises(ContractBreach, match=problem):
        load_frozen(ListPurifier(), StateKeys("own"), load, CPU)


def test_networks_of_parts_are_frozen_and_in_eval_mode(artifacts: Callable[..., Load]) -> None:
    module = load_frozen(TrainingBackbone(), StateKeys("own"), artifacts(own={}), CPU)
    assert not any(child.training for child in module.modules())
    assert not any(weight.requires_grad for weight in module.parameters())
