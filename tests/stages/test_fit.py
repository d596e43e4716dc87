"""Training of parts, hashers and hardenings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, cast

import pytest
import torch

from retbench.contracts import Context, Hasher, Part, State, TrainingData
from retbench.execute import FailureKind, LocalExecutor
from retbench.plan import Plan
from retbench.stages import FitPart, StateKeys
from retbench.store import Store
from retbench.testing.toys import ToyDataset, ToyHardening, ToyHasher, ToyPart

Planner = Callable[..., Plan]


class CountingPart(ToyPart):
    """Records the code length of every fit."""

    name: ClassVar[str] = "counting"
    fits: ClassVar[list[int]] = []

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        self.fits.append(inputs.facts.bits)
        return super().fit(inputs, ctx)


class SharingHasher(ToyHasher):
    name: ClassVar[str] = "sharing"

    def parts(self, facts: Any) -> dict[str, Part]:
        return {"mean": CountingPart()}


class SecondSharingHasher(SharingHasher):
    name: ClassVar[str] = "also-sharing"


class FaultyHardening(ToyHardening):
    """Breaks the contract of a hardening."""

    name: ClassVar[str] = "faulty-hardening"

    fault: Literal["shape", "names", "nan", "type", "values"]

    def fit(self, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> State:
        faults: dict[str, State] = {
            "shape": {**state, "weight": state["weight"][:-1]},
            "names": {"weights": state["weight"], "mean": state["mean"]},
            "nan": {**state, "weight": state["weight"] / 0},
            "type": cast(State, list(state.values())),
            "values": cast(State, {name: tensor.tolist() for name, tensor in state.items()}),
        }
        return faults[self.fault]


class DivergingHasher(ToyHasher):
    name: ClassVar[str] = "diverging"

    def fit(self, data: TrainingData, ctx: Context) -> State:
        return {**super().fit(data, ctx), "weight": torch.tensor([[float("inf")] * 3])}


def read_states(plan: Plan, store: Store) -> dict[str, dict[str, torch.Tensor]]:
    fits = ("fit_part", "fit", "fit_defense")
    return {step.name: dict(store.get(key).tensors) for key, step in plan.steps.items() if step.name in fits}


def test_a_part_is_fitted_once_for_all_its_owners_and_code_lengths(toy_plan: Planner, executor: LocalExecutor) -> None:
    CountingPart.fits.clear()
    plan = toy_plan({"hasher": ["sharing", "also-sharing"], "bits": [8, 16]}, SharingHasher, SecondSharingHasher)
    assert executor.run(plan).failures == {}
    assert CountingPart.fits == [0]
    assert plan.counts()["fit"] == 4


def test_a_hasher_is_fitted_with_its_code_length_and_parts(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({"bits": 13})
    executor.run(plan)
    fitted = read_states(plan, store)
    assert fitted["fit"]["weight"].shape == (13, 3)
    assert torch.equal(fitted["fit"]["mean"], fitted["fit_part"]["mean"])
    training = ToyDataset().images("train", range(20)).float() / 255
    assert torch.allclose(fitted["fit_part"]["mean"], training.mean(dim=(0, 2, 3)))


def test_a_hardening_starts_from_the_trained_hasher_and_replaces_it(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({"defense": "toy-hardening", "attack": "toy"})
    assert executor.run(plan).failures == {}
    fitted = read_states(plan, store)
    assert torch.equal(fitted["fit_defense"]["weight"], 2 * fitted["fit"]["weight"])
    (hardened,) = (key for key, step in plan.steps.items() if step.name == "fit_defense")
    users = [step for step in plan.steps.values() if step.name in ("encode", "attack")]
    assert len(users) == 3
    assert all(hardened in step.inputs for step in users)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("shape", "a hardening must keep the names and shapes"),
        ("names", "a hardening must keep the names and shapes"),
        ("nan", "fit returned NaN or infinity in weight"),
        ("type", "fit must return a dictionary of tensors: got list"),
        ("values", "wrong type of mean in the state that fit returned: got list"),
    ],
)
def test_an_invalid_state_of_a_hardening_is_a_contract_breach(
    toy_plan: Planner, executor: LocalExecutor, fault: str, problem: str
) -> None:
    options = {"defense": {"faulty-hardening": {"fault": fault}}}
    plan = toy_plan({"defense": "faulty-hardening"}, FaultyHardening, components=options)
    failure = executor.run(plan).failures[plan.cells[0].key or ""]
    assert failure.kind is FailureKind.INVALID
    assert failure.reason.startswith("defense faulty-hardening (package ")
    assert problem in failure.reason


def test_infinite_weights_are_a_contract_breach(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"hasher": "diverging"}, DivergingHasher)
    failure = executor.run(plan).failures[plan.cells[0].key or ""]
    assert failure.kind is FailureKind.INVALID
    assert "fit returned NaN or infinity in weight" in failure.reason


class FixedPart(ToyPart):
    """Learns nothing."""

    name: ClassVar[str] = "fixed"
    learns: ClassVar[bool] = False


def test_a_part_that_learns_nothing_has_one_key_for_all_data_and_seeds() -> None:
    def keys(part: Part) -> set[str]:
        datasets = (ToyDataset(), ToyDataset(queries=3, side=8))
        steps = [FitPart(part, data, data.facts(), seed, "bf16", StateKeys()) for data in datasets for seed in (0, 1)]
        return {step.key for step in steps}

    assert len(keys(ToyPart())) == 4
    assert len(keys(FixedPart())) == 1
