"""DADH: order of training steps, schedule, networks, and results of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from retbench_hashers.backbones.conv import Conv
from retbench_hashers.cross_modal.dadh import (
    DADH,
    Branch,
    Scaling,
    build_discriminator,
    scheduled_learning_rate,
    split_batches,
)
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, logsigmoid

from retbench import Context, Noise, OptionError, Split, State, TrainingData, sign, unit_images
from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")
BITS = 12
TINY: dict[str, Any] = {
    "hidden": (24, 16, 8),
    "feature_critic": (6,),
    "code_critic": (5,),
    "batch_size": 8,
    "learning_rate": 1e-3,
}


class IncompleteDataset(ToyDataset):
    """A dataset with a third of its rows without labels and without text."""

    def labels(self, split: Split) -> Tensor:
        labels = super().labels(split)
        labels[::3] = 0
        return labels

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        return self.labels(split)[list(rows)].float()


@cache
def warm_backbone() -> State:
    data = TrainingData(ToyDataset(side=16), ToyDataset(side=16).facts(), CPU)
    torch.manual_seed(0)
    return Conv(epochs=4, batch_size=8).fit(data, Context(CPU, "float32", Noise(0, ("conv",))))


def training_data(dataset: ToyDataset) -> TrainingData:
    """Return the training split with the features of the trained backbone."""
    facts = replace(dataset.facts(), bits=BITS)
    images = unit_images(dataset.images("train", range(facts.sizes["train"])), CPU)
    with torch.no_grad():
        features = Conv().module(warm_backbone(), CPU)(images)
    return TrainingData(dataset, facts, CPU, shards=tuple(features.split(7)))


def fit(hasher: DADH, dataset: ToyDataset | None = None, precision: Any = "float32", **services: Any) -> Any:
    """Return state and curves of a hasher on a trained backbone."""
    curves: dict[str, Any] = {}
    context = Context(CPU, precision, Noise(0, ("fit",)), {"backbone": warm_backbone()}, record=curves.__setitem__)
    torch.manual_seed(0)
    return hasher.fit(training_data(dataset or ToyDataset(side=16)), replace(context, **services)), curves


def equal(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def head_differences(network: nn.Module, state: State) -> dict[str, float]:
    """Return the largest differences between the heads of a network and those of a fitted state, by tensor name.

    Biases before a batch normalization and its running means are left out: the normalization cancels such biases, so
    that their gradient is rounding noise, which Adam scales up to whole steps.
    """
    expected = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("features.")}
    left_out = [f"hidden.{layer}.{name}" for layer in range(3) for name in ("0.bias", "1.running_mean")]
    names = [name for name in expected if not name.endswith(tuple(left_out))]
    return {name: (state[name].double() - expected[name].double()).abs().max().item() for name in names}


@pytest.mark.parametrize("triplet", ["weighted", "unweighted", "none"])
@pytest.mark.parametrize("between", ["element", "sample"])
def test_a_fit_takes_the_published_steps_in_their_order(triplet: str, between: str, tmp_path: Path) -> None:
    """Three epochs of one step each, and the codes after them, written from the formulas."""
    options = {"batch_size": 20, "epochs": 3, "weight_decay": 0.05, "critic_weight_decay": 0.1}
    hasher = DADH.create({**TINY, **options, "triplet": triplet, "interpolation": between})
    state, _ = fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0)

    torch.manual_seed(0)
    data = training_data(ToyDataset(side=16))
    network = hasher.initial_network(data, Context(CPU, "float32", Noise(0, ("fit",)), {"backbone": warm_backbone()}))
    image, text = network.image_head, network.text_head
    assert isinstance(image, Branch)
    assert isinstance(text, Branch)
    feature_critic, code_critic = build_discriminator((8, 6)), build_discriminator((BITS, 5))
    codes = 2.0 * torch.randint(2, (20, BITS)) - 1
    branch_optimizer = torch.optim.Adam([*image.parameters(), *text.parameters()], lr=1e-3, weight_decay=0.05)
    critic_optimizers = [
        torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9), weight_decay=0.1)
        for critic in (feature_critic, code_critic)
    ]
    shuffle = Noise(0, ("fit",)).generator("shuffle")
    for epoch in range(3):
        branch_optimizer.param_groups[0]["lr"] = 1e-3 * (0.8 if epoch else 1)
        rows = torch.randperm(20, generator=shuffle)
        texts, labels = data.texts(rows.tolist()), data.labels[rows].float()
        f_v, f_t = image.features(data.features(rows.tolist())), text.features(texts)
        h_v, h_t = torch.tanh(image.hash(f_v)), torch.tanh(text.hash(f_t))
        for critic, optimizer, real, fake in zip(
            (feature_critic, code_critic), critic_optimizers, (f_v, h_v), (f_t, h_t), strict=True
        ):
            loss = critic_loss(critic, real.detach(), fake.detach(), between)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        second_codes = torch.tanh(text.hash(text.features(texts).detach()))
        adversarial = -logsigmoid(feature_critic(f_t)).mean() - logsigmoid(code_critic(second_codes)).mean()
        distance = (codes[rows] - h_v).square().sum() + (codes[rows] - h_t).square().sum()
        total = 10 * (triplet_loss_in_full(h_v, h_t, labels, triplet) + triplet_loss_in_full(h_t, h_v, labels, triplet))
        total = total + 1.1 * distance + adversarial
        branch_optimizer.zero_grad()
        torch.autograd.backward(total)
        branch_optimizer.step()
        outputs = torch.empty(20, BITS)
        outputs[rows] = (h_v + h_t).detach()
        label_vectors = data.labels.float()
        projection = torch.linalg.inv(label_vectors.T @ label_vectors + torch.eye(3)) @ label_vectors.T @ codes
        codes = (label_vectors @ projection + 0.5 * 1e-5 * outputs).sign()

    distances = head_differences(network, state)
    assert len(distances) == 39
    assert max(distances.values()) < 2e-5, distances
    checkpoint = Context(CPU, "float32", Noise(0, ("fit",)), checkpoints=tmp_path).load_checkpoint("training")
    assert checkpoint is not None
    for name, critic in (("feature_critic", feature_critic), ("code_critic", code_critic)):
        for weight, expected in zip(checkpoint["moving"][name].values(), critic.state_dict().values(), strict=True):
            torch.testing.assert_close(weight, expected, rtol=0, atol=2e-5)
    assert torch.equal(checkpoint["tensors"]["codes"], codes)
    batch_counts = state["text_head.hidden.0.1.num_batches_tracked"], state["image_head.hidden.0.1.num_batches_tracked"]
    assert batch_counts == (6, 3), "the texts of each step are counted twice"


def critic_loss(critic: nn.Module, real: Tensor, fake: Tensor, between: str) -> Tensor:
    """Return the loss of a discriminator, written from its formula."""
    share = torch.rand(real.shape) if between == "element" else torch.rand(len(real), 1)
    points = (share * real + (1 - share) * fake).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    entropy = -logsigmoid(critic(real)).mean() - torch.log(1 - torch.sigmoid(critic(fake))).mean()
    return entropy + 10 * (slopes.square().sum(dim=1).sqrt() - 1).square().mean()


def triplet_loss_in_full(anchors: Tensor, candidates: Tensor, labels: Tensor, form: str) -> Tensor:
    """Return the triplet loss, computed with tensors of B^3 elements."""
    if form == "none":
        return torch.zeros(())
    common = labels @ labels.T
    distances = (1 - cosine_similarity(anchors[:, None], candidates[None], dim=2)).clamp(min=0)
    chosen = (common[:, :, None] > 0) & (common[:, None, :] == 0)
    hinges = distances[:, :, None] - distances[:, None, :] + 0.4
    if form == "unweighted":
        return torch.relu(1.1 * chosen * hinges).sum()
    ranks = torch.arange(1, len(labels) + 1)
    ideal = ((2 ** common.sort(dim=1, descending=True).values - 1) / torch.log2(1.0 + ranks)).sum(dim=1)
    weights = (2**common - 1) / ideal[:, None]
    return torch.relu(10 * 1.1**2 * (weights[:, :, None] - weights[:, None, :]) * chosen * hinges).sum()


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("options", [{}, {"triplet": "none", "standardize": True}], ids=["triplets", "standardized"])
def test_codes_of_items_that_share_a_class_are_closer_in_every_direction(
    options: dict[str, Any], precision: str
) -> None:
    hasher, dataset = DADH.create({**TINY, **options, "epochs": 15, "learning_rate": 1e-2}), ToyDataset(side=16)
    state, curves = fit(hasher, precision=precision)
    network, labels = hasher.network(state, CPU).eval(), dataset.labels("database")
    rows = range(len(labels))
    with torch.no_grad():
        images = sign(network.image(unit_images(dataset.images("database", rows), CPU))).float()
        texts = sign(network.text(dataset.texts("database", rows))).float()
    related = labels.float() @ labels.T.float() > 0
    for queries, items in ((images, images), (images, texts), (texts, texts)):
        agreement = queries @ items.T / BITS
        assert agreement[related].mean() > agreement[~related].mean() + 0.3
    assert {len(curve) for curve in curves.values()} == {15}
    parts = {"quantization", "adversarial", *(() if options else ("triplet",))}
    assert curves.keys() == parts | {"loss", "feature_critic", "code_critic"}
    assert curves["loss"][0] == pytest.approx(sum(curves[name][0] for name in parts))


@pytest.mark.parametrize("dropout", [False, True])
def test_a_resumed_fit_ends_with_the_same_bits(dropout: bool, tmp_path: Path) -> None:
    hasher = DADH.create({**TINY, "epochs": 4, "dropout": dropout})

    def kill(done: int, total: int) -> None:
        if done == 8:
            raise InterruptedError

    uninterrupted, curves = fit(hasher)
    with pytest.raises(InterruptedError):
        fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0, progress=kill)
    resumed, resumed_curves = fit(hasher, checkpoints=tmp_path, checkpoint_every=0.0)
    assert equal(uninterrupted, resumed)
    assert curves == resumed_curves


@pytest.mark.parametrize("triplet", ["weighted", "unweighted", "none"])
def test_rows_without_labels_or_text_leave_weights_and_losses_finite(triplet: str) -> None:
    state, curves = fit(DADH.create({**TINY, "epochs": 3, "triplet": triplet}), IncompleteDataset(side=16))
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert all(torch.tensor(curve).isfinite().all() for curve in curves.values())


@pytest.mark.parametrize("database", [4, 8, 18, 34])
def test_a_fit_works_with_small_training_splits(database: int) -> None:
    """Two rows, four, nine and seventeen, in batches of eight: the last batch of one row joins the one before."""
    state, _ = fit(DADH.create({**TINY, "epochs": 2}), ToyDataset(side=16, database=database))
    assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.parametrize(
    ("count", "sizes"), [(9, [9]), (8, [8]), (17, [8, 9]), (18, [8, 8, 2]), (3, [3]), (2, [2]), (1, [1])]
)
def test_only_a_last_batch_of_one_row_joins_the_one_before(count: int, sizes: list[int]) -> None:
    batches = split_batches(torch.arange(count), 8)
    assert [len(rows) for rows in batches] == sizes
    assert torch.equal(torch.cat(batches), torch.arange(count))


def test_a_single_training_row_is_refused() -> None:
    facts = ToyDataset(database=2).facts()
    assert "too few training rows: got 1, expected at least 2" in str(DADH().supports(facts))
    assert DADH().supports(ToyDataset(database=4).facts()) is None


def test_a_dataset_without_texts_is_refused() -> None:
    assert "has no texts" in str(DADH().supports(replace(ToyDataset().facts(), text_width=0)))


def test_the_rate_decays_after_epochs_1_101_and_201_down_to_its_minimum() -> None:
    rates = [scheduled_learning_rate(5e-5, epoch) for epoch in (0, 1, 100, 101, 200, 201, 300)]
    assert rates == pytest.approx([5e-5, 4e-5, 4e-5, 3.2e-5, 3.2e-5, 2.56e-5, 2.56e-5])
    assert scheduled_learning_rate(5e-5, 9_999) == 1e-6
    assert scheduled_learning_rate(1e-7, 500) == 1e-7


def test_a_tiny_rate_leaves_all_weights_unchanged() -> None:
    """At a rate of 1e-12 nothing changes but the statistics of batch normalization."""
    state, _ = fit(DADH.create({**TINY, "epochs": 1, "learning_rate": 1e-12}))
    torch.manual_seed(0)
    context = Context(CPU, "float32", Noise(0, ("fit",)), {"backbone": warm_backbone()})
    start = DADH.create(TINY).initial_network(training_data(ToyDataset(side=16)), context)
    distances = head_differences(start, state)
    assert max(value for name, value in distances.items() if name.endswith(("weight", "bias"))) < 1e-9
    assert distances["image_head.hidden.0.1.running_var"] > 1e-3


def test_features_are_standardized_by_mean_and_deviation_of_the_training_images() -> None:
    state, _ = fit(DADH.create({**TINY, "epochs": 1, "standardize": True}))
    features = training_data(ToyDataset(side=16)).features(range(20))
    assert state["image_head.scaling.mean"].item() == pytest.approx(features.mean().item(), rel=1e-5)
    assert state["image_head.scaling.deviation"].item() == pytest.approx(features.std(correction=0).item(), rel=1e-5)
    assert state["text_head.scaling.deviation"] == 1
    plain, _ = fit(DADH.create({**TINY, "epochs": 1}))
    assert plain["image_head.scaling.mean"] == 0


def test_pixels_have_a_gradient_and_the_backbone_is_unchanged() -> None:
    hasher = DADH.create({**TINY, "epochs": 1})
    state, _ = fit(hasher)
    assert equal(warm_backbone(), {name[9:]: tensor for name, tensor in state.items() if name.startswith("features.")})
    images = torch.rand(3, 3, 16, 16).requires_grad_()
    torch.autograd.backward(hasher.network(state, CPU).eval().image(images).sum())
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_the_defaults_are_the_published_values() -> None:
    hasher = DADH()
    assert (hasher.hidden, hasher.feature_critic, hasher.code_critic) == ((8192, 4096, 2048), (1024, 512), (512,))
    assert (hasher.learning_rate, hasher.batch_size, hasher.epochs, hasher.margin) == (5e-5, 128, 300, 0.4)
    assert (hasher.weight_decay, hasher.critic_weight_decay, hasher.penalty) == (5e-4, 1e-4, 10)
    weights = hasher.triplet_weight, hasher.quantization, hasher.adversarial, hasher.ridge, hasher.output_share
    assert weights == (10, 1.1, 1, 1, 1e-5)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"hidden": [8, 8]}, "hidden.2: "),
        ({"hidden": [8, 0, 8]}, "hidden.1: "),
        ({"triplet": "hard"}, "triplet: "),
        ({"ridge": 0}, "ridge: "),
        ({"batch_size": 1}, "batch_size: "),
        ({"validation": 5}, "validation: unknown option"),
    ],
)
def test_options_outside_their_range_are_errors(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=f"hasher dadh: {problem}"):
        DADH.create(options)


PUBLISHED = (8192, 4096, 2048)


def count_weights(*networks: nn.Module) -> int:
    return sum(weight.numel() for network in networks for weight in network.parameters())


@pytest.mark.parametrize(
    ("text_width", "millions"), [(10, 117.7), (1024, 126.0), (1386, 129.0), (1000, 125.8)], ids=str
)
def test_the_published_branches_have_their_number_of_weights(text_width: int, millions: float) -> None:
    """For WIKI, for IAPR TC-12 and MS-COCO, for FLICKR-25K and for NUS-WIDE, with 4096 features per image."""
    with torch.device("meta"):
        branches = [Branch(width, PUBLISHED, 32, dropout=False) for width in (4096, text_width)]
    assert round(count_weights(*branches) / 1e6, 1) == millions
    assert branches[0](torch.empty(2, 4096, device="meta")).shape == (2, 32)


def test_discriminators_are_initialized_as_he_et_al_with_zero_biases() -> None:
    torch.manual_seed(0)
    network = build_discriminator((2048, 1024, 512))
    assert count_weights(network) == 2048 * 1024 + 1024 + 1024 * 512 + 512 + 512 + 1
    assert [type(layer) for layer in network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    for layer in (network[0], network[2]):
        assert layer.weight.std().item() == pytest.approx((2 / layer.in_features) ** 0.5, rel=0.01)
        assert not layer.bias.any()


def test_dropout_is_active_in_training_only() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(64, 8)
    plain, dropping = (Branch(8, (40, 30, 20), 4, dropout=dropout) for dropout in (False, True))
    dropping.load_state_dict(dict(zip(dropping.state_dict(), plain.state_dict().values(), strict=True)))
    assert not torch.equal(dropping(inputs), dropping(inputs))
    assert sum(isinstance(layer, nn.Dropout) for layer in dropping.modules()) == 3
    assert torch.equal(dropping.eval()(inputs), dropping(inputs))


def test_inputs_are_scaled_by_mean_and_deviation_in_the_state() -> None:
    branch = Branch(3, (4, 4, 4), 2, dropout=False)
    inputs = torch.tensor([[1.0, 2.0, 6.0]])
    assert torch.equal(branch.scaling(inputs), inputs)
    branch.scaling.set(2.0, 4.0)
    assert branch.scaling(inputs).tolist() == [[-0.25, 0.0, 1.0]]
    assert branch.state_dict()["scaling.deviation"] == 4


def test_constant_features_are_not_divided_by_their_deviation() -> None:
    scaling = Scaling()
    scaling.set(3.0, 0.0)
    assert scaling(torch.tensor([3.0, 4.0])).tolist() == [0.0, 1.0]


def test_features_are_the_inputs_of_the_hash_layer() -> None:
    branch = Branch(3, (6, 5, 4), 2, dropout=False).eval()
    inputs = torch.randn(7, 3)
    features = branch.features(inputs)
    assert features.shape == (7, 4)
    assert (features >= 0).all()
    torch.testing.assert_close(branch.hash(features), branch(inputs))
    assert branch(inputs[:0]).shape == (0, 2)
