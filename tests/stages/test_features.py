"""What a hasher starts from, computed once and stored."""

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
from retbench.stages import ComputeFeatures, EncodeSplit, Load, States, shard_rows
from retbench.stages import features as stage_file
from retbench.store import Store
from retbench.testing.toys import ToyCached, ToyDataset, ToyEyes

Planner = Callable[..., Plan]
CPU = torch.device("cpu")
TOY = ToyDataset()


class Counting(ToyEyes):
    """Counts the pictures that it is asked for."""

    name: ClassVar[str] = "counting"
    asked: ClassVar[list[int]] = []

    def module(self, state: State, device: torch.device) -> nn.Module:
        eyes = super().module(state, device)
        eyes.register_forward_pre_hook(lambda module, images: self.asked.append(len(images[0])))
        return eyes


class First(ToyCached):
    name: ClassVar[str] = "first"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"eyes": Counting()}


class Second(First):
    name: ClassVar[str] = "second"


class Blind(ToyEyes):
    name: ClassVar[str] = "blind"
    answer: ClassVar[Callable[[Tensor], Any]]

    def module(self, state: State, device: torch.device) -> nn.Module:
        module = nn.Module()
        module.forward = type(self).answer  # type: ignore[method-assign]  # what the test wants it to say
        return module


def compute(part: Part, rows: tuple[int, int], load: Load, batch: int = 64) -> Tensor:
    stage = ComputeFeatures(part, States("state"), TOY, TOY.facts(), "database", rows, "float32")
    return stage.run(load, Context(CPU, "float32", Noise(0, ()), batch_size=batch)).tensors["features"]


@pytest.fixture
def load(artifacts: Callable[..., Load]) -> Load:
    return artifacts(state={})


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_the_rows_of_a_shard_are_what_the_part_makes_of_the_images(load: Load, batch: int) -> None:
    expected = TOY.images("database", range(5, 12)).float().div(255).mean(dim=(2, 3))
    assert torch.allclose(compute(ToyEyes(), (5, 12), load, batch), expected, atol=1e-6)


def test_shards_hold_every_row_once() -> None:
    assert list(shard_rows(0)) == []
    assert list(shard_rows(4096)) == [(0, 4096)]
    assert list(shard_rows(9000)) == [(0, 4096), (4096, 8192), (8192, 9000)]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda images: images, r"wrong shape of features: got \(2, 3, 12, 12\), expected \(2, F\)"),
        (lambda images: images.mean((2, 3))[:1], r"got \(1, 3\), expected \(2, F\)"),
        (lambda images: None, "got NoneType"),
        (lambda images: images.mean((2, 3)) / 0, "NaN or infinity"),
    ],
    ids=["pictures", "rows lost", "nothing", "infinite"],
)
def test_features_that_are_none_are_a_breach(
    load: Load, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Tensor], Any], problem: str
) -> None:
    monkeypatch.setattr(Blind, "answer", staticmethod(answer), raising=False)
    with pytest.raises(ContractBreach, match=problem):
        compute(Blind(), (0, 2), load)


def test_every_hasher_above_a_part_shares_its_features(
    toy_plan: Planner, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_file, "ROWS", 16)
    Counting.asked.clear()
    plan = toy_plan({"hasher": ["first", "second"], "bits": [8, 16], "attack": ["none", "toy"]}, First, Second)
    assert plan.counts()["features"] == 2 + 3  # 20 training rows and 40 of the database, 16 at a time
    assert executor.run(plan).failures == {}
    clean = TOY.facts().sizes["train"] + TOY.facts().sizes["database"]
    assert sum(Counting.asked) == clean


def test_codes_from_stored_features_are_those_of_the_images(
    toy_plan: Planner, executor: LocalExecutor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_file, "ROWS", 16)
    plan = toy_plan({"hasher": "toy-cached", "bits": 16})
    assert executor.run(plan).failures == {}
    ((key, step),) = ((key, step) for key, step in plan.steps.items() if isinstance(step, EncodeSplit))
    assert step.features
    network = step.victim.network(store.get, CPU)
    logits = network.image(TOY.images("database", range(40)).float() / 255)
    sure = logits.abs() > 1e-4
    assert torch.equal(unpack(store.get(key).tensors["codes"], 16)[sure], torch.where(logits >= 0, 1, -1)[sure].char())


def test_a_hardened_hasher_is_encoded_from_images(toy_plan: Planner) -> None:
    plan = toy_plan({"hasher": "toy-cached", "defense": ["none", "toy-hardening"]})
    encoded = [step for step in plan.steps.values() if isinstance(step, EncodeSplit)]
    assert sorted(bool(step.features) for step in encoded) == [False, True]


def test_texts_need_no_features(toy_plan: Planner) -> None:
    plan = toy_plan({"hasher": "toy-cached", "task": "i2t"})
    assert {step.split for step in plan.steps.values() if isinstance(step, ComputeFeatures)} == {"train"}


def test_training_features_are_gathered_over_shards_in_the_order_of_the_rows() -> None:
    table = torch.randn(10, 3)
    data = TrainingData(TOY, TOY.facts(), CPU, (table[:4], table[4:9], table[9:]))
    assert torch.equal(data.features([9, 0, 4, 3, 4]), table[[9, 0, 4, 3, 4]])
    assert data.features([]).shape == (0, 3)


def test_features_that_nobody_declared_are_an_error() -> None:
    with pytest.raises(LookupError, match="no stored features: the fitted hasher declares no `cached` part"):
        TrainingData(TOY, TOY.facts(), CPU).features([0])


class Noseless(ToyCached):
    name: ClassVar[str] = "noseless"
    cached: ClassVar[str | None] = "nose"


def test_a_role_that_is_no_part_stops_the_plan(toy_plan: Planner) -> None:
    with pytest.raises(ContractBreach, match=r"hasher noseless.*cached must be the role of a part: got 'nose'"):
        toy_plan({"hasher": "noseless"}, Noseless)


class Rounded(ToyEyes):
    """Colors in steps of an eighth, in bf16 alone."""

    name: ClassVar[str] = "rounded"

    def module(self, state: State, device: torch.device) -> nn.Module:
        eyes = super().module(state, device)

        def rounded(module: nn.Module, images: Any, colors: Tensor) -> Tensor:
            return (colors * 8).round() / 8 if torch.is_autocast_enabled("cpu") else colors

        eyes.register_forward_hook(rounded)
        return eyes


class Coarse(ToyCached):
    name: ClassVar[str] = "coarse"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"eyes": Rounded()}


def test_codes_from_stored_features_are_compared_with_those_of_float32_images(
    toy_plan: Planner, executor: LocalExecutor, store: Store
) -> None:
    plan = toy_plan({"hasher": "coarse", "bits": 16}, Coarse, precision="bf16")
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
    monkeypatch.setattr(stage_file, "ROWS", 16)
    plan = toy_plan({"hasher": "toy-cached", "bits": 16})
    assert executor.run(plan).failures == {}
    (step,) = (step for step in plan.steps.values() if isinstance(step, EncodeSplit))
    told: list[tuple[int, int]] = []
    step.run(store.get, Context(CPU, "float32", Noise(0, ()), batch_size=10, progress=lambda *at: told.append(at)))
    assert told == [(10, 40), (16, 40), (26, 40), (32, 40), (40, 40)]
