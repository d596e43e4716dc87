"""The knowledge that attacks receive, and the images that are stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from retbench.contracts import AttackPart, Ball, Batch, Context, Facts, Knowledge, Noise, Part, Purifier, State, relax
from retbench.contracts.attack import Need
from retbench.errors import ContractBreach
from retbench.execute import FailureKind, LocalExecutor, local
from retbench.metrics import unpack
from retbench.plan import CODE_SPLITS, Plan
from retbench.stages import Perturb, Score
from retbench.stages.attacked_network import AttackedPipeline, WhiteBoxNetwork
from retbench.store import Artifact, Store
from retbench.testing import check_component
from retbench.testing.toys import ToyAttack, ToyDataset, ToyNetwork, ToyPart, ToyPrototype, ToyScoreAttack

Planner = Callable[..., Plan]
CPU = torch.device("cpu")


class UndeclaredNeedAttack(ToyAttack):
    """Reads codes that it does not declare in `needs`."""

    name: ClassVar[str] = "undeclared-need"
    needs: ClassVar[frozenset[Need]] = frozenset({"database_labels"})


class RecordingAttack(ToyAttack):
    """Records the knowledge and the batches that it receives."""

    name: ClassVar[str] = "recording"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes", "database_labels", "database_codes"})
    received: ClassVar[list[tuple[Knowledge, Batch]]] = []

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        self.received.append((knowledge, batch))
        return super().perturb(knowledge, batch, module, noise)


class LearnedAttack(ToyAttack):
    """Learns a shift, owns a part and adds noise: everything that could depend on the batch."""

    name: ClassVar[str] = "learned"
    learns: ClassVar[bool] = True

    diverges: bool = Field(False, description="whether its state is infinite")
    states: ClassVar[list[State]] = []

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"mean": ToyPart()}

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        shift = torch.rand(3, generator=ctx.noise.generator("shift")) * ctx.parts["mean"]["mean"]
        return {"shift": shift / 0 if self.diverges else shift}

    def module(self, state: State, device: torch.device) -> nn.Module:
        self.states.append(state)
        return nn.ParameterDict({"shift": state["shift"] * state["mean/mean"]})

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        shift = 0.05 * module.get_parameter("shift")
        jitter = 0.02 * noise.uniform("jitter", tuple(batch.images.shape[1:]))
        perturbed = super().perturb(knowledge, batch, module, noise)
        return (perturbed + (batch.images - perturbed) / 2 + shift[None, :, None, None] + jitter).clamp(0, 1)


class ChannelPurifier(Purifier):
    """Rotates the color channels, so that an oblivious attacker changes the wrong one."""

    name: ClassVar[str] = "channel"
    source: ClassVar[str] = "made for tests"

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return (images.roll(1, dims=1) + 0.01 * noise.normal("jitter", tuple(images.shape[1:]))).clamp(0, 1)


def attacked(plan: Plan, store: Store, executor: LocalExecutor) -> dict[str, Tensor]:
    """Run a plan of one cell, and return its attacked images with their distances."""
    assert executor.run(plan).failures == {}
    shards = [store.get(key).tensors for key in plan.cells[0].attacked]
    return {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}


def artifact(plan: Plan, store: Store, stage: str, **recipe: Any) -> Artifact:
    """Return the artifact of the only step of a stage whose recipe has these fields."""
    (key,) = (
        key
        for key, step in plan.steps.items()
        if step.name == stage and recipe.items() <= {name: step.recipe().get(name) for name in recipe}.items()
    )
    return store.get(key)


def clean(plan: Plan) -> Tensor:
    (rows,) = {step.queries.rows for step in plan.steps.values() if isinstance(step, Score)}
    return ToyDataset().images("query", rows).float() / 255


class ShadowingAttack(LearnedAttack):
    """Learns a tensor under the name of one of its part, whose state would replace it."""

    name: ClassVar[str] = "shadowing"

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        return {"shift": torch.ones(3), "mean/mean": torch.ones(3)}


def test_a_state_with_a_name_of_a_part_is_invalid(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "shadowing"}, ShadowingAttack)
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert failure.kind is FailureKind.INVALID
    assert "wrong name in the state that fit returned: got 'mean/mean'" in failure.reason
    with pytest.raises(ContractBreach, match="got 'mean/mean'"):
        check_component(ShadowingAttack())


class WideningAttack(ToyAttack):
    """Changes its ball while it runs."""

    name: ClassVar[str] = "widening"
    eps_now: ClassVar[float] = 0.01

    @property
    def ball(self) -> Ball:
        return Ball("linf", self.eps_now)

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        type(self).eps_now = 1.0
        return 1 - batch.images


def test_an_attack_cannot_widen_its_ball_while_it_runs(toy_plan: Planner, executor: LocalExecutor) -> None:
    WideningAttack.eps_now = 0.01
    plan = toy_plan({"attack": "widening"}, WideningAttack)
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert failure.kind is FailureKind.INVALID
    assert "outside its linf ball" in failure.reason


class GrantingAttack(ToyAttack):
    """Replaces the codes that it is granted."""

    name: ClassVar[str] = "granting"

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        knowledge.grants["database_codes"] = torch.zeros(1)  # type: ignore[index]  # the type is a read-only mapping
        return batch.images


def test_grants_cannot_be_replaced(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "granting"}, GrantingAttack)
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert "does not support item assignment" in failure.reason


def test_undeclared_knowledge_is_refused(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "undeclared-need"}, UndeclaredNeedAttack)
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert failure.kind is FailureKind.PLUGIN
    assert "undeclared need: got database_codes" in failure.reason


def test_declared_knowledge_is_that_of_the_attacked_hasher(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    RecordingAttack.received.clear()
    plan, toy = toy_plan({"attack": "recording"}, RecordingAttack), ToyDataset()
    attacked(plan, store, executor)
    ((knowledge, batch),) = RecordingAttack.received
    assert torch.equal(knowledge.grant("database_labels"), toy.labels("database"))
    for need, split in CODE_SPLITS.items():
        codes = artifact(plan, store, "encode", split=split).tensors["codes"]
        assert torch.equal(knowledge.grant(need), unpack(codes, 8))
    assert torch.equal(knowledge.training.labels, toy.labels("train"))
    targets = artifact(plan, store, "targets").tensors
    rows = [list(toy.ids("query")).index(name) for name in batch.ids]
    assert torch.equal(batch.images, clean(plan))
    assert torch.equal(batch.labels, toy.labels("query")[rows])
    assert torch.equal(batch.target_labels, targets["labels"][rows])
    assert torch.equal(batch.target_rows, targets["rows"][rows])


def test_the_attacked_network_is_frozen(toy_plan: Planner, store: Store, executor: LocalExecutor) -> None:
    RecordingAttack.received.clear()
    attacked(toy_plan({"attack": "recording"}, RecordingAttack), store, executor)
    network = RecordingAttack.received[0][0].network
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


def test_an_attack_receives_no_undeclared_knowledge(
    toy_plan: Planner, store: Store, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    RecordingAttack.received.clear()
    monkeypatch.setattr(RecordingAttack, "needs", ToyAttack.needs)
    attacked(toy_plan({"attack": "recording"}, RecordingAttack), store, executor)
    knowledge, _ = RecordingAttack.received[0]
    assert knowledge.data is None
    assert knowledge.grants.keys() == {"database_codes"}


def test_the_stored_images_are_measured_and_encoded(toy_plan: Planner, store: Store, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "toy"})
    stored, queries = attacked(plan, store, executor), clean(plan)
    difference = (stored["images"].double() - queries.double()).flatten(1)
    assert torch.allclose(stored["linf"], difference.abs().amax(1), rtol=0, atol=1e-12)
    assert torch.allclose(stored["l2"], difference.norm(dim=1), rtol=1e-12)
    assert torch.allclose(stored["mse"], difference.square().mean(1), rtol=1e-12)
    assert 0.19 < float(stored["linf"].max()) <= 0.2 + 1e-6
    summary = store.summary(plan.cells[0].attacked[0])
    assert summary["largest_linf"] == float(stored["linf"].max())
    weights = artifact(plan, store, "fit").tensors
    logits = ToyNetwork(dict(weights)).image(stored["images"])
    codes = artifact(plan, store, "encode", draws=[list(plan.cells[0].attacked)]).tensors["codes"]
    assert torch.equal(unpack(codes, 8) > 0, logits >= 0)


@pytest.mark.parametrize(("batch_size", "shard"), [(1, 50), (3, 50), (64, 4), (2, 3)])
def test_images_do_not_depend_on_batch_or_shard_size(
    toy_plan: Planner, store: Store, executor: LocalExecutor, batch_size: int, shard: int
) -> None:
    matrix = {"attack": "learned", "defense": "channel", "threat": "adaptive"}
    plans = [toy_plan(matrix, LearnedAttack, ChannelPurifier, shard=size) for size in (50, shard)]
    whole = attacked(plans[0], store, executor)
    if shard == 50:
        for key in plans[0].cells[0].attacked:
            store.discard(key)
    stage = plans[1].steps[plans[1].cells[0].attacked[0]]
    executor.batch_sizes[stage.cost_kind] = batch_size
    split = attacked(plans[1], store, executor)
    assert store.meta(plans[1].cells[0].attacked[0])["batch_size"] == batch_size
    for name, values in whole.items():
        assert torch.allclose(split[name], values, rtol=0, atol=1e-6), name


def test_quantized_images_have_8_bit_values_inside_the_ball(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({"attack": "learned"}, LearnedAttack, protocol={"quantize": True})
    images = attacked(plan, store, executor)["images"]
    assert torch.equal(images, (images * 255).round() / 255)
    assert float((images - clean(plan)).abs().max()) <= 0.2 + 1e-5


def test_images_are_not_rounded_without_quantize(toy_plan: Planner, store: Store, executor: LocalExecutor) -> None:
    images = attacked(toy_plan({"attack": "learned"}, LearnedAttack), store, executor)["images"]
    assert not torch.allclose(images, (images * 255).round() / 255, atol=1e-4)


def test_an_attack_perturbs_with_its_trained_state(toy_plan: Planner, store: Store, executor: LocalExecutor) -> None:
    LearnedAttack.states.clear()
    plan = toy_plan({"attack": "learned"}, LearnedAttack)
    attacked(plan, store, executor)
    (state,) = LearnedAttack.states
    assert state.keys() == {"shift", "mean/mean"}
    assert torch.equal(state["shift"], artifact(plan, store, "fit_attack").tensors["shift"])
    assert torch.equal(state["mean/mean"], artifact(plan, store, "fit_part").tensors["mean"])


def test_nan_in_a_trained_state_is_a_contract_breach(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "learned"}, LearnedAttack, components={"attack": {"learned": {"diverges": True}}})
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
        ("ball", "outside its linf ball"),
        ("type", "wrong type"),
    ],
)
def test_a_faulty_attack_is_invalid(toy_plan: Planner, executor: LocalExecutor, fault: str, problem: str) -> None:
    plan = toy_plan({"attack": "faulty"}, components={"attack": {"faulty": {"fault": fault}}})
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert failure.kind is FailureKind.INVALID
    assert problem in failure.reason


def test_a_defended_network_purifies_with_new_noise_at_every_call() -> None:
    torch.manual_seed(0)
    hasher = ToyNetwork({"weight": torch.randn(8, 3), "mean": torch.zeros(3)}).requires_grad_(False)
    images, noise = torch.rand(4, 3, 12, 12), Noise(0, tuple("abcd"))
    defended = WhiteBoxNetwork(AttackedPipeline(hasher, [(ChannelPurifier(), nn.Module())]), 4, noise)
    first, second = defended.image(images), defended.image(images)
    for call, logits in ((1, first), (2, second)):
        purified = ChannelPurifier().purify(images, nn.Module(), noise.derive("purifier").copy(call))
        assert torch.equal(logits, hasher.image(purified))
    assert not torch.equal(first, second)


def test_an_adaptive_attacker_differentiates_through_the_purifier() -> None:
    hasher = ToyNetwork({"weight": torch.tensor([[1.0, 0.0, 0.0]]), "mean": torch.zeros(3)}).requires_grad_(False)
    images = torch.full((1, 3, 12, 12), 0.5, requires_grad=True)
    defended = WhiteBoxNetwork(AttackedPipeline(hasher, [(ChannelPurifier(), nn.Module())]), 1, Noise(0, ("a",)))
    changed_channels = []
    for network in (hasher, defended):
        (gradient,) = torch.autograd.grad(relax(network.image(images)).sum(), images)
        changed_channels.append(gradient.flatten(2).abs().sum(2)[0].nonzero().tolist())
    assert changed_channels == [[[0]], [[2]]]


def test_an_adaptive_attack_has_a_higher_t_map_than_an_oblivious_one(
    toy_plan: Planner, score_plan: Callable[[Plan], list[Any]]
) -> None:
    plan = toy_plan({"attack": "toy", "defense": "channel", "threat": ["oblivious", "adaptive"]}, ChannelPurifier)
    oblivious, adaptive = (summary["metrics"]["t_map"]["value"] for summary in score_plan(plan))
    assert adaptive > oblivious + 0.05


def test_a_large_budget_raises_t_map_and_lowers_map(toy_plan: Planner, score_plan: Callable[[Plan], list[Any]]) -> None:
    sweep = {"toy": {"sweep": {"eps": [0.01, 0.8]}}}
    plan = toy_plan({"attack": ["none", sweep], "bits": 16})
    none, small, large = ({name: m["value"] for name, m in summary["metrics"].items()} for summary in score_plan(plan))
    assert large["t_map"] > none["t_map"] + 0.2
    assert large["map"] < none["map"] - 0.2
    assert small["map"] > large["map"]
    assert small["perceptibility"] < 0.011 < 0.3 < large["perceptibility"]


class TextAttack(RecordingAttack):
    """Needs the texts of its target rows."""

    name: ClassVar[str] = "text"
    needs: ClassVar[frozenset[Need]] = frozenset({"database_codes", "target_texts"})


@pytest.mark.parametrize("attack", [TextAttack, RecordingAttack])
def test_a_batch_has_the_texts_of_its_target_rows_if_the_attack_needs_them(
    toy_plan: Planner, executor: LocalExecutor, attack: type[RecordingAttack]
) -> None:
    RecordingAttack.received.clear()
    assert executor.run(toy_plan({"attack": attack.name}, attack)).failures == {}
    for _, batch in RecordingAttack.received:
        if attack is RecordingAttack:
            assert batch.target_texts is None
        else:
            assert batch.target_texts is not None
            assert torch.equal(batch.target_texts, ToyDataset().texts("database", batch.target_rows.tolist()))


class ClosedPart(ToyPrototype):
    """Queries the attacked network in its fit."""

    name: ClassVar[str] = "closed"

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        knowledge.network.image(torch.zeros(1, 3, 12, 12))
        return super().fit(knowledge, ctx)


class LearningScoreAttack(ToyScoreAttack):
    """Uses the network in its fit, in that of a part, or in none."""

    name: ClassVar[str] = "learning-score"
    learns: ClassVar[bool] = True

    where: str = "none"

    def parts(self, facts: Facts) -> dict[str, AttackPart]:
        return {"prototype": ClosedPart() if self.where == "part" else ToyPrototype()}

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        return knowledge.network.state_dict() if self.where == "fit" else {}


@pytest.mark.parametrize(
    ("where", "problem"),
    [("part", "it queried the network in fit: got access score"), ("fit", "it used network.state_dict")],
)
def test_a_black_box_attack_and_its_parts_are_fitted_without_the_network(
    toy_plan: Planner, executor: LocalExecutor, where: str, problem: str
) -> None:
    for used, expected in ((where, problem), ("none", "")):
        options = {"attack": {"learning-score": {"where": used}}}
        plan = toy_plan({"attack": "learning-score"}, LearningScoreAttack, components=options)
        failures = executor.run(plan).failures.values()
        assert all(failure.kind is FailureKind.INVALID and expected in failure.reason for failure in failures)
        assert bool(failures) is bool(expected)


def test_a_part_of_a_black_box_attack_and_one_of_a_gradient_attack_have_two_fits(toy_plan: Planner) -> None:
    attacks = {"attack": ["learning-score", "toy-untargeted"]}
    fits = [step for step in toy_plan(attacks, LearningScoreAttack).steps.values() if step.name == "fit_part"]
    assert sorted(str(step.recipe().get("access")) for step in fits if "attack" in step.recipe()) == ["None", "score"]


@pytest.mark.parametrize("attack", ["toy-score", "toy-decision"])
@pytest.mark.parametrize("threat", ["oblivious", "adaptive"])
def test_queries_used_are_stored_and_do_not_depend_on_shards_and_batches(
    toy_plan: Planner, store: Store, monkeypatch: pytest.MonkeyPatch, attack: str, threat: str
) -> None:
    matrix = {"attack": attack, "defense": "channel", "threat": threat, "bits": 4}
    found = []
    for shard, batch_size in ((64, 64), (64, 3), (4, 64)):
        plan = toy_plan(matrix, ChannelPurifier, shard=shard, components={"attack": {attack: {"eps": 0.6}}})
        other = LocalExecutor(Store(store.root / f"{shard}-{batch_size}"), CPU, lambda event: None)
        monkeypatch.setattr(local, "BATCH_SIZE", batch_size)
        assert other.run(plan).failures == {}
        shards = [other.store.get(key).tensors for key in plan.cells[0].attacked]
        found.append({name: torch.cat([each[name] for each in shards]) for name in ("images", "attack_queries")})
    for other_result in found[1:]:
        assert torch.equal(found[0]["attack_queries"], other_result["attack_queries"])
        torch.testing.assert_close(found[0]["images"], other_result["images"])
    assert found[0]["attack_queries"].dtype == torch.int64
    assert 1 <= int(found[0]["attack_queries"].max()) <= 20


def test_only_a_black_box_attack_stores_queries_and_records_its_access(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({"attack": ["toy", "toy-score"]})
    assert executor.run(plan).failures == {}
    white, black = (plan.steps[cell.attacked[0]] for cell in plan.cells)
    assert "access" not in white.recipe()
    assert black.recipe()["access"] == "score"
    assert "attack_queries" not in store.get(white.key).tensors
    assert store.get(black.key).tensors["attack_queries"].tolist() == [20] * 10


class GreedyAttack(ToyScoreAttack):
    """Uses one query more than its budget."""

    name: ClassVar[str] = "greedy"

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        images = super().perturb(knowledge, batch, module, noise)
        knowledge.queried.query(images[-1:], torch.tensor([len(images) - 1]))
        return images


def test_an_attack_beyond_its_query_budget_is_invalid(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "greedy"}, GreedyAttack)
    failure = executor.run(plan).failures[plan.cells[0].attacked[0]]
    assert failure.kind is FailureKind.INVALID
    assert "it used 21 queries for query toy-query-" in failure.reason
    assert "expected at most query_budget=20" in failure.reason


def test_a_black_box_attack_on_a_surrogate_queries_the_surrogate(
    toy_plan: Planner, store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({"attack": "toy-score", "surrogate": "toy-cached"})
    assert executor.run(plan).failures == {}
    step = plan.steps[plan.cells[0].attacked[0]]
    assert isinstance(step, Perturb)
    assert step.context.victim.hasher.name == "toy-cached"
    assert store.get(step.key).tensors["attack_queries"].tolist() == [20] * 10


def test_a_black_box_attack_through_the_purifier_has_a_higher_t_map(
    toy_plan: Planner, score_plan: Callable[[Plan], list[Any]]
) -> None:
    matrix = {"attack": "toy-score", "defense": "channel", "threat": ["oblivious", "adaptive"]}
    options = {"attack": {"toy-score": {"eps": 0.4, "query_budget": 40}}}
    oblivious, adaptive = (
        summary["metrics"]["t_map"]["value"]
        for summary in score_plan(toy_plan(matrix, ChannelPurifier, components=options))
    )
    assert adaptive > oblivious + 0.05
