"""DGCPN: options, heads, loss, similarity, and its training against a reference with the published steps."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from retbench_hashers.backbones.conv_words import ConvWords
from retbench_hashers.cross_modal.dgcpn import DGCPN, CoherenceLoss, graph_similarity
from retbench_hashers.cross_modal.validation_split import ValidationSplit
from torch import Tensor
from torch.nn.functional import dropout

from retbench import Context, Facts, Noise, OptionError, State, TrainingData
from retbench.testing import ToyDataset

CPU = torch.device("cpu")
BITS = 8
TINY = {"hidden": 6, "epochs": 3, "batch_size": 8, "learning_rate": 0.05}


def tiny(**options: object) -> DGCPN:
    return DGCPN.create({**TINY, **options})


def facts(train: int) -> Facts:
    return Facts("toy", (32, 32), ("red",), {"train": train, "query": 1, "database": train}, text_width=3, bits=BITS)


class IncompleteDataset(ToyDataset):
    """A dataset whose first training item has no text and whose second has no label."""

    def texts(self, split: str, rows: object) -> Tensor:
        texts = super().texts(split, rows)
        texts[torch.tensor(list(rows)) == 0] = 0
        return texts

    def labels(self, split: str) -> Tensor:
        labels = super().labels(split)
        labels[1] = 0
        return labels


def training_data(rows: int = 20, kind: type[ToyDataset] = ToyDataset) -> TrainingData:
    dataset = kind(side=8, database=2 * rows)
    features = torch.randn(rows, 256, generator=torch.Generator().manual_seed(1)).relu()
    return TrainingData(dataset, replace(dataset.facts(), bits=BITS), CPU, (features,))


def context(folder: Path | None = None, **services: object) -> Context:
    torch.manual_seed(0)
    backbone = ConvWords().build().state_dict()
    parts, checkpointing = {"backbone": backbone}, {"checkpoints": folder, "checkpoint_every": 0.0}
    return Context(CPU, "float32", Noise(0, ("fit",)), parts, **checkpointing, **services)


def fit(hasher: DGCPN, data: TrainingData, ctx: Context) -> State:
    torch.manual_seed(5)
    return hasher.fit(data, ctx)


def initial_state(hasher: DGCPN, data: TrainingData) -> State:
    """Return the initial weights of `fit`."""
    ctx = context()
    torch.manual_seed(5)
    return hasher.initial_network(data, ctx).state_dict()


def test_heads_have_the_published_sizes() -> None:
    with torch.device("meta"):
        images, texts = DGCPN().image_head(4096, 32), DGCPN().text_head(1386, 32)
    assert sum(weight.numel() for weight in images.parameters()) == 4096 * 4097 + 4097 * 32
    assert sum(weight.numel() for weight in texts.parameters()) == 4096 * 1387 + 4097 * 32


def test_only_the_last_text_layer_has_larger_initial_weights() -> None:
    images, texts = DGCPN().image_head(64, 64), DGCPN().text_head(64, 64)
    assert float(texts[-1].weight.detach().std()) == pytest.approx(0.3, rel=0.02)
    assert float(texts[-1].bias.detach().abs().max()) <= 4096**-0.5
    assert float(images[-1].weight.detach().abs().max()) <= 4096**-0.5


def reference_loss(images: Tensor, texts: Tensor, target: Tensor) -> Tensor:
    u, v = images / images.norm(dim=1, keepdim=True), texts / texts.norm(dim=1, keepdim=True)
    ii, tt, it, off_diagonal = u @ u.T, v @ v.T, u @ v.T, 1 - torch.eye(len(u))
    total = ((it.diagonal() - 1.5) ** 2).mean()
    for each in (ii, tt, it):
        total = total + (((each - target) * off_diagonal) ** 2).mean()
    return total + ((it - ii) ** 2 + (it - tt) ** 2 + (ii - tt) ** 2 + (it - it.T) ** 2).mean()


class ReferenceTraining:
    """The published training of both heads in plain tensor arithmetic, from the initial weights of `fit`."""

    def __init__(self, hasher: DGCPN, data: TrainingData) -> None:
        self.hasher = hasher
        rows = list(range(len(data)))
        self.features, self.texts = data.features(rows), data.texts(rows)
        self.target = graph_similarity(self.features, self.texts, neighbors=8, scale=16)
        state = initial_state(hasher, data)
        self.weights = {name: w.clone().requires_grad_() for name, w in state.items() if "head" in name}
        self.velocities = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}

    def codes(self, head: str, inputs: Tensor) -> Tensor:
        hidden = (inputs @ self.weights[f"{head}.0.weight"].T + self.weights[f"{head}.0.bias"]).clamp(min=0)
        dropped = dropout(hidden, self.hasher.dropout)
        return torch.tanh(dropped @ self.weights[f"{head}.3.weight"].T + self.weights[f"{head}.3.bias"])

    def gradients(self, loss: Tensor) -> dict[str, Tensor]:
        found = torch.autograd.grad(loss, list(self.weights.values()), allow_unused=True)
        return {name: each for name, each in zip(self.weights, found, strict=True) if each is not None}

    def descend(self, gradients: dict[str, Tensor]) -> None:
        for name, gradient in gradients.items():
            decayed = gradient + self.hasher.weight_decay * self.weights[name].detach()
            self.velocities[name].mul_(self.hasher.momentum).add_(decayed)
            self.weights[name].data.sub_(self.hasher.learning_rate * self.velocities[name])

    def step(self, rows: Tensor) -> float:
        target = self.target[rows][:, rows]
        images, texts = self.codes("image_head", self.features[rows]), self.codes("text_head", self.texts[rows])
        loss = reference_loss(images, texts, target)
        self.descend(self.gradients(loss))
        images, texts = self.codes("image_head", self.features[rows]), self.codes("text_head", self.texts[rows])
        image_gradients = self.gradients(reference_loss(images, texts.detach().sign(), target))
        text_gradients = self.gradients(reference_loss(images.detach().sign(), texts, target))
        self.descend({**image_gradients, **text_gradients})
        return float(loss.detach()) * len(rows)


@pytest.mark.parametrize("batch", [20, 8, 19], ids=["one batch", "a short last batch", "a last batch of one row"])
def test_training_equals_the_reference_step_by_step(batch: int) -> None:
    hasher, data, curves = tiny(batch_size=batch, epochs=2), training_data(), {}
    state = fit(hasher, data, context(record=curves.__setitem__))
    shuffle, losses = context().noise.generator("shuffle"), []
    reference = ReferenceTraining(hasher, data)  # sets the global generator to its state at the first training step
    for _ in range(2):
        batches = torch.randperm(20, generator=shuffle).split(batch)
        losses.append(sum(reference.step(rows) for rows in batches) / 20)
    assert curves["loss"] == pytest.approx(losses, abs=1e-5)
    for name, weight in reference.weights.items():
        torch.testing.assert_close(state[name], weight.detach(), atol=1e-5, rtol=1e-5)


def test_only_the_heads_are_trained() -> None:
    hasher, data = tiny(), training_data()
    before, after = initial_state(hasher, data), fit(hasher, data, context())
    changed = {name.split(".")[0] for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert changed == {"image_head", "text_head"}


def test_training_makes_the_codes_of_a_pair_similar() -> None:
    curves: dict[str, list[float]] = {}
    hasher, data = tiny(epochs=25, hidden=64), training_data()
    network = hasher.network(fit(hasher, data, context(record=curves.__setitem__)), CPU).eval()
    rows = list(range(20))
    with torch.no_grad():
        images, texts = network.from_features(data.features(rows)).tanh(), network.text(data.texts(rows)).tanh()
    assert curves["loss"][-1] < curves["loss"][0]
    assert float(torch.cosine_similarity(images, texts).mean()) > float(
        torch.cosine_similarity(images, texts.roll(1, 0)).mean()
    )


@pytest.mark.parametrize("validation", [0, 6])
def test_labels_are_read_for_validation_only(validation: int) -> None:
    splits_read: list[str] = []

    class RecordingDataset(ToyDataset):
        def labels(self, split: str) -> Tensor:
            splits_read.append(split)
            return super().labels(split)

        def texts(self, split: str, rows: object) -> Tensor:
            return ToyDataset.labels(self, split)[list(rows)].float()

    fit(tiny(validation=validation), training_data(kind=RecordingDataset), context())
    assert set(splits_read) == ({"train"} if validation else set())


@pytest.mark.parametrize("validation", [0, 5])
def test_items_without_text_labels_or_features_leave_weights_finite(validation: int) -> None:
    data = training_data(kind=IncompleteDataset)
    data.shards[0][0] = 0
    state = fit(tiny(validation=validation), data, context())
    assert all(torch.isfinite(weights).all() for weights in state.values())


def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    class Killed(BaseException):
        """Interruption of a training; no code catches it."""

    def kill(done: int, total: int) -> None:
        if done == 8:  # in the third epoch of three batches
            raise Killed

    hasher, data = tiny(epochs=5, validation=4, patience=3, batch_size=6), training_data()
    curves, resumed_curves = {}, {}
    uninterrupted = fit(hasher, data, context(record=curves.__setitem__))
    with pytest.raises(Killed):
        fit(hasher, data, context(tmp_path, progress=kill))
    steps: list[int] = []
    services = {"record": resumed_curves.__setitem__, "progress": lambda done, total: steps.append(done)}
    resumed = fit(hasher, data, context(tmp_path, **services))
    assert steps[0] == 7
    assert curves == resumed_curves
    assert all(torch.equal(weights, resumed[name]) for name, weights in uninterrupted.items())


def test_the_epoch_with_the_best_validation_score_is_kept() -> None:
    curves: dict[str, list[float]] = {}
    hasher, data = tiny(epochs=8, validation=8), training_data()
    kept = fit(hasher, data, context(record=curves.__setitem__))
    scores = curves["validation"]
    best = scores.index(max(scores))
    assert best < len(scores) - 1, "the test needs a best epoch before the last one"
    until_best = fit(tiny(epochs=best + 1, validation=8), data, context())
    assert all(torch.equal(weights, kept[name]) for name, weights in until_best.items())
    network = hasher.network(kept, CPU).eval()
    assert ValidationSplit.draw(data, 8, context()).score(network, context()) == max(scores)


@pytest.mark.parametrize("patience", [1, 4])
def test_training_stops_after_patience_epochs_without_improvement(patience: int) -> None:
    curves: dict[str, list[float]] = {}
    hasher = tiny(epochs=20, validation=4, patience=patience, learning_rate=1e-12)
    fit(hasher, training_data(), context(record=curves.__setitem__))
    assert len(set(curves["validation"])) == 1
    assert len(curves["loss"]) == 1 + patience + 1


def test_without_validation_all_epochs_are_trained() -> None:
    curves: dict[str, list[float]] = {}
    fit(tiny(epochs=5, patience=1, learning_rate=1e-12), training_data(), context(record=curves.__setitem__))
    assert len(curves.pop("loss")) == 5
    assert not curves


@pytest.mark.parametrize(
    ("options", "rows", "kept", "scale"),
    [
        ({}, 5000, 2000, 4000.0),
        ({}, 2173, 869, 1738.0),
        ({"neighbors": 1999, "scale": 4000}, 5000, 1999, 4000.0),
        ({"neighbors": 0.5, "validation": 100}, 300, 100, 200.0),
    ],
)
def test_details_hold_the_number_of_neighbors_and_the_scale(
    options: dict[str, object], rows: int, kept: int, scale: float
) -> None:
    assert DGCPN.create(options).details(facts(rows)) == {"neighbors": kept, "scale": scale}


@pytest.mark.parametrize(
    ("options", "rows"),
    [({"neighbors": 2000}, 2000), ({"neighbors": 0.4}, 1), ({"neighbors": 30, "validation": 20}, 50)],
)
def test_too_few_training_items_for_the_neighbors_are_refused(options: dict[str, object], rows: int) -> None:
    assert "neighbors" in (DGCPN.create(options).supports(facts(rows)) or "")
    assert DGCPN.create(options).supports(facts(rows + 5)) is None


@pytest.mark.parametrize("neighbors", [0, 0.0, 1.0, 1.5, -0.1, "many"])
def test_neighbors_that_are_no_count_or_share_are_an_option_error(neighbors: object) -> None:
    with pytest.raises(OptionError, match="hasher dgcpn: neighbors"):
        DGCPN.create({"neighbors": neighbors})


def test_an_epoch_selected_by_labels_is_a_caveat() -> None:
    assert DGCPN().caveats(facts(100)) == ()
    (caveat,) = DGCPN(validation=30).caveats(facts(100))
    assert "labels of 30 held-out training items" in caveat


def waves(rows: int, columns: int, down: float, across: float, shift: float) -> Tensor:
    """Return sin(down * i + across * j + shift), float32 (rows, columns)."""
    return torch.sin(down * torch.arange(rows)[:, None] + across * torch.arange(columns) + shift)


IMAGES = torch.tanh(waves(8, 4, 0.7, 1.3, 0.2))
TEXTS = torch.tanh(waves(8, 4, 0.9, -0.8, 0.5))
SIMILARITY = graph_similarity(waves(8, 5, 0.5, 1.1, 0.1).abs(), waves(8, 6, 1.2, 0.4, 0.9).abs(), neighbors=4, scale=10)

PUBLISHED = {
    "all": (CoherenceLoss(), 8.130757),
    "pair": (CoherenceLoss(similarity_weight=0, consistency_weight=0), 2.411152),
    "similarity": (CoherenceLoss(pair_weight=0, consistency_weight=0), 1.085192 + 1.209503 + 1.294710),
    "consistency": (CoherenceLoss(pair_weight=0, similarity_weight=0), 2.130201),
}


@pytest.mark.parametrize(("objective", "value"), PUBLISHED.values(), ids=PUBLISHED)
def test_each_term_of_the_loss_has_its_published_value(objective: CoherenceLoss, value: float) -> None:
    assert float(objective(IMAGES, TEXTS, SIMILARITY)) == pytest.approx(value, abs=2e-6)


def test_the_loss_with_binary_codes_of_one_modality_has_its_published_value() -> None:
    assert float(CoherenceLoss()(IMAGES, TEXTS.sign(), SIMILARITY)) == pytest.approx(7.990692, abs=2e-6)
    assert float(CoherenceLoss()(IMAGES.sign(), TEXTS, SIMILARITY)) == pytest.approx(8.320465, abs=2e-6)


def cosine(first: Tensor, second: Tensor) -> float:
    return float(first @ second) / math.sqrt(float(first @ first) * float(second @ second))


@pytest.mark.parametrize("rows", [[2, 5, 7], [4]], ids=["three rows", "one row"])
def test_the_loss_of_a_batch_equals_that_of_loops(rows: list[int]) -> None:
    total, count = 0.0, len(rows)
    for i in rows:
        total += 0.5 * (cosine(IMAGES[i], TEXTS[i]) - 1.2) ** 2 / count
        for j in rows:
            images, texts = cosine(IMAGES[i], IMAGES[j]), cosine(TEXTS[i], TEXTS[j])
            across, back = cosine(IMAGES[i], TEXTS[j]), cosine(IMAGES[j], TEXTS[i])
            target = float(SIMILARITY[i, j])
            similarity_term = sum((each - target) ** 2 for each in (images, texts, across)) if i != j else 0.0
            consistency_term = (
                (across - images) ** 2 + (across - texts) ** 2 + (images - texts) ** 2 + (across - back) ** 2
            )
            total += (2 * similarity_term + 3 * consistency_term) / count**2
    chosen = torch.tensor(rows)
    found = CoherenceLoss(1.2, 0.5, 2, 3)(IMAGES[chosen], TEXTS[chosen], SIMILARITY[chosen[:, None], chosen])
    assert float(found) == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("images", [IMAGES, torch.zeros(8, 4), 1e-30 * IMAGES], ids=["codes", "zeros", "tiny"])
def test_gradients_are_finite_and_nonzero_for_every_text(images: Tensor) -> None:
    images, texts = images.clone().requires_grad_(), TEXTS.clone().requires_grad_()
    loss = CoherenceLoss()(images, texts, SIMILARITY)
    gradients = torch.autograd.grad(loss, (images, texts))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert gradients[1].abs().sum(dim=1).gt(0).all()


def test_the_loss_does_not_depend_on_the_length_of_a_code() -> None:
    torch.testing.assert_close(
        CoherenceLoss()(3 * IMAGES, TEXTS / 2, SIMILARITY), CoherenceLoss()(IMAGES, TEXTS, SIMILARITY)
    )


def test_the_pair_loss_of_equal_codes_is_positive() -> None:
    one = torch.ones(2, 4)
    objective = CoherenceLoss(similarity_weight=0, consistency_weight=0)
    assert float(objective(one, one, torch.ones(2, 2))) == pytest.approx(0.25)


FEATURES = waves(8, 5, 0.5, 1.1, 0.1).abs()
WORDS = waves(8, 6, 1.2, 0.4, 0.9).abs()


def draw_pairs(count: int, seed: int = 0, width: int = 12) -> tuple[Tensor, Tensor]:
    """Return rectified features and word counts of `count` pairs."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, width, generator=generator).relu()
    return images, torch.rand(count, 7, generator=generator).lt(0.3).float()


def test_the_similarity_with_three_of_eight_dropped_has_its_published_values() -> None:
    similarity = graph_similarity(FEATURES, WORDS, neighbors=8 - 3 - 1, scale=10)
    published = [1.90300, 1.02447, 1.08982, 0.49545, 0.41434, 1.03359, 1.45180, 1.08341]
    assert similarity[0].tolist() == pytest.approx(published, abs=1e-5)
    assert float(similarity.sum()) == pytest.approx(61.7024, abs=1e-4)


def test_the_coherence_has_its_published_values() -> None:
    coherence = (graph_similarity(FEATURES, WORDS, neighbors=4, scale=10, coherence_weight=1) + 1) / 2
    assert coherence[0, :2].tolist() == pytest.approx([2.50499, 1.29432], abs=1e-5)


def test_the_similarity_equals_that_of_a_loop_over_sorted_rows() -> None:
    images, texts = draw_pairs(40)
    unit_images = images / images.norm(dim=1, keepdim=True).clamp(min=1e-12)
    unit_texts = texts / texts.norm(dim=1, keepdim=True).clamp(min=1e-12)
    pairs = 0.2 * unit_texts @ unit_texts.T + 0.8 * unit_images @ unit_images.T
    shares = torch.zeros_like(pairs)
    for row in range(40):
        others = sorted((j for j in range(40) if j != row), key=lambda j: float(pairs[row, j]), reverse=True)[:9]
        for j in others:
            shares[row, j] = pairs[row, j] / pairs[row, others].sum()
    expected = 2 * (0.6 * pairs + 0.4 * 18 * shares @ shares.T) - 1
    found = graph_similarity(images, texts, neighbors=9, scale=18, text_weight=0.2, coherence_weight=0.4)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("block", [1, 7, 64, 100])
def test_the_block_size_does_not_change_the_similarity(block: int) -> None:
    images, texts = draw_pairs(64)
    options = {"neighbors": 20, "scale": 40.0}
    one_block, blocks = (graph_similarity(images, texts, **options, block=size) for size in (64, block))
    torch.testing.assert_close(blocks, one_block, atol=1e-6, rtol=0)


def test_the_similarity_is_symmetric_and_at_least_minus_one_for_rectified_features() -> None:
    similarity = graph_similarity(*draw_pairs(50), neighbors=10, scale=20)
    torch.testing.assert_close(similarity, similarity.T, atol=1e-6, rtol=0)
    assert float(similarity.min()) >= -1


def test_orthogonal_halves_have_no_coherence() -> None:
    images = torch.eye(2).repeat_interleave(5, dim=0)
    similarity = graph_similarity(images, torch.zeros(10, 3), neighbors=4, scale=8, text_weight=0)
    within = 2 * (0.7 + 0.3 * 8 * torch.tensor([4 / 16, 3 / 16])) - 1  # an item shares 3 of 4 neighbors with another
    assert similarity[0, [0, 1, 5]].tolist() == pytest.approx([*within.tolist(), -1.0])


def test_pairs_without_a_text_are_compared_by_their_images() -> None:
    images, texts = draw_pairs(30)
    texts[3] = 0
    similarity = graph_similarity(images, texts, neighbors=6, scale=12, coherence_weight=0)
    cosines = torch.cosine_similarity(images[3], images)
    torch.testing.assert_close(similarity[3], 2 * 0.99 * cosines - 1, atol=1e-5, rtol=0)


def test_a_pair_without_features_and_text_has_the_lowest_similarity_with_all() -> None:
    images, texts = draw_pairs(30)
    images[3], texts[3] = 0, 0
    similarity = graph_similarity(images, texts, neighbors=6, scale=12)
    assert torch.isfinite(similarity).all()
    assert similarity[3].tolist() == [-1.0] * 30


def test_zero_features_and_texts_have_the_lowest_similarity() -> None:
    similarity = graph_similarity(torch.zeros(5, 4), torch.zeros(5, 2), neighbors=3, scale=6)
    assert similarity.tolist() == [[-1.0] * 5] * 5


def test_duplicates_of_a_pair_are_neighbors_of_each_other() -> None:
    images, texts = torch.ones(6, 4), torch.ones(6, 3)
    similarity = graph_similarity(images, texts, neighbors=5, scale=10)
    assert torch.isfinite(similarity).all()
    assert float(similarity[0, 0]) == pytest.approx(2 * (0.7 + 0.3 * 10 / 5) - 1)


@pytest.mark.parametrize("neighbors", [0, 8, 3000])
def test_a_number_of_neighbors_out_of_range_is_refused(neighbors: int) -> None:
    with pytest.raises(ValueError, match=f"wrong number of neighbors: got {neighbors}, expected 1 to 7 with 8 rows"):
        graph_similarity(FEATURES, WORDS, neighbors=neighbors, scale=10)


def test_another_number_of_texts_than_images_is_refused() -> None:
    with pytest.raises(ValueError, match="wrong number of texts: got 7, expected 8, one per image"):
        graph_similarity(FEATURES, WORDS[:7], neighbors=3, scale=10)


@pytest.mark.parametrize(("name", "value"), [("images", torch.inf), ("texts", torch.nan)])
def test_features_that_are_not_finite_are_refused(name: str, value: float) -> None:
    features = {"images": FEATURES.clone(), "texts": WORDS.clone()}
    features[name][2] = value
    with pytest.raises(ValueError, match=f"{name} not finite: got 1 such rows, expected none"):
        graph_similarity(**features, neighbors=3, scale=10)
