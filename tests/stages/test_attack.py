"""What an attacker is told, and what the core keeps of what it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from retbench.contracts import Batch, Context, Facts, Knowledge, Noise, Part, Purifier, State, relax
from retbench.contracts.attack import Need
from retbench.execute import FailureKind, LocalExecutor
from retbench.metrics import unpack
from retbench.plan import GRANTED_SPLITS, Plan
from retbench.stages import Score
from retbench.stages.attack import Guarded
from retbench.store import Artifact, Store
from retbench.testing.toys import ToyAttack, ToyDataset, ToyNetwork, ToyPart

Planner = Callable[..., Plan]
CPU = torch.device("cpu")


class Nosy(ToyAttack):
    """Asks for more than it declares."""

    name: ClassVar[str] = "nosy"
    needs: ClassVar[frozenset[Need]] = frozenset({"database_labels"})


class Informed(ToyAttack):
    """Keeps what it was told for the test to see."""

    name: ClassVar[str] = "informed"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes", "database_labels", "database_codes"})
    told: ClassVar[list[tuple[Knowledge, Batch]]] = []

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        self.told.append((knowledge, batch))
        return super().perturb(knowledge, batch, module, noise)


class Learned(ToyAttack):
    """Learns a shift, owns a part, and adds noise: everything that may differ between batches."""

    name: ClassVar[str] = "learned"
    learns: ClassVar[bool] = True

    broken: bool = False
    given: ClassVar[list[State]] = []

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"mean": ToyPart()}

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        shift = torch.rand(3, generator=ctx.noise.generator("shift")) * ctx.parts["mean"]["mean"]
        return {"shift": shift / 0 if self.broken else shift}

    def module(self, state: State, device: torch.device) -> nn.Module:
        self.given.append(state)
        return nn.ParameterDict({"shift": state["shift"] * state["mean/mean"]})

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        shift = 0.05 * module.get_parameter("shift")
        jitter = 0.02 * noise.uniform("jitter", tuple(batch.images.shape[1:]))
        moved = super().perturb(knowledge, batch, module, noise)
        return (moved + (batch.images - moved) / 2 + shift[None, :, None, None] + jitter).clamp(0, 1)


class Turning(Purifier):
    """Swaps the colors, so that whoever does not see it pushes the wrong one."""

    name: ClassVar[str] = "turning"
    source: ClassVar[str] = "made for tests"

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return (images.roll(1, dims=1) + 0.01 * noise.normal("jitter", tuple(images.shape[1:]))).clamp(0, 1)


def attacked(plan: Plan, store: Store, executor: LocalExecutor) -> dict[str, Tensor]:
    """The attacked images, and their measures, of a plan's only cell."""
    assert executor.run(plan).failures == {}
    shards = [store.get(key).tensors for key in plan.cells[0].attacked]
    return {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}


def artifact(plan: Plan, store: Store, stage: str, **recipe: Any) -> Artifact:
    """The artifact of the only step of a stage whose recipe holds these fields."""
    (key,) = (
        key
        for key, step in plan.steps.items()
        if step.name == stage and recipe.items() <= {name: step.recipe().get(name) for name in recipe}.items()
    )
    return store.get(key)


def clean(plan: Plan) -> Tensor:
    (rows,) = {step.queries.rows for step in plan.steps.values() if isinstance(step, Score)}
    return ToyDataset().images("query", rows).float() / 255


def test_knowledge_that_was_not_declared_is_refused(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "nosy"}, Nosy)
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert failure.kind is FailureKind.PLUGIN
    assert "undeclared need: got database_codes" in failure.reason


def test_what_was_declared_is_granted_and_of_the_attacked_hasher(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    Informed.told.clear()
    plan, toy = toy_plan({"attack": "informed"}, Informed), ToyDataset()
    attacked(plan, store, executor)
    ((knowledge, batch),) = Informed.told
    assert torch.equal(knowledge.grant("database_labels"), toy.labels("database"))
    for need, split in GRANTED_SPLITS.items():
        codes = artifact(plan, store, "encode", split=split).tensors["codes"]
        assert torch.equal(knowledge.grant(need), unpack(codes, 8))
    assert torch.equal(knowledge.training.labels, toy.labels("train"))
    targets = artifact(plan, store, "targets").tensors
    rows = [list(toy.ids("query")).index(name) for name in batch.ids]
    assert torch.equal(batch.images, clean(plan))
    assert torch.equal(batch.labels, toy.labels("query")[rows])
    assert torch.equal(batch.target_labels, targets["labels"][rows])
    assert torch.equal(batch.target_rows, targets["rows"][rows])


def test_the_network_it_sees_is_frozen(toy_plan: Planner, store: Store, executor: LocalExecutor) -> None:
    Informed.told.clear()
    attacked(toy_plan({"attack": "informed"}, Informed), store, executor)
    network = Informed.told[0][0].network
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


def test_nothing_is_handed_out_unasked(
    toy_plan: Planner, store: Store, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    Informed.told.clear()
    monkeypatch.setattr(Informed, "needs", ToyAttack.needs)
    attacked(toy_plan({"attack": "informed"}, Informed), store, executor)
    knowledge, _ = Informed.told[0]
    assert knowledge.data is None
    assert knowledge.grants.keys() == {"database_codes"}


def test_the_saved_images_are_those_measured_and_encoded(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({"attack": "toy"})
    saved, queries = attacked(plan, store, executor), clean(plan)
    difference = (saved["images"].double() - queries.double()).flatten(1)
    assert torch.allclose(saved["linf"], difference.abs().amax(1), rtol=0, atol=1e-12)
    assert torch.allclose(saved["l2"], difference.norm(dim=1), rtol=1e-12)
    assert torch.allclose(saved["mse"], difference.square().mean(1), rtol=1e-12)
    assert 0.19 < float(saved["linf"].max()) <= 0.2 + 1e-6
    facts = store.summary(plan.cells[0].attacked[0])
    assert facts["largest_linf"] == float(saved["linf"].max())
    weights = artifact(plan, store, "fit").tensors
    logits = ToyNetwork(dict(weights)).image(saved["images"])
    codes = artifact(plan, store, "encode", draws=[list(plan.cells[0].attacked)]).tensors["codes"]
    assert torch.equal(unpack(codes, 8) > 0, logits >= 0)


@pytest.mark.parametrize(("batch_size", "shard"), [(1, 50), (3, 50), (64, 4), (2, 3)])
def test_neither_batch_nor_shard_size_changes_the_images(
    toy_plan: Planner, store: Store, executor: LocalExecutor, batch_size: int, shard: int
) -> None:
    matrix = {"attack": "learned", "defense": "turning", "threat": "adaptive"}
    plans = [toy_plan(matrix, Learned, Turning, shard=size) for size in (50, shard)]
    whole = attacked(plans[0], store, executor)
    if shard == 50:
        for key in plans[0].cells[0].attacked:
            store.discard(key)
    stage = plans[1].steps[plans[1].cells[0].attacked[0]]
    executor.batch_sizes[stage.name, stage.work, stage.options] = batch_size
    cut = attacked(plans[1], store, executor)
    assert store.meta(plans[1].cells[0].attacked[0])["batch_size"] == batch_size
    for name, values in whole.items():
        assert torch.allclose(cut[name], values, rtol=0, atol=1e-6), name


def test_quantized_images_are_eight_bit_pictures_in_the_ball(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({"attack": "learned"}, Learned, protocol={"quantize": True})
    images = attacked(plan, store, executor)["images"]
    assert torch.equal(images, (images * 255).round() / 255)
    assert float((images - clean(plan)).abs().max()) <= 0.2 + 1e-5


def test_without_quantizing_the_images_are_as_the_attack_left_them(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    images = attacked(toy_plan({"attack": "learned"}, Learned), store, executor)["images"]
    assert not torch.allclose(images, (images * 255).round() / 255, atol=1e-4)


def test_what_an_attack_learned_reaches_its_perturbation(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    Learned.given.clear()
    plan = toy_plan({"attack": "learned"}, Learned)
    attacked(plan, store, executor)
    (state,) = Learned.given
    assert state.keys() == {"shift", "mean/mean"}
    assert torch.equal(state["shift"], artifact(plan, store, "fit_attack").tensors["shift"])
    assert torch.equal(state["mean/mean"], artifact(plan, store, "fit_part").tensors["mean"])


def test_an_attack_that_learned_nan_is_a_breach(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "learned"}, Learned, components={"attack": {"learned": {"broken": True}}})
    failure = executor.run(plan).failures[plan.cells[0].key or ""]
    assert failure.kind is FailureKind.INVALID
    assert "fit returned NaN or infinity in shift" in failure.reason


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("nan", "NaN or infinity"),
        ("shape", "wrong shape"),
        ("dtype", "wrong dtype"),
        ("range", "out of range"),
        ("ball", "it left its linf ball"),
        ("type", "it must return a tensor"),
    ],
)
def test_a_faulty_attack_is_invalid(toy_plan: Planner, executor: LocalExecutor, fault: str, problem: str) -> None:
    plan = toy_plan({"attack": "faulty"}, components={"attack": {"faulty": {"fault": fault}}})
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert failure.kind is FailureKind.INVALID
    assert problem in failure.reason


def test_a_guarded_network_is_the_pipeline_with_fresh_noise_at_every_call() -> None:
    torch.manual_seed(0)
    inner = ToyNetwork({"weight": torch.randn(8, 3), "mean": torch.zeros(3)}).requires_grad_(False)
    images, noise = torch.rand(4, 3, 12, 12), Noise(0, tuple("abcd"))
    guarded = Guarded(inner, [(Turning(), nn.Module())], noise)
    first, second = guarded.image(images), guarded.image(images)
    assert torch.equal(first, inner.image(Turning().purify(images, nn.Module(), noise.derive("purifier").copy(1))))
    assert torch.equal(second, inner.image(Turning().purify(images, nn.Module(), noise.derive("purifier").copy(2))))
    assert not torch.equal(first, second)


def test_an_adaptive_attacker_differentiates_through_the_purifier() -> None:
    inner = ToyNetwork({"weight": torch.tensor([[1.0, 0.0, 0.0]]), "mean": torch.zeros(3)}).requires_grad_(False)
    images = torch.full((1, 3, 12, 12), 0.5, requires_grad=True)
    reached = []
    for network in (inner, Guarded(inner, [(Turning(), nn.Module())], Noise(0, ("a",)))):
        (gradient,) = torch.autograd.grad(relax(network.image(images)).sum(), images)
        reached.append(gradient.flatten(2).abs().sum(2)[0].nonzero().tolist())
    assert reached == [[[0]], [[2]]]


def test_seeing_the_purifier_helps_the_attacker(toy_plan: Planner, scored: Callable[[Plan], list[Any]]) -> None:
    plan = toy_plan({"attack": "toy", "defense": "turning", "threat": ["oblivious", "adaptive"]}, Turning)
    oblivious, adaptive = (facts["metrics"]["t_map"]["value"] for facts in scored(plan))
    assert adaptive > oblivious + 0.05


def test_a_large_budget_raises_t_map_and_lowers_map(toy_plan: Planner, scored: Callable[[Plan], list[Any]]) -> None:
    sweep = {"toy": {"sweep": {"eps": [0.01, 0.8]}}}
    plan = toy_plan({"attack": ["none", sweep], "bits": 16})
    none, small, large = ({name: m["value"] for name, m in facts["metrics"].items()} for facts in scored(plan))
    assert large["t_map"] > none["t_map"] + 0.2
    assert large["map"] < none["map"] - 0.2
    assert small["map"] > large["map"]
    assert small["perceptibility"] < 0.011 < 0.3 < large["perceptibility"]


class Reading(Informed):
    """Asks for the texts that its targets go with."""

    name: ClassVar[str] = "reading"
    needs: ClassVar[frozenset[Need]] = frozenset({"database_codes", "target_texts"})


@pytest.mark.parametrize("attack", [Reading, Informed])
def test_the_texts_of_the_target_rows_come_with_the_batch_if_they_are_asked_for(
    toy_plan: Planner, executor: LocalExecutor, attack: type[Informed]
) -> None:
    Informed.told.clear()
    assert executor.run(toy_plan({"attack": attack.name}, attack)).failures == {}
    for _, batch in Informed.told:
        if attack is Informed:
            assert batch.target_texts is None
        else:
            assert batch.target_texts is not None
            assert torch.equal(batch.target_texts, ToyDataset().texts("database", batch.target_rows.tolist()))
