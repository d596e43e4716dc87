"""The contract suite finds what it promises to find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from retbench.contracts import Batch, Component, Context, Hasher, Knowledge, Noise, State, TrainingData
from retbench.contracts.facts import Split
from retbench.errors import ContractBreach
from retbench.testing import (
    ToyAttack,
    ToyDataset,
    ToyHardening,
    ToyHasher,
    ToyPurifier,
    check_component,
)
from retbench.testing.toys import FaultyAttack, FaultyPurifier, ToyCached, ToyEyes, ToyPart, ToyPrototype, ToyUntargeted


@pytest.mark.parametrize(
    "component",
    [
        ToyDataset(),
        ToyHasher(),
        ToyCached(),
        ToyAttack(),
        ToyUntargeted(),
        ToyPurifier(),
        ToyHardening(),
        ToyPart(),
        ToyEyes(),
        ToyPrototype(),
    ],
    ids=str,
)
def test_the_toys_keep_their_contracts(component: Component) -> None:
    check_component(component)


@pytest.mark.parametrize("fault", ["nan", "shape", "dtype", "range", "ball", "type"])
def test_an_attack_that_breaks_its_contract_is_found(fault: Any) -> None:
    with pytest.raises(ContractBreach, match="attack faulty"):
        check_component(FaultyAttack(fault=fault))


@pytest.mark.parametrize("fault", ["nan", "shape", "dtype", "range", "type"])
def test_a_purifier_that_breaks_its_contract_is_found(fault: Any) -> None:
    with pytest.raises(ContractBreach, match="defense faulty"):
        check_component(FaultyPurifier(fault=fault))


class BatchAttack(ToyAttack):
    """Looks at its neighbors in the batch."""

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        images = super().perturb(knowledge, batch, module, noise)
        return batch.images + (images - batch.images) / max(len(images), 1)


class TamperingAttack(ToyAttack):
    """Changes the network that it attacks."""

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        with torch.no_grad():
            next(knowledge.network.parameters()).add_(1.0)
        return batch.images


class CutPurifier(ToyPurifier):
    """Says it is differentiable, and is not."""

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return super().purify(images.detach(), module, noise).requires_grad_(images.requires_grad)


class LoudPurifier(ToyPurifier):
    """Draws noise that nobody handed in."""

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return (super().purify(images, module, noise) + 0.1 * torch.rand_like(images)).clamp(0, 1)


class MoodyHasher(ToyHasher):
    """Trains differently every time."""

    calls: ClassVar[list[int]] = []

    def fit(self, data: TrainingData, ctx: Context) -> State:
        self.calls.append(1)
        state = super().fit(data, ctx)
        return {**state, "mean": state["mean"] + len(self.calls)}


class DividingHasher(ToyHasher):
    """Divides by the number of labels."""

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        return (outputs.mean(1) / labels[rows].sum(1)).mean()


class GrowingHardening(ToyHardening):
    """Adds a weight."""

    def fit(self, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> State:
        return {**state, "extra": torch.zeros(1)}


class LeakyDataset(ToyDataset):
    """Has a query in its database."""

    def ids(self, split: Split) -> Sequence[str]:
        return [f"item-{row}" for row in range(self.facts().sizes[split])]


@pytest.mark.parametrize(
    ("component", "told"),
    [
        (BatchAttack(), "must not depend on the batch"),
        (TamperingAttack(), "changed the network"),
        (CutPurifier(), "no gradient"),
        (LoudPurifier(), "the same noise must give the same images"),
        (MoodyHasher(), "the same fit must give the same weights"),
        (DividingHasher(), "finite"),
        (GrowingHardening(), "names and shapes"),
        (LeakyDataset(), "a query must not be in the database"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Component) else "",
)
def test_each_breach_is_told(component: Component, told: str) -> None:
    with pytest.raises(ContractBreach, match=told):
        check_component(component)


def test_an_option_without_a_description_is_a_breach() -> None:
    class Bare(ToyAttack):
        """Has an option that says nothing."""

        power: int = 1

    with pytest.raises(ContractBreach, match="option power has no description"):
        check_component(Bare())


class Restless(ToyPart):
    """Gives other weights at every fit."""

    name: ClassVar[str] = "restless"
    fits: ClassVar[list[int]] = []

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        self.fits.append(0)
        return {"mean": torch.full((3,), float(len(self.fits)))}


class Training(ToyPart):
    """Forgets to leave training mode."""

    name: ClassVar[str] = "training"

    def module(self, state: State, device: torch.device) -> nn.Module:
        return super().module(state, device).train()


class Thawed(ToyPrototype):
    """Forgets to freeze its weights."""

    name: ClassVar[str] = "thawed"

    def module(self, state: State, device: torch.device) -> nn.Module:
        return super().module(state, device).requires_grad_(True)


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (Restless(), "part restless: the same fit must give the same weights"),
        (Training(), "part training: its module must be in eval mode"),
        (Thawed(), "part thawed: its module must be frozen"),
    ],
    ids=str,
)
def test_a_part_that_breaks_its_contract_is_found(part: Component, problem: str) -> None:
    with pytest.raises(ContractBreach, match=problem):
        check_component(part)


def test_a_cached_role_that_is_no_part_is_found() -> None:
    class Noseless(ToyCached):
        """Has no such part."""

        cached: ClassVar[str | None] = "nose"

    with pytest.raises(
        ContractBreach, match=r"cached must be the role of a part: got 'nose', expected one of \['eyes'\]"
    ):
        check_component(Noseless())
