"""The contract checks find every breach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from retbench.contracts import Ball, Batch, Component, Context, Hasher, Knowledge, Noise, State, TrainingData
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
from retbench.testing.toys import (
    FaultyAttack,
    FaultyPurifier,
    ToyBackbone,
    ToyCached,
    ToyPart,
    ToyPrototype,
    ToyUntargeted,
)


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
        ToyBackbone(),
        ToyPrototype(),
    ],
    ids=str,
)
def test_toys_keep_their_contracts(component: Component) -> None:
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
    """Depends on the size of the batch."""

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        images = super().perturb(knowledge, batch, module, noise)
        return batch.images + (images - batch.images) / max(len(images), 1)


class TamperingAttack(ToyAttack):
    """Changes the network that it attacks."""

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        with torch.no_grad():
            next(knowledge.network.parameters()).add_(1.0)
        return batch.images


class DetachingPurifier(ToyPurifier):
    """Declares itself differentiable, and passes no gradient."""

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return super().purify(images.detach(), module, noise).requires_grad_(images.requires_grad)


class RandomPurifier(ToyPurifier):
    """Draws noise from the global generator."""

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return (super().purify(images, module, noise) + 0.1 * torch.rand_like(images)).clamp(0, 1)


class IrreproducibleHasher(ToyHasher):
    """Trains other weights at every fit."""

    calls: ClassVar[list[int]] = []

    def fit(self, data: TrainingData, ctx: Context) -> State:
        self.calls.append(1)
        state = super().fit(data, ctx)
        return {**state, "mean": state["mean"] + len(self.calls)}


class DividingHasher(ToyHasher):
    """Divides by the number of labels of an item, which may be 0."""

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
    ("component", "problem"),
    [
        (BatchAttack(), "must not depend on the batch"),
        (TamperingAttack(), "it changed the weights of the attacked network in place"),
        (DetachingPurifier(), "no gradient"),
        (RandomPurifier(), "the same noise must give the same images"),
        (IrreproducibleHasher(), "the same fit must give the same weights"),
        (DividingHasher(), "finite"),
        (GrowingHardening(), "names and shapes"),
        (LeakyDataset(), "a query must not be in the database"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Component) else "",
)
def test_each_breach_is_reported(component: Component, problem: str) -> None:
    with pytest.raises(ContractBreach, match=problem):
        check_component(component)


def test_an_option_without_a_description_is_a_breach() -> None:
    class UndescribedAttack(ToyAttack):
        """Has an option without a description."""

        power: int = 1

    with pytest.raises(ContractBreach, match="option power must have a description"):
        check_component(UndescribedAttack())


class IrreproduciblePart(ToyPart):
    """Trains other weights at every fit."""

    name: ClassVar[str] = "irreproducible"
    fits: ClassVar[list[int]] = []

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        self.fits.append(0)
        return {"mean": torch.full((3,), float(len(self.fits)))}


class TrainingPart(ToyPart):
    """Returns a module in training mode."""

    name: ClassVar[str] = "training"

    def module(self, state: State, device: torch.device) -> nn.Module:
        return super().module(state, device).train()


class UnfrozenPart(ToyPrototype):
    """Returns a module that is not frozen."""

    name: ClassVar[str] = "unfrozen"

    def module(self, state: State, device: torch.device) -> nn.Module:
        return super().module(state, device).requires_grad_(True)


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (IrreproduciblePart(), "part irreproducible: the same fit must give the same weights"),
        (TrainingPart(), "part training: its module must be in eval mode"),
        (UnfrozenPart(), "part unfrozen: its module must be frozen"),
    ],
    ids=str,
)
def test_a_part_that_breaks_its_contract_is_found(part: Component, problem: str) -> None:
    with pytest.raises(ContractBreach, match=problem):
        check_component(part)


def test_an_unknown_cached_role_is_found() -> None:
    class UnknownRoleHasher(ToyCached):
        """Names a role that it has no part for."""

        cached: ClassVar[str | None] = "head"

    with pytest.raises(
        ContractBreach, match=r"cached must be the role of a part: got 'head', expected one of backbone"
    ):
        check_component(UnknownRoleHasher())


class GrayLevels(ToyAttack):
    """Declares its radius in gray levels."""

    @property
    def ball(self) -> Ball:
        return Ball("linf", 8)


class Aimless(ToyAttack):
    """Has an unknown goal."""

    @property
    def goal(self) -> Any:
        return "target"


class Demanding(ToyAttack):
    """Needs what no threat model grants."""

    needs: ClassVar[Any] = frozenset({"query_labels"})


class Misspelled(ToyPurifier):
    """Misspells a class attribute."""

    diferentiable: ClassVar[bool] = False


class Unversioned(ToyHardening):
    """Has no revision."""

    revision: ClassVar[int] = 0


class Growing(ToyHasher):
    """Has an option that can change after planning."""

    widths: list[int] = Field([1], description="widths of the layers")


class Remembering(ToyDataset):
    """Keeps what it computed."""

    def labels(self, split: Split) -> Tensor:
        vars(self)["last"] = super().labels(split)
        return super().labels(split)


class Rootless(ToyCached):
    """Caches the features of a part that it does not have."""

    cached: ClassVar[str | None] = "backbones"


class Undefined(ToyPart):
    """Has no name."""

    name: ClassVar[str] = ""


@pytest.mark.parametrize(
    ("component", "problem"),
    [
        (GrayLevels(), r"ball: wrong eps: got 8, expected a number in \(0, 1\]"),
        (Aimless(), "goal: unknown goal: got 'target', expected one of .*; nearest: targeted"),
        (Demanding(), r"Demanding\.needs: got 'query_labels', expected one of"),
        (Misspelled(), r"Misspelled\.diferentiable: unknown to retbench: nearest: differentiable"),
        (Unversioned(), r"Unversioned\.revision: got 0, expected an integer of 1 or more"),
        (Growing.model_construct(widths=[1], gain=1.0), r"Growing\.widths: not the type of an option: got list\[int\]"),
        (Remembering(), "last: got state that is no option"),
        (Rootless(), "cached must be the role of a part: got 'backbones', expected one of backbone; nearest: backbone"),
        (Undefined(), r"Undefined\.name: got '', expected lower-case words"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Component) else "",
)
def test_a_wrong_declaration_of_every_kind_is_found(component: Component, problem: str) -> None:
    with pytest.raises(ContractBreach, match=problem):
        check_component(component)
