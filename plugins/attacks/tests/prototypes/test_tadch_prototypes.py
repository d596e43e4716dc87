"""TA-DCH's prototype network: its function, its loss and its training, compared with the published code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from retbench_attacks.prototypes.prototype_network import Prototypes
from retbench_attacks.prototypes.tadch_prototypes import Attention, FusionNetwork, TadchPrototypes, split_batches
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import Context, Facts, HashNetwork, Knowledge, Noise, State, TrainingData, UserError, sign
from retbench.testing import ToyDataset, check_component

BITS, TEXT_WIDTH = 8, 5
CPU = torch.device("cpu")
SMALL = TadchPrototypes(hidden=8, width=16, epochs=2, batch_size=5, learning_rate=1e-3)

Weights = dict[str, Tensor]


class TextDataset(ToyDataset):
    """A toy dataset whose texts differ from its labels."""

    def facts(self) -> Facts:
        return replace(super().facts(), text_width=TEXT_WIDTH)

    def texts(self, split: Any, rows: Sequence[int]) -> Tensor:
        return torch.stack([torch.sin(torch.arange(1.0, TEXT_WIDTH + 1) * (row + 1)) for row in rows])


@pytest.fixture
def knowledge() -> Knowledge:
    """Eleven training rows; each code is the majority of the codes of its classes."""
    dataset = TextDataset(database=22)
    centers = torch.randn(3, BITS, generator=torch.Generator().manual_seed(0)).sign()
    codes = sign(dataset.labels("train").float() @ centers)
    facts = replace(dataset.facts(), bits=BITS)
    grants: Any = {"training_codes": codes}
    return Knowledge(HashNetwork(), facts, TrainingData(dataset, facts, CPU), grants)


def fit_part(
    part: TadchPrototypes, knowledge: Knowledge, curves: dict[str, Any] | None = None, **services: Any
) -> State:
    torch.manual_seed(0)
    keep = {} if curves is None else curves
    return part.fit(knowledge, Context(CPU, "float32", Noise(0, ("fit",)), record=keep.__setitem__, **services))


def test_loss_has_the_published_value() -> None:
    rows, columns = torch.arange(3)[:, None], torch.arange(4)
    codes = torch.tanh(torch.sin(0.3 * rows + 0.8 * columns + 0.1))
    predicted_labels = torch.sigmoid(torch.sin(0.4 * rows + 0.6 * columns[:3] + 0.2))
    training_codes = torch.sign(torch.sin(1.9 * torch.arange(6)[:, None] + 0.6 * columns + 0.3))
    labels = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 0]]).float()
    outputs, similar = Prototypes(torch.empty(0), codes, predicted_labels), labels[:3] @ labels.T > 0
    single: dict[str, float] = {"class_weight": 0, "similarity": 0, "quantization": 0}
    for term, value in (("class_weight", 0.315518), ("similarity", 0.872311), ("quantization", 1.168669)):
        loss = TadchPrototypes(**{**single, term: 1}).loss(outputs, labels[:3], training_codes, similar)
        assert loss.item() == pytest.approx(value, abs=1e-5), term
    assert TadchPrototypes().loss(outputs, labels[:3], training_codes, similar).item() == pytest.approx(
        4.678243, abs=1e-5
    )


def train_published_loop(part: TadchPrototypes, knowledge: Knowledge) -> tuple[list[float], FusionNetwork]:
    """Return the mean losses and the network of the published loop: two epochs, in batches of five and six rows."""
    torch.manual_seed(0)
    network = FusionNetwork(3, TEXT_WIDTH, BITS, part.hidden, part.width)
    adam = torch.optim.Adam(network.parameters(), betas=(0.5, 0.999))
    training, codes, curve = knowledge.training, knowledge.grant("training_codes").float(), []
    y, t = training.labels.float(), training.texts(range(11))
    for epoch, rates in enumerate([(1.0, 1.0), (0.1, 0.01)]):
        order, losses = Noise(0, ("fit",)).uniform("order", (11,), epoch)[0].argsort(stable=True), []
        for rows, rate in zip((order[:5], order[5:]), rates, strict=True):
            _, h, predicted_labels = network(y[rows], t[rows])
            theta = h @ codes.T / 2
            similar = torch.tensor([[float((y[a] * y[b]).sum() > 0) for b in range(11)] for a in rows.tolist()])
            likelihood = -(similar * theta - torch.log(1 + torch.exp(theta))).sum() / (11 * len(rows))
            distance = ((torch.sign(h) - h) ** 2).sum() / len(rows)
            loss = ((predicted_labels - y[rows]) ** 2).sum() / (3 * len(rows)) + 5 * likelihood + 1e-3 * distance
            adam.param_groups[0]["lr"] = part.learning_rate * rate
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        curve.append(sum(losses) / 2)
    return curve, network


def undetermined_biases(network: nn.Module) -> set[str]:
    """Return the biases of convolutions: the next normalization cancels them, and Adam amplifies their rounding."""
    return {f"{name}.bias" for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}


@pytest.mark.usefixtures("smooth_activations")
def test_training_matches_the_published_loop(knowledge: Knowledge) -> None:
    curves: dict[str, Any] = {}
    state = fit_part(SMALL, knowledge, curves)
    expected, network = train_published_loop(SMALL, knowledge)
    assert curves["loss"] == pytest.approx(expected, rel=1e-5)
    for name, weight in network.state_dict().items():
        if (
            name not in undetermined_biases(network) and "running_mean" not in name
        ):  # the running means include those biases
            assert torch.allclose(state[name], weight, rtol=0, atol=1e-4), name


def test_prototypes_approach_similar_codes(knowledge: Knowledge) -> None:
    part = SMALL.model_copy(update={"hidden": 32, "epochs": 30, "learning_rate": 3e-3})
    curves: dict[str, Any] = {}
    network = part.module(fit_part(part, knowledge, curves), CPU)
    labels, texts = knowledge.training.labels.float(), knowledge.training.texts(range(11))
    codes = sign(network(labels, texts).codes).float() @ knowledge.grant("training_codes").float().T / BITS
    similar = labels @ labels.T > 0
    assert float(codes[similar].mean()) > float(codes[~similar].mean()) + 0.3
    assert len(curves["loss"]) == 30
    assert curves["loss"][-1] < curves["loss"][0]


@pytest.mark.parametrize(
    ("steps", "milestones", "rates"),
    [
        (8, "exact", {3: 1e-4, 4: 1e-5, 5: 1e-5, 6: 1e-6, 7: 1e-6}),
        (8, "published", {3: 1e-4, 4: 1e-5, 5: 1e-5, 6: 1e-6, 7: 1e-6}),
        (8250, "exact", {4124: 1e-4, 4125: 1e-5, 6187: 1e-5, 6188: 1e-6}),
        (8250, "published", {4124: 1e-4, 4125: 1e-5, 6188: 1e-5, 8249: 1e-5}),  # 10 500 rows, 50 epochs
        (7, "published", {3: 1e-4, 4: 1e-4, 6: 1e-4}),
    ],
)
def test_learning_rate_decays_at_both_milestones_except_for_the_published_bug(
    steps: int, milestones: Any, rates: dict[int, float]
) -> None:
    part = TadchPrototypes(milestones=milestones)
    assert [part.learning_rate_at(step, steps) for step in rates] == pytest.approx(list(rates.values()))


def test_published_bug_does_not_affect_20_epochs() -> None:
    exact, published = TadchPrototypes(), TadchPrototypes(milestones="published")
    steps = 20 * 165
    rates = [[part.learning_rate_at(step, steps) for step in range(steps)] for part in (exact, published)]
    assert rates[0] == rates[1]


@pytest.mark.parametrize(("count", "sizes"), [(10, [5, 5]), (11, [5, 6]), (12, [5, 5, 2]), (6, [6]), (3, [3])])
def test_last_batch_of_one_row_is_merged_with_the_previous(count: int, sizes: list[int]) -> None:
    batches = split_batches(torch.arange(count), 5)
    assert [len(rows) for rows in batches] == sizes
    assert torch.cat(batches).tolist() == list(range(count))


def test_single_training_row_is_an_error(knowledge: Knowledge) -> None:
    dataset = TextDataset(database=2)
    single = replace(knowledge, data=TrainingData(dataset, dataset.facts(), CPU))
    with pytest.raises(UserError, match="too few training rows: got 1, expected at least 2"):
        fit_part(SMALL, single)


def test_interrupted_training_resumes_to_the_same_weights(knowledge: Knowledge, tmp_path: Path) -> None:
    part = SMALL.model_copy(update={"epochs": 4})
    curves: list[dict[str, Any]] = [{}, {}]
    steps: list[int] = []
    whole = fit_part(part, knowledge, curves[0])

    def stop_in_the_third_epoch(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    services: dict[str, Any] = {"checkpoints": tmp_path, "checkpoint_every": 0}
    with pytest.raises(KeyboardInterrupt):
        fit_part(part, knowledge, progress=stop_in_the_third_epoch, **services)
    resumed = fit_part(part, knowledge, curves[1], progress=lambda done, total: steps.append(done), **services)
    assert steps == [5, 6, 7, 8]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert curves[1] == curves[0]


class DivergingPrototypes(TadchPrototypes):
    """A prototype network whose loss is infinite at the third step."""

    losses: ClassVar[list[float]] = []

    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        loss = super().loss(prototypes, labels, training_codes, similar)
        self.losses.append(loss.item())
        return loss / (0 if len(self.losses) == 3 else 1)


def test_training_stops_at_a_loss_that_is_not_finite(knowledge: Knowledge) -> None:
    DivergingPrototypes.losses.clear()
    with pytest.raises(ValueError, match="loss of step 3 is not finite: got inf; lower the learning rate"):
        fit_part(DivergingPrototypes(hidden=8, width=16, epochs=2, batch_size=5), knowledge)


def test_module_has_the_sizes_of_the_weights(knowledge: Knowledge) -> None:
    network = SMALL.module(fit_part(SMALL, knowledge), CPU)
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())
    shapes = [tuple(out.shape) for out in network(torch.zeros(1, 3), torch.zeros(1, TEXT_WIDTH))]
    assert shapes == [(1, 16, 16, 16), (1, BITS), (1, 3)]


def test_part_fulfills_its_contract() -> None:
    check_component(SMALL)


def test_the_defaults_are_the_published_ones() -> None:
    part = TadchPrototypes()
    assert (part.hidden, part.width, part.epochs, part.batch_size, part.learning_rate) == (4096, 64, 20, 64, 1e-4)
    assert (part.class_weight, part.similarity, part.quantization, part.milestones) == (1.0, 5.0, 1e-3, "exact")


@pytest.mark.parametrize(
    ("classes", "texts", "count"),
    [
        (10, 10, 135_296_554),
        (255, 1024, 141_457_183),
        (24, 1386, 141_047_352),
        (80, 1024, 140_023_408),
        (21, 1000, 139_441_717),
    ],
    ids=["WIKI", "IAPR", "FLICKR", "COCO", "NUS"],
)
def test_number_of_weights_is_the_published_one(classes: int, texts: int, count: int) -> None:
    with torch.device("meta"):
        network = FusionNetwork(classes, texts, bits=32)
        semantics, codes, labels = network(torch.empty(2, classes), torch.empty(2, texts))
    assert sum(weight.numel() for weight in network.parameters()) == count
    assert (semantics.shape, codes.shape, labels.shape) == ((2, 64, 16, 16), (2, 32), (2, classes))


def instance_norm(features: Tensor) -> Tensor:
    mean, variance = features.mean((2, 3), keepdim=True), features.var((2, 3), keepdim=True, unbiased=False)
    return (features - mean) / torch.sqrt(variance + 1e-5)


def run_branch(weights: Weights, name: str, vectors: Tensor, width: int) -> Tensor:
    hidden = (vectors @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"]).clamp(min=0)
    flat = hidden @ weights[f"{name}.2.weight"].T + weights[f"{name}.2.bias"]
    big = flat.reshape(len(vectors), width // 4, 32, 32)
    halved = F.conv2d(big, weights[f"{name}.4.weight"], weights[f"{name}.4.bias"], stride=2, padding=1)
    smooth = F.conv2d(
        torch.tanh(instance_norm(halved)), weights[f"{name}.7.weight"], weights[f"{name}.7.bias"], padding=2
    )
    return torch.tanh(instance_norm(smooth))


def run_bottleneck(weights: Weights, name: str, features: Tensor, training: bool) -> Tensor:
    for convolution, normalization in ((0, 1), (3, 4)):
        kernel, bias = (weights[f"{name}.{convolution}.{kind}"] for kind in ("weight", "bias"))
        features = torch.einsum("oi,bihw->bohw", kernel[:, :, 0, 0], features) + bias[:, None, None]
        mean, var = (weights[f"{name}.{normalization}.running_{kind}"] for kind in ("mean", "var"))
        if training:
            mean, var = features.mean((0, 2, 3)), features.var((0, 2, 3), unbiased=False)
        scale, shift = (weights[f"{name}.{normalization}.{kind}"][:, None, None] for kind in ("weight", "bias"))
        features = (features - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5) * scale + shift
        features = features.clamp(min=0) if normalization == 1 else features
    return features


def run_attention(weights: Weights, name: str, features: Tensor, training: bool) -> Tensor:
    pooled = features.sum((2, 3), keepdim=True) / features[0, 0].numel()
    local = run_bottleneck(weights, f"{name}.local", features, training)
    return 1 / (1 + torch.exp(-local - run_bottleneck(weights, f"{name}.overall", pooled, training)))


@pytest.mark.parametrize("training", [True, False])
def test_network_computes_the_published_function(training: bool) -> None:
    torch.manual_seed(0)
    network = FusionNetwork(classes=3, texts=5, bits=4, hidden=6, width=16).double().train(training)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and name.split(".")[0] in {"first", "second"}:
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    labels, texts = torch.rand(4, 3).double().round(), torch.randn(4, 5).double()
    left, right = run_branch(weights, "labels", labels, 16), run_branch(weights, "texts", texts, 16)
    weight_map = run_attention(weights, "first", left + right, training)
    weight_map = run_attention(weights, "second", left * weight_map + right * (1 - weight_map), training)
    fused = left * weight_map + right * (1 - weight_map)
    features = fused
    for layer in (0, 3):
        kernel, bias = weights[f"trunk.{layer}.weight"], weights[f"trunk.{layer}.bias"]
        features = torch.tanh(instance_norm(F.conv2d(features, kernel, bias, stride=2, padding=1)))
    flat = features.reshape(4, -1)
    code, label = (flat @ weights[f"{head}.weight"].T + weights[f"{head}.bias"] for head in ("code_head", "label_head"))
    got = network(labels, texts)
    for name, expected in (("semantics", fused), ("codes", torch.tanh(code)), ("labels", torch.sigmoid(label))):
        assert torch.allclose(getattr(got, name), expected, atol=1e-10), name


def test_outputs_do_not_depend_on_the_batch() -> None:
    network = FusionNetwork(classes=3, texts=5, bits=4, hidden=6, width=16).eval()
    labels, texts = torch.eye(3), torch.randn(3, 5)
    single = [network(labels[row : row + 1], texts[row : row + 1]).codes for row in range(3)]
    assert torch.allclose(network(labels, texts).codes, torch.cat(single), atol=1e-5)


def test_attention_is_between_zero_and_one() -> None:
    weights = Attention(16)(10 * torch.randn(3, 16, 16, 16))
    assert weights.shape == (3, 16, 16, 16)
    assert 0 < weights.min().item() < weights.max().item() < 1
