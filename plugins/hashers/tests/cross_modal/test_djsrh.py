"""DJSRH against values of its published code, and its trained layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from retbench_hashers.backbones.conv_words import ConvWords
from retbench_hashers.cross_modal.djsrh import DJSRH, HIDDEN_LAYERS
from torch import Tensor, nn

from retbench import Context, Noise, TrainingData
from retbench.testing import ToyDataset


def grid(rows: int, columns: int, a: float, b: float, c: float) -> Tensor:
    """Return sin(a i + b j + c), float32 (rows, columns)."""
    return (a * torch.arange(rows)[:, None] + b * torch.arange(columns) + c).sin()


FEATURES, TEXTS = grid(8, 5, 0.5, 1.1, 0.1).abs(), grid(8, 6, 1.2, 0.4, 0.9).abs()
IMAGE_CODES, TEXT_CODES = grid(8, 4, 0.7, 1.3, 0.2).tanh(), grid(8, 4, 0.9, -0.8, 0.5).tanh()


def test_similarity_and_loss_equal_those_of_the_published_code() -> None:
    hasher = DJSRH()
    similarity = hasher.similarity(FEATURES, TEXTS)
    torch.testing.assert_close(similarity[0, :4], torch.tensor([1.20833, 0.98698, 0.64366, 0.39783]), rtol=0, atol=1e-5)
    images, texts = IMAGE_CODES.clone().requires_grad_(), TEXT_CODES.clone().requires_grad_()
    loss = hasher.similarity_loss(images, texts, similarity)
    assert float(loss.detach()) == pytest.approx(1.422368, abs=1e-5)
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(loss, [images, texts]))


def test_the_second_order_is_a_mean_over_the_batch() -> None:
    """For one pair, S~ is 1, its cosine with itself; for an empty text and zero features, -1."""
    pair = DJSRH().similarity(torch.ones(1, 3), torch.ones(1, 2))
    torch.testing.assert_close(pair, torch.tensor([[1.5 * (0.6 + 0.4)]]))
    zeros = DJSRH().similarity(torch.zeros(2, 3), torch.zeros(2, 2))
    torch.testing.assert_close(zeros, torch.full((2, 2), 1.5 * (-0.6 + 0.4)))


def test_shares_and_weights_multiply_their_terms() -> None:
    text_similarity = DJSRH(image_share=0, second_order=0, scale=1).similarity(FEATURES, TEXTS)
    torch.testing.assert_close(
        text_similarity, DJSRH(image_share=1, second_order=0, scale=1).similarity(TEXTS, FEATURES)
    )
    similarity = DJSRH().similarity(FEATURES, TEXTS)
    losses = {
        weights: float(
            DJSRH(image_weight=weights[0], text_weight=weights[1]).similarity_loss(IMAGE_CODES, TEXT_CODES, similarity)
        )
        for weights in [(0, 0), (1, 0), (0, 1), (0.3, 0.2)]
    }
    image_term, text_term = losses[1, 0] - losses[0, 0], losses[0, 1] - losses[0, 0]
    assert losses[0.3, 0.2] == pytest.approx(losses[0, 0] + 0.3 * image_term + 0.2 * text_term)
    assert image_term != pytest.approx(text_term)


@pytest.mark.parametrize("backbone", HIDDEN_LAYERS)
def test_trained_hidden_trains_all_fully_connected_layers_of_every_backbone(backbone: str) -> None:
    hasher = DJSRH.create({"backbone": backbone, "trained": "hidden"})
    with torch.device("meta"):
        network = hasher.build_network(hasher.backbone_part().build(), 10, 16)
    head, *hidden = hasher.trained_image_modules(network)
    assert head is network.image_head
    kinds = {type(module) for layers in hidden for module in layers.modules()}
    assert kinds & {nn.Linear, nn.Conv2d}
    learned = sum(weight.numel() for layers in hidden for weight in layers.parameters())
    rest = [w for name, w in network.features.named_parameters() if not name.startswith(HIDDEN_LAYERS[backbone])]
    assert learned + sum(weight.numel() for weight in rest) == sum(w.numel() for w in network.features.parameters())
    assert all(weight.ndim in (1, 4) for weight in rest), "a fully connected layer is not trained"


@pytest.mark.parametrize(("trained", "learned"), [("all", "features."), ("hidden", "features.hidden"), ("none", ())])
def test_only_trained_layers_of_the_backbone_change(trained: str, learned: str | tuple[str, ...]) -> None:
    toys = ToyDataset(side=16)
    data = TrainingData(toys, replace(toys.facts(), bits=4), torch.device("cpu"))
    torch.manual_seed(0)
    start = ConvWords().build().state_dict()
    ctx = Context(data.device, "float32", Noise(0, ("fit",)), {"backbone": start})
    state = DJSRH.create({"trained": trained, "epochs": 1, "batch_size": 8, "hidden": 6}).fit(data, ctx)
    before = {f"features.{name}": tensor for name, tensor in start.items()}
    assert {name for name in before if not torch.equal(before[name], state[name])} == {
        name for name in before if name.startswith(learned)
    }


def test_features_are_not_cached_and_the_warm_up_uses_texts() -> None:
    assert DJSRH.cached is None
    assert DJSRH().warmup == "texts"
