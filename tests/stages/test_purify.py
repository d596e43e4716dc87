"""Purifying clean and attacked queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from retbench.contracts import Context, Noise, Purifier, State, TrainingData
from retbench.errors import ContractBreach
from retbench.plan import Plan
from retbench.stages import Load, Purify, Queries, StateKeys, draw_queries
from retbench.store import Store
from retbench.testing.toys import FaultyPurifier, ToyDataset, ToyPurifier

Planner = Callable[..., Plan]
TOY = ToyDataset()
QUERIES = draw_queries(TOY, 7)
STATES = StateKeys(parts={"mean": "mean"})
CLEAN = QUERIES.images(range(7), torch.device("cpu"))


class LearnedPurifier(Purifier):
    """Adds a learned offset, and records whether gradients are enabled."""

    name: ClassVar[str] = "learned"
    source: ClassVar[str] = "made for tests"
    learns: ClassVar[bool] = True
    gradients: ClassVar[list[bool]] = []

    def fit(self, data: TrainingData, ctx: Context) -> State:
        return {"offset": torch.rand(1, generator=ctx.noise.generator("offset"))}

    def module(self, state: State, device: torch.device) -> nn.Module:
        return nn.ParameterDict(state)

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        self.gradients.append(torch.is_grad_enabled())
        return (images + module.get_parameter("offset")).clamp(0, 1)


def make_step(purifier: Purifier, source: str | None = None, quantize: bool = False) -> Purify:
    return Purify(purifier, STATES, TOY.facts(), QUERIES, source, 5, quantize, "float32")


@pytest.fixture
def load(artifacts: Callable[..., Load]) -> Load:
    return artifacts(mean={"mean": torch.zeros(3)}, attacked={"images": CLEAN.flip(3) * 0.7})


def add_noise(ctx: Context, queries: Queries = QUERIES, batch_size: int = 64) -> Context:
    return replace(ctx, noise=Noise(5, queries.ids), batch_size=batch_size)


def purify_with_toy(images: Tensor, mean: Tensor, noise: Noise) -> Tensor:
    module = ToyPurifier().module({"mean/mean": mean}, torch.device("cpu"))
    return ToyPurifier().purify(images, module, noise)


def expected(images: Tensor) -> Tensor:
    return purify_with_toy(images, torch.zeros(3), Noise(5, QUERIES.ids))


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_purified_images_do_not_depend_on_the_batch_size(load: Load, ctx: Context, batch_size: int) -> None:
    images = make_step(ToyPurifier()).run(load, add_noise(ctx, batch_size=batch_size)).tensors["images"]
    assert torch.allclose(images, expected(CLEAN), rtol=0, atol=1e-6)
    assert not torch.allclose(images, CLEAN, atol=1e-3)


@pytest.mark.parametrize("batch_size", [2, 64])
def test_attacked_queries_are_purified_and_measured_against_the_clean_ones(
    load: Load, ctx: Context, batch_size: int
) -> None:
    tensors = make_step(ToyPurifier(), "attacked").run(load, add_noise(ctx, batch_size=batch_size)).tensors
    assert torch.allclose(tensors["images"], expected(load("attacked").tensors["images"]), rtol=0, atol=1e-6)
    difference = (tensors["images"].double() - CLEAN.double()).flatten(1)
    assert torch.allclose(tensors["mse"], difference.square().mean(1), rtol=1e-12)
    assert torch.allclose(tensors["linf"], difference.abs().amax(1), rtol=0, atol=1e-12)


def test_each_copy_has_its_own_noise_and_the_first_that_of_a_single_one() -> None:
    single, *copies = (replace(make_step(ToyPurifier()), copy=copy) for copy in range(3))
    drawn = [stage.noise(torch.device("cpu")).uniform("x", (4,)) for stage in (single, *copies)]
    assert torch.equal(drawn[0], make_step(ToyPurifier()).noise(torch.device("cpu")).uniform("x", (4,)))
    assert len({tuple(values.flatten().tolist()) for values in drawn}) == 3
    assert len({stage.key for stage in (single, *copies)}) == 3


def test_the_key_of_a_copy_does_not_depend_on_the_number_of_copies() -> None:
    assert make_step(ToyPurifier(copies=5, vote="majority")).key == make_step(ToyPurifier()).key


def test_the_noise_of_a_step_depends_on_seed_and_query_ids() -> None:
    noise = make_step(ToyPurifier()).noise(torch.device("cpu"))
    assert torch.equal(noise.uniform("x", (2,)), Noise(5, QUERIES.ids).uniform("x", (2,)))


def test_quantized_images_have_8_bit_values(load: Load, ctx: Context) -> None:
    images = make_step(ToyPurifier(), quantize=True).run(load, add_noise(ctx)).tensors["images"]
    assert torch.equal(images, (expected(CLEAN) * 255).round() / 255)


@pytest.mark.parametrize("fault", ["nan", "shape", "dtype", "range", "type"])
def test_a_faulty_purifier_is_a_contract_breach(load: Load, ctx: Context, fault: str) -> None:
    with pytest.raises(ContractBreach, match=r"defense faulty \(package retbench\)"):
        make_step(FaultyPurifier.create({"fault": fault})).run(load, add_noise(ctx))


def test_no_queries_give_no_images(load: Load, ctx: Context) -> None:
    empty = Queries(TOY, (), ())
    stage = Purify(ToyPurifier(), STATES, TOY.facts(), empty, None, 0, False, "float32")
    assert stage.run(load, add_noise(ctx, empty)).tensors["images"].shape == (0, 3, 12, 12)


def test_a_purifier_is_fitted_once_and_runs_without_gradients(
    toy_plan: Planner, store: Store, score_plan: Callable[[Plan], list[object]]
) -> None:
    LearnedPurifier.gradients.clear()
    plan = toy_plan({"bits": [8, 16], "attack": ["none", "toy"], "defense": "learned"}, LearnedPurifier)
    score_plan(plan)
    (fit,) = (key for key, step in plan.steps.items() if step.name == "fit_defense")
    clean = store.get(plan.cells[0].purified[0]).tensors["images"]
    images = ToyDataset().images("query", draw_queries(TOY, "all").rows).float() / 255
    assert torch.equal(clean, (images + store.get(fit).tensors["offset"]).clamp(0, 1))
    assert LearnedPurifier.gradients == [False] * 3


def test_purifiers_in_a_row_purify_the_images_of_the_one_before(
    toy_plan: Planner, store: Store, score_plan: Callable[[Plan], list[object]]
) -> None:
    plan = toy_plan({"defense": [["learned", "toy"]], "attack": "toy"}, LearnedPurifier)
    score_plan(plan)
    (cell,) = plan.cells
    attacked, first, second = (store.get(key).tensors["images"] for key in (*cell.attacked, *cell.purified))
    fits = {step.name: store.get(key).tensors for key, step in plan.steps.items() if step.name.startswith("fit_")}
    assert torch.equal(first, (attacked + fits["fit_defense"]["offset"]).clamp(0, 1))
    noise = Noise(0, draw_queries(TOY, "all").ids).at_position(1)
    assert torch.allclose(second, purify_with_toy(first, fits["fit_part"]["mean"], noise))
