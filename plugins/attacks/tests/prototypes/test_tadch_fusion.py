"""The fusion net of TA-DCH: its published sizes, and what it computes."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.prototypes.tadch_fusion import Attention, FusionNet
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]


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
def test_the_published_nets_have_as_many_weights(classes: int, texts: int, count: int) -> None:
    with torch.device("meta"):
        net = FusionNet(classes, texts, bits=32)
        semantics, codes, labels = net(torch.empty(2, classes), torch.empty(2, texts))
    assert sum(weight.numel() for weight in net.parameters()) == count
    assert (semantics.shape, codes.shape, labels.shape) == ((2, 64, 16, 16), (2, 32), (2, classes))


def standardised(features: Tensor) -> Tensor:
    mean, spread = features.mean((2, 3), keepdim=True), features.var((2, 3), keepdim=True, unbiased=False)
    return (features - mean) / torch.sqrt(spread + 1e-5)


def spread_out(weights: Weights, name: str, vectors: Tensor, width: int) -> Tensor:
    inner = (vectors @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"]).clamp(min=0)
    flat = inner @ weights[f"{name}.2.weight"].T + weights[f"{name}.2.bias"]
    big = flat.reshape(len(vectors), width // 4, 32, 32)
    halved = F.conv2d(big, weights[f"{name}.4.weight"], weights[f"{name}.4.bias"], stride=2, padding=1)
    smooth = F.conv2d(
        torch.tanh(standardised(halved)), weights[f"{name}.7.weight"], weights[f"{name}.7.bias"], padding=2
    )
    return torch.tanh(standardised(smooth))


def squeezed(weights: Weights, name: str, features: Tensor, training: bool) -> Tensor:
    for convolution, normalisation in ((0, 1), (3, 4)):
        kernel, bias = (weights[f"{name}.{convolution}.{kind}"] for kind in ("weight", "bias"))
        features = torch.einsum("oi,bihw->bohw", kernel[:, :, 0, 0], features) + bias[:, None, None]
        mean, var = (weights[f"{name}.{normalisation}.running_{kind}"] for kind in ("mean", "var"))
        if training:
            mean, var = features.mean((0, 2, 3)), features.var((0, 2, 3), unbiased=False)
        scale, shift = (weights[f"{name}.{normalisation}.{kind}"][:, None, None] for kind in ("weight", "bias"))
        features = (features - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5) * scale + shift
        features = features.clamp(min=0) if normalisation == 1 else features
    return features


def weighed(weights: Weights, name: str, features: Tensor, training: bool) -> Tensor:
    pooled = features.sum((2, 3), keepdim=True) / features[0, 0].numel()
    local = squeezed(weights, f"{name}.local", features, training)
    return 1 / (1 + torch.exp(-local - squeezed(weights, f"{name}.overall", pooled, training)))


@pytest.mark.parametrize("training", [True, False])
def test_it_computes_the_published_fusion(training: bool) -> None:
    torch.manual_seed(0)
    net = FusionNet(classes=3, texts=5, bits=4, hidden=6, width=16).double().train(training)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point() and name.split(".")[0] in {"first", "second"}:
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    labels, texts = torch.rand(4, 3).double().round(), torch.randn(4, 5).double()
    left, right = spread_out(weights, "labels", labels, 16), spread_out(weights, "texts", texts, 16)
    share = weighed(weights, "first", left + right, training)
    share = weighed(weights, "second", left * share + right * (1 - share), training)
    fused = left * share + right * (1 - share)
    features = fused
    for layer in (0, 3):
        kernel, bias = weights[f"trunk.{layer}.weight"], weights[f"trunk.{layer}.bias"]
        features = torch.tanh(standardised(F.conv2d(features, kernel, bias, stride=2, padding=1)))
    flat = features.reshape(4, -1)
    code, label = (flat @ weights[f"{head}.weight"].T + weights[f"{head}.bias"] for head in ("code_head", "label_head"))
    got = net(labels, texts)
    for name, expected in (("semantics", fused), ("codes", torch.tanh(code)), ("labels", torch.sigmoid(label))):
        assert torch.allclose(getattr(got, name), expected, atol=1e-10), name


def test_a_target_is_fused_alike_in_any_batch() -> None:
    net = FusionNet(classes=3, texts=5, bits=4, hidden=6, width=16).eval()
    labels, texts = torch.eye(3), torch.randn(3, 5)
    alone = [net(labels[row : row + 1], texts[row : row + 1]).codes for row in range(3)]
    assert torch.allclose(net(labels, texts).codes, torch.cat(alone), atol=1e-5)


def test_attention_lies_between_zero_and_one() -> None:
    weights = Attention(16)(10 * torch.randn(3, 16, 16, 16))
    assert weights.shape == (3, 16, 16, 16)
    assert 0 < weights.min().item() < weights.max().item() < 1
