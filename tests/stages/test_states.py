"""Loading trained states."""

from __future__ import annotations

from collections.abc import Callable

import torch

from retbench.stages import Load, StateKeys, Victim
from retbench.testing.toys import ToyHasher

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
