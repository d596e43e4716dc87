"""The contract checks find every breach."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from retbench.contracts import (
    Ball,
    Batch,
    Component,
    Context,
    Facts,
    Hasher,
    ImageFile,
    Knowledge,
    Noise,
    Part,
    State,
    TrainingData,
)
from retbench.contracts.facts import Split
from retbench.errors import ContractBreach
from retbench.testing import (
    ToyAttack,
    ToyDataset,
    ToyDecisionAttack,
    ToyHardening,
    ToyHasher,
    ToyPurifier,
    ToyScoreAttack,
    check_component,
)
from retbench.testing.toys import (
    FaultyAttack,
    FaultyPurifier,
    ToyBackbone,
    ToyCached,
    ToyCachedNetwork,
    ToyNetwork,
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
        ToyScoreAttack(),
        ToyDecisionAttack(eps=0.6),
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


@lru_cache(maxsize=8)
def keep(split: Split, name: str) -> Any:
    """Return what a dataset keeps and returns again."""
    toy = ToyDataset()
    rows = range(toy.facts().sizes[split])
    kept = {"labels": toy.labels(split), "images": toy.images(split, rows), "texts": toy.texts(split, rows)}
    return {**kept, "ids": list(toy.ids(split))}[name]


class KeepingDataset(ToyDataset):
    """Returns the tensors or lists that it keeps."""

    kept: str = Field("labels", description="what it keeps")

    def ids(self, split: Split) -> Sequence[str]:
        return keep(split, "ids") if self.kept == "ids" else super().ids(split)

    def labels(self, split: Split) -> Tensor:
        return keep(split, "labels") if self.kept == "labels" else super().labels(split)

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        contiguous = list(rows) == list(range(len(rows)))
        return (
            keep(split, "images")[: len(rows)] if self.kept == "images" and contiguous else super().images(split, rows)
        )

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        return keep(split, "texts")[: len(rows)] if self.kept == "texts" else super().texts(split, rows)


@pytest.mark.parametrize("kept", ["ids", "labels", "images", "texts"])
def test_a_dataset_that_returns_what_it_keeps_is_found(kept: str) -> None:
    keep.cache_clear()
    with pytest.raises(ContractBreach, match=f"train: {kept} change if a caller changes a (list|tensor) that it got"):
        check_component(KeepingDataset(kept=kept))


class WrongDataset(ToyDataset):
    """Returns labels, images or texts of a wrong kind."""

    wrong: str = Field("labels", description="what is wrong")

    def labels(self, split: Split) -> Tensor:
        return super().labels(split) * (2 if self.wrong == "labels" else 1)

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        images = ToyDataset().images(split, rows)
        return images / 255 if self.wrong == "images" else images

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        texts = ToyDataset().texts(split, rows)
        return texts.double() if self.wrong == "texts" else texts


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("labels", "wrong labels of train: got the value 2, expected 0 or 1"),
        ("images", "wrong dtype of images of train: got torch.float32"),
        ("texts", "wrong dtype of texts of train: got torch.float64"),
    ],
)
def test_a_dataset_with_wrong_values_is_found(wrong: str, problem: str) -> None:
    with pytest.raises(ContractBreach, match=problem):
        check_component(WrongDataset(wrong=wrong))


class EditingNetwork(ToyNetwork):
    """Edits images that an attack perturbs."""

    def image(self, images: Tensor) -> Tensor:
        return super().image(images.mul_(0.5) if images.requires_grad and not images.is_leaf else images)


class EditingInAttacks(ToyHasher):
    """Edits images that an attack perturbs."""

    def network(self, state: State, device: torch.device) -> ToyNetwork:
        return EditingNetwork(state).to(device)


class EditingPurifier(ToyPurifier):
    """Edits images that an attack perturbs."""

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return super().purify(
            images.mul_(0.5) if images.requires_grad and not images.is_leaf else images, module, noise
        )


class EditingLoss(ToyHasher):
    """Edits the labels of the training split in its loss."""

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        loss = super().loss(outputs, labels, rows, memory)
        labels.zero_()
        return loss


class EditingFeatures(ToyCachedNetwork):
    """Edits the features that it encodes."""

    def from_features(self, features: Tensor) -> Tensor:
        return super().from_features(features.add_(1))


class EditingCached(ToyCached):
    """Edits the features that it encodes."""

    def network(self, state: State, device: torch.device) -> ToyNetwork:
        return EditingFeatures(state).to(device)


class EditingModule(nn.Module):
    """Edits the images whose features it computes."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mul_(0.5).mean(dim=(2, 3))


class EditingBackbone(ToyBackbone):
    """Edits the images whose features it computes."""

    def module(self, state: State, device: torch.device) -> nn.Module:
        return EditingModule().eval()


class EditingCachedPart(ToyCached):
    """Has a part that edits the images whose features it computes."""

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"backbone": EditingBackbone()}


@pytest.mark.parametrize(
    ("component", "changed"),
    [
        (EditingInAttacks(), "the images"),
        (EditingPurifier(), "the images"),
        (EditingLoss(), "the labels"),
        (EditingCached(), "the features"),
        (EditingCachedPart(), "the images"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Component) else "",
)
def test_a_component_that_changes_what_it_is_given_is_found_in_every_use(component: Component, changed: str) -> None:
    with pytest.raises(ContractBreach, match=f"it changed {changed} in place"):
        check_component(component)


class TwoFiles(ToyDataset):
    """Has another file for the same image in each split."""

    def ids(self, split: Split) -> Sequence[str]:
        return ["toy-twin", "toy-twin", *super().ids(split)[2:]] if split == "train" else super().ids(split)

    def image_files(self, split: Split) -> list[ImageFile]:
        return [ImageFile(str(row), None) for row in range(len(self.ids(split)))]


def test_an_image_with_two_files_is_found() -> None:
    with pytest.raises(ContractBreach, match=r"train: image_files: toy-twin has two files: got .*'0'.* and .*'1'"):
        check_component(TwoFiles())


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


class GradientThief(ToyDecisionAttack):
    """Breaks the access of a black-box attack; its option selects how."""

    name: ClassVar[str] = "thief"
    learns: ClassVar[bool] = True

    theft: str = Field("gradient", description="how it breaks its access")

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        if self.theft == "fit":
            knowledge.network.image(torch.zeros(1, 3, 32, 32))
        return {}

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        network, images = knowledge.network, batch.images
        if self.theft == "gradient" and len(images):
            pixels = images.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(network.image(pixels).sum(), pixels)
            return (images + self.eps * gradient.sign()).clamp(0, 1)
        if self.theft == "parameters":
            return images + 0 * next(network.parameters()).sum()
        for _ in range(self.query_budget + 1 if self.theft == "budget" else 1):
            network.image(images)
        if self.theft == "batch":
            knowledge.queried.query(images[:1], torch.zeros(len(images[:1]), dtype=torch.int64))
        return images


@pytest.mark.parametrize("access", ["score", "decision"])
@pytest.mark.parametrize(
    ("theft", "problem"),
    [
        ("gradient", "it queried images that require gradients: access {access} has none"),
        ("parameters", "it used network.parameters: got access {access}"),
        ("budget", "it used 21 queries for query toy-query-0: expected at most query_budget=20"),
        ("fit", "it queried the network in fit: got access {access}"),
        ("batch", "queries must not depend on the batch"),
    ],
)
def test_a_black_box_attack_that_breaks_its_access_is_found(access: str, theft: str, problem: str) -> None:
    class Thief(GradientThief):
        """Breaks the access."""

    Thief.access = access  # type: ignore[assignment]  # one of the two
    with pytest.raises(ContractBreach, match=problem.format(access=access)):
        check_component(Thief(theft=theft))


class Undeclared(ToyAttack):
    """Declares the access of a black-box attack, but is none."""

    access: ClassVar[Any] = "score"


def test_an_access_that_the_class_does_not_have_is_found() -> None:
    with pytest.raises(ContractBreach, match=r"access: got 'score', expected 'gradient'; an attack with 'score'"):
        check_component(Undeclared())
