"""Stored features of clean images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from retbench.contracts import Context, Facts, Noise, Part, State, TrainingData
from retbench.errors import ContractBreach
from retbench.execute import LocalExecutor
from retbench.metrics import unpack
from retbench.plan import Plan
from retbench.stages import ComputeFeatures, EncodeSplit, Load, StateKeys, shard_rows
from retbench.stages import features as features_module
from retbench.store import Store
from retbench.testing.toys import ToyBackbone, ToyCached, ToyDataset

Planner = Callable[..., Plan]
CPU = torch.device("cpu")
TOY = ToyDataset()


class CountingBackbone(ToyBackbone):
    """Counts the images of every batch."""

    name: ClassVar[str] = "counting"
    batches: ClassVar[list[int]] = []

    def module(self, state: State, device: torch.device) -> nn.Module:
        backbone = super().module(state, device)
        backbone.register_forward_pre_hook(lambda module, images: self.batches.append(len(images[0])))
        return backbone


class FirstHasher(ToyCached):
    name: ClassVar[str] = "first"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"backbone": CountingBackbone()}


class SecondHasher(FirstHasher):
    name: ClassVar[str] = "second"


class StubBackbone(ToyBackbone):
    name: ClassVar[str] = "stub"
    compute_features: ClassVar[Callable[[Tensor], Any]]

    def module(self, state: State, device: torch.device) -> nn.Module:
        module = nn.Module()
        module.forward = type(self).compute_features  # type: ignore[method-assign]  # the features of the test
        return module


def compute(part: Part, rows: tuple[int, int], load: Load, batch: int = 64) -> Tensor:
    stage = ComputeFeatures(part, StateKeys("state"), TOY, TOY.facts(), "database", rows, "float32")
    return stage.run(load, Context(CPU, "float32", Noise(0, ()), batch_size=batch)).tensors["features"]


@pytest.fixture
def load(artifacts: Callable[..., Load]) -> Load:
    return artifacts(state={})


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_features_are_those_of_the_images_in_the_shard(load: Load, batch: int) -> None:
    expected = TOY.images("database", range(5, 12)).float().div(255).mean(dim=(2, 3))
    assert torch.allclose(compute(ToyBackbone(), (5, 12), load, batch), expected, atol=1e-6)


def test_shards_have_every_row_once() -> None:
    assert list(shard_rows(0)) == []
    assert list(shard_rows(4096)) == [(0, 4096)]
    assert list(shard_rows(9000)) == [(0, 4096), (4096, 8192), (8192, 9000)]


@pytest.mark.parametrize(
    ("compute_features", "problem"),
    [
        (lambda images: images, r"wrong shape of features: got \(2, 3, 12, 12\), expected \(2, any\)"),
        (lambda images: images.mean((2, 3))[:1], r"got \(1, 3\), expected \(2, any\)"),
        (lambda images: None, "got NoneType"),
        (lambda images: images.mean((2, 3)) / 0, "NaN or infinity"),
    ],
    ids=["images", "missing rows", "nothing", "infinite"],
)
def test_invalid_features_are_a_contract_breach(
    load: Load, monkeypatch: pytest.MonkeyPatch, compute_features: Callable[[Tensor], Any], problem: str
) -> None:
    monkeypatch.setattr(StubBackbone, "compute_features", staticmethod(compute_features), raising=False)
    with pytest.raises(ContractBreach, match=problem):
        compute(StubBackbone(), (0, 2), load)


def test_hashers_with_the_same_part_share_its_features(
    toy_plan: Planner, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "SHARD_SIZE", 16)
    CountingBackbone.batches.clear()
    plan = toy_plan(
        {"hasher": ["first", "second"], "bits": [8, 16], "attack": ["none", "toy"]}, FirstHasher, SecondHasher
    )
    assert plan.counts()["features"] == 2 + 3  # 20 training rows and 40 database rows in shards of 16
    assert executor.run(plan).failures == {}
    clean = TOY.facts().sizes["train"] + TOY.facts().sizes["database"]
    assert sum(CountingBackbone.batches) == clean


def test_codes_from_stored_features_equal_those_from_images(
    toy_plan: Planner, executor: LocalExecutor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "SHARD_SIZE", 16)
    plan = toy_plan({"hasher": "toy-cached", "bits": 16})
    assert executor.run(plan).failures == {}
    ((key, step),) = ((key, step) for key, step in plan.steps.items() if isinstance(step, EncodeSplit))
    assert step.features
    network = step.victim.network(store.get, CPU)
    logits = network.image(TOY.images("database", range(40)).float() / 255)
    certain = logits.abs() > 1e-4
    assert torch.equal(
        unpack(store.get(key).tensors["codes"], 16)[certain], torch.where(logits >= 0, 1, -1)[certain].char()
    )


def test_a_hardened_hasher_is_encoded_from_images(toy_plan: Planner) -> None:
    plan = toy_plan({"hasher": "toy-cached", "defense": ["none", "toy-hardening"]})
    encoded = [step for step in plan.steps.values() if isinstance(step, EncodeSplit)]
    assert sorted(bool(step.features) for step in encoded) == [False, True]


def test_texts_need_no_features(toy_plan: Planner) -> None:
    plan = toy_plan({"hasher": "toy-cached", "task": "i2t"})
    assert {step.split for step in plan.steps.values() if isinstance(step, ComputeFeatures)} == {"train"}


def test_training_features_are_read_across_shards_in_the_order_of_the_rows() -> None:
    table = torch.randn(10, 3)
    data = TrainingData(TOY, TOY.facts(), CPU, (table[:4], table[4:9], table[9:]))
    assert torch.equal(data.features([9, 0, 4, 3, 4]), table[[9, 0, 4, 3, 4]])
    assert data.features([]).shape == (0, 3)


def test_features_without_a_cached_part_are_an_error() -> None:
    with pytest.raises(LookupError, match="no stored features: the fitted hasher declares no `cached` part"):
        TrainingData(TOY, TOY.facts(), CPU).features([0])


class UnknownRoleHasher(ToyCached):
    name: ClassVar[str] = "unknown-role"
    cached: ClassVar[str | None] = "head"


def test_an_unknown_cached_role_stops_the_plan(toy_plan: Planner) -> None:
    with pytest.raises(ContractBreach, match=r"hasher unknown-role.*cached must be the role of a part: got 'head'"):
        toy_plan({"hasher": "unknown-role"}, UnknownRoleHasher)


class RoundingBackbone(ToyBackbone):
    """Rounds its features to eighths under autocast only."""

    name: ClassVar[str] = "rounding"

    def module(self, state: State, device: torch.device) -> nn.Module:
        backbone = super().module(state, device)

        def round_features(module: nn.Module, images: Any, features: Tensor) -> Tensor:
            return (features * 8).round() / 8 if torch.is_autocast_enabled("cpu") else features

        backbone.register_forward_hook(round_features)
        return backbone


class CoarseHasher(ToyCached):
    """Has a part whose features are rounded under autocast."""

    name: ClassVar[str] = "coarse"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"backbone": RoundingBackbone()}


def test_float32_agreement_of_stored_features_is_measured_from_images(
    toy_plan: Planner, executor: LocalExecutor, store: Store
) -> None:
    plan = toy_plan({"hasher": "coarse", "bits": 16}, CoarseHasher, precision="bf16")
    assert executor.run(plan).failures == {}
    ((key, step),) = ((key, step) for key, step in plan.steps.items() if isinstance(step, EncodeSplit))
    network = step.victim.network(store.get, CPU)
    logits = network.image(TOY.images("database", range(40)).float() / 255)
    codes = unpack(store.get(key).tensors["codes"], 16)
    agreement = float((codes == torch.where(logits >= 0, 1, -1)).float().mean())
    assert store.summary(key)["float32_agreement"] == pytest.approx(agreement, abs=1e-6)
    assert agreement < 1


def test_progress_counts_the_rows_of_all_shards(
    toy_plan: Planner, executor: LocalExecutor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "SHARD_SIZE", 16)
    plan = toy_plan({"hasher": "toy-cached", "bits": 16})
    assert executor.run(plan).failures == {}
    (step,) = (step for step in plan.steps.values() if isinstance(step, EncodeSplit))
    reports: list[tuple[int, int]] = []
    step.run(store.get, Context(CPU, "float32", Noise(0, ()), batch_size=10, progress=lambda *at: reports.append(at)))
    assert reports == [(10, 40), (16, 40), (26, 40), (32, 40), (40, 40)]


class TrainingBackbone(ToyBackbone):
    """Returns a module in training mode, whose features depend on the batch."""

    def module(self, state: State, device: torch.device) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(3), super().module(state, device)).train()


def test_a_part_in_training_mode_does_not_make_features_depend_on_the_batch(load: Load) -> None:
    together, alone = compute(TrainingBackbone(), (0, 6), load), compute(TrainingBackbone(), (0, 6), load, batch=1)
    assert torch.allclose(together, alone, atol=1e-6)
