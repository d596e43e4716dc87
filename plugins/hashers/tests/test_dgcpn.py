"""DGCPN's options, its heads, and its training against a transcription of the published steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from retbench_hashers.conv_words import ConvWords
from retbench_hashers.dgcpn import DGCPN
from retbench_hashers.dgcpn_similarity import graph_similarity
from retbench_hashers.held_out import HeldOut
from torch import Tensor
from torch.nn.functional import dropout

from retbench import Context, Facts, Noise, OptionError, State, TrainingData
from retbench.testing import ToyDataset

CPU = torch.device("cpu")
BITS = 8
TINY = {"hidden": 6, "epochs": 3, "batch": 8, "rate": 0.05}


def tiny(**options: object) -> DGCPN:
    return DGCPN.create({**TINY, **options})


def facts(train: int) -> Facts:
    return Facts("toy", (32, 32), ("red",), {"train": train, "query": 1, "database": train}, text_width=3, bits=BITS)


class WordlessToy(ToyDataset):
    """Its first training item has no text, the second no label."""

    def texts(self, split: str, rows: object) -> Tensor:
        texts = super().texts(split, rows)
        texts[torch.tensor(list(rows)) == 0] = 0
        return texts

    def labels(self, split: str) -> Tensor:
        labels = super().labels(split)
        labels[1] = 0
        return labels


def training_data(rows: int = 20, dataset: type[ToyDataset] = ToyDataset) -> TrainingData:
    toys = dataset(side=8, database=2 * rows)
    features = torch.randn(rows, 256, generator=torch.Generator().manual_seed(1)).relu()
    return TrainingData(toys, replace(toys.facts(), bits=BITS), CPU, (features,))


def context(folder: Path | None = None, **services: object) -> Context:
    torch.manual_seed(0)
    backbone = ConvWords().build().state_dict()
    return Context(CPU, "float32", Noise(0, ("fit",)), {"backbone": backbone}, checkpoints=folder, **services)


def fitted(hasher: DGCPN, data: TrainingData, ctx: Context) -> State:
    torch.manual_seed(5)
    return hasher.fit(data, ctx)


def started(hasher: DGCPN, data: TrainingData) -> State:
    """Returns the weights that `fitted` starts from."""
    ctx = context()
    torch.manual_seed(5)
    return hasher.begin(data, ctx).state_dict()


def test_published_heads_have_the_published_sizes() -> None:
    with torch.device("meta"):
        images, texts = DGCPN().image_head(4096, 32), DGCPN().text_head(1386, 32)
    assert sum(weight.numel() for weight in images.parameters()) == 4096 * 4097 + 4097 * 32
    assert sum(weight.numel() for weight in texts.parameters()) == 4096 * 1387 + 4097 * 32


def test_only_the_last_text_layer_starts_wide() -> None:
    images, texts = DGCPN().image_head(64, 64), DGCPN().text_head(64, 64)
    assert float(texts[-1].weight.detach().std()) == pytest.approx(0.3, rel=0.02)
    assert float(texts[-1].bias.detach().abs().max()) <= 4096**-0.5
    assert float(images[-1].weight.detach().abs().max()) <= 4096**-0.5


def loss_of(images: Tensor, texts: Tensor, wanted: Tensor) -> Tensor:
    u, v = images / images.norm(dim=1, keepdim=True), texts / texts.norm(dim=1, keepdim=True)
    ii, tt, it, apart = u @ u.T, v @ v.T, u @ v.T, 1 - torch.eye(len(u))
    total = ((it.diagonal() - 1.5) ** 2).mean()
    for each in (ii, tt, it):
        total = total + (((each - wanted) * apart) ** 2).mean()
    return total + ((it - ii) ** 2 + (it - tt) ** 2 + (ii - tt) ** 2 + (it - it.T) ** 2).mean()


class Transcribed:
    """The published training of both heads in plain tensor arithmetic, from the weights that `fitted` starts from."""

    def __init__(self, hasher: DGCPN, data: TrainingData) -> None:
        self.hasher = hasher
        rows = list(range(len(data)))
        self.features, self.texts = data.features(rows), data.texts(rows)
        self.wanted = graph_similarity(self.features, self.texts, neighbours=8, scale=16)
        state = started(hasher, data)
        self.weights = {name: w.clone().requires_grad_() for name, w in state.items() if "head" in name}
        self.speeds = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}

    def codes(self, head: str, inputs: Tensor) -> Tensor:
        hidden = (inputs @ self.weights[f"{head}.0.weight"].T + self.weights[f"{head}.0.bias"]).clamp(min=0)
        dropped = dropout(hidden, self.hasher.dropout)
        return torch.tanh(dropped @ self.weights[f"{head}.3.weight"].T + self.weights[f"{head}.3.bias"])

    def gradients(self, loss: Tensor) -> dict[str, Tensor]:
        found = torch.autograd.grad(loss, list(self.weights.values()), allow_unused=True)
        return {name: each for name, each in zip(self.weights, found, strict=True) if each is not None}

    def move(self, gradients: dict[str, Tensor]) -> None:
        for name, gradient in gradients.items():
            pulled = gradient + self.hasher.decay * self.weights[name].detach()
            self.speeds[name].mul_(self.hasher.momentum).add_(pulled)
            self.weights[name].data.sub_(self.hasher.rate * self.speeds[name])

    def step(self, rows: Tensor) -> float:
        wanted = self.wanted[rows][:, rows]
        images, texts = self.codes("image_head", self.features[rows]), self.codes("text_head", self.texts[rows])
        loss = loss_of(images, texts, wanted)
        self.move(self.gradients(loss))
        images, texts = self.codes("image_head", self.features[rows]), self.codes("text_head", self.texts[rows])
        for_images = self.gradients(loss_of(images, texts.detach().sign(), wanted))
        for_texts = self.gradients(loss_of(images.detach().sign(), texts, wanted))
        self.move({**for_images, **for_texts})
        return float(loss.detach()) * len(rows)


@pytest.mark.parametrize("batch", [20, 8, 19], ids=["one batch", "a short last batch", "a last batch of one row"])
def test_the_training_is_the_published_one_step_by_step(batch: int) -> None:
    hasher, data, curves = tiny(batch=batch, epochs=2), training_data(), {}
    state = fitted(hasher, data, context(record=curves.__setitem__))
    shuffle, losses = context().noise.generator("shuffle"), []
    ours = Transcribed(hasher, data)  # leaves the global generator where the training took it up
    for _ in range(2):
        batches = torch.randperm(20, generator=shuffle).split(batch)
        losses.append(sum(ours.step(rows) for rows in batches) / 20)
    assert curves["loss"] == pytest.approx(losses, abs=1e-5)
    for name, weight in ours.weights.items():
        torch.testing.assert_close(state[name], weight.detach(), atol=1e-5, rtol=1e-5)


def test_the_backbone_is_left_as_it_is_and_the_heads_are_not() -> None:
    hasher, data = tiny(), training_data()
    before, after = started(hasher, data), fitted(hasher, data, context())
    moved = {name.split(".")[0] for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert moved == {"image_head", "text_head"}


def test_the_training_brings_the_codes_of_a_pair_together() -> None:
    curves: dict[str, list[float]] = {}
    hasher, data = tiny(epochs=25, hidden=64), training_data()
    network = hasher.network(fitted(hasher, data, context(record=curves.__setitem__)), CPU).eval()
    rows = list(range(20))
    with torch.no_grad():
        images, texts = network.from_features(data.features(rows)).tanh(), network.text(data.texts(rows)).tanh()
    assert curves["loss"][-1] < curves["loss"][0]
    assert float(torch.cosine_similarity(images, texts).mean()) > float(
        torch.cosine_similarity(images, texts.roll(1, 0)).mean()
    )


@pytest.mark.parametrize("validation", [0, 6])
def test_labels_are_read_for_validation_alone(validation: int) -> None:
    read: list[str] = []

    class Watched(ToyDataset):
        def labels(self, split: str) -> Tensor:
            read.append(split)
            return super().labels(split)

        def texts(self, split: str, rows: object) -> Tensor:
            return ToyDataset.labels(self, split)[list(rows)].float()

    fitted(tiny(validation=validation), training_data(dataset=Watched), context())
    assert set(read) == ({"train"} if validation else set())


@pytest.mark.parametrize("validation", [0, 5])
def test_items_without_text_label_or_features_leave_everything_finite(validation: int) -> None:
    data = training_data(dataset=WordlessToy)
    data.shards[0][0] = 0
    state = fitted(tiny(validation=validation), data, context())
    assert all(torch.isfinite(weights).all() for weights in state.values())


def test_a_resumed_training_ends_at_the_same_bits(tmp_path: Path) -> None:
    class Killed(BaseException):
        """Nothing in a training catches it."""

    def kill(done: int, total: int) -> None:
        if done == 8:  # in the third epoch of three batches
            raise Killed

    hasher, data = tiny(epochs=5, validation=4, patience=3, batch=6), training_data()
    curves, resumed_curves = {}, {}
    whole = fitted(hasher, data, context(record=curves.__setitem__))
    with pytest.raises(Killed):
        fitted(hasher, data, context(tmp_path, progress=kill))
    steps: list[int] = []
    services = {"record": resumed_curves.__setitem__, "progress": lambda done, total: steps.append(done)}
    resumed = fitted(hasher, data, context(tmp_path, **services))
    assert steps[0] == 7
    assert curves == resumed_curves
    assert all(torch.equal(weights, resumed[name]) for name, weights in whole.items())


def test_the_best_validated_epoch_is_kept() -> None:
    curves: dict[str, list[float]] = {}
    hasher, data = tiny(epochs=8, validation=8), training_data()
    kept = fitted(hasher, data, context(record=curves.__setitem__))
    scores = curves["validation"]
    best = scores.index(max(scores))
    assert best < len(scores) - 1, "the last epoch is not the best one, so keeping it would show"
    until_then = fitted(tiny(epochs=best + 1, validation=8), data, context())
    assert all(torch.equal(weights, kept[name]) for name, weights in until_then.items())
    network = hasher.network(kept, CPU).eval()
    assert HeldOut.draw(data, 8, context()).score(network, context()) == max(scores)


@pytest.mark.parametrize("patience", [1, 4])
def test_it_stops_when_nothing_became_better_for_longer_than_its_patience(patience: int) -> None:
    curves: dict[str, list[float]] = {}
    hasher = tiny(epochs=20, validation=4, patience=patience, rate=1e-12)
    fitted(hasher, training_data(), context(record=curves.__setitem__))
    assert len(set(curves["validation"])) == 1
    assert len(curves["loss"]) == 1 + patience + 1


def test_without_validation_it_takes_every_epoch() -> None:
    curves: dict[str, list[float]] = {}
    fitted(tiny(epochs=5, patience=1, rate=1e-12), training_data(), context(record=curves.__setitem__))
    assert len(curves.pop("loss")) == 5
    assert not curves


@pytest.mark.parametrize(
    ("options", "rows", "kept", "scale"),
    [
        ({}, 5000, 2000, 4000.0),
        ({}, 2173, 869, 1738.0),
        ({"neighbours": 1999, "scale": 4000}, 5000, 1999, 4000.0),
        ({"neighbours": 0.5, "validation": 100}, 300, 100, 200.0),
    ],
)
def test_a_row_says_how_many_neighbours_are_kept_at_what_scale(
    options: dict[str, object], rows: int, kept: int, scale: float
) -> None:
    assert DGCPN.create(options).details(facts(rows)) == {"neighbours": kept, "scale": scale}


@pytest.mark.parametrize(
    ("options", "rows"),
    [({"neighbours": 2000}, 2000), ({"neighbours": 0.4}, 1), ({"neighbours": 30, "validation": 20}, 50)],
)
def test_a_cell_with_too_few_training_items_is_refused(options: dict[str, object], rows: int) -> None:
    assert "neighbours" in (DGCPN.create(options).supports(facts(rows)) or "")
    assert DGCPN.create(options).supports(facts(rows + 5)) is None


@pytest.mark.parametrize("neighbours", [0, 0.0, 1.0, 1.5, -0.1, "many"])
def test_neighbours_are_a_number_of_items_or_a_share(neighbours: object) -> None:
    with pytest.raises(OptionError, match="hasher dgcpn: neighbours"):
        DGCPN.create({"neighbours": neighbours})


def test_a_reader_is_told_where_labels_chose_the_epoch() -> None:
    assert DGCPN().caveats(facts(100)) == ()
    (caveat,) = DGCPN(validation=30).caveats(facts(100))
    assert "labels of 30 training items" in caveat
