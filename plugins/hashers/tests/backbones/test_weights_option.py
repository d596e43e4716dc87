"""Values of the option `weights`."""

from __future__ import annotations

import pytest
from retbench_hashers.backbones.weights_option import resolve_weights


@pytest.mark.parametrize(
    ("value", "backbone", "expected"),
    [
        ("auto", "conv", "warm-up"),
        ("auto", "vgg11", "imagenet"),
        ("warm-up", "conv", "warm-up"),
        ("random", "cnn-f", "random"),
        ("vgg.mat", "cnn-f", "vgg.mat"),
        ("net.pth", "alexnet", "net.pth"),
    ],
)
def test_valid_weights_are_accepted_and_auto_is_resolved(value: str, backbone: str, expected: str) -> None:
    assert resolve_weights(value, backbone) == expected


@pytest.mark.parametrize(
    ("value", "backbone"),
    [("imagenet", "conv"), ("warm-up", "alexnet"), ("net.mat", "alexnet"), ("nonsense", "cnn-f")],
)
def test_invalid_weights_are_refused(value: str, backbone: str) -> None:
    with pytest.raises(ValueError, match=r"conv takes warm-up only|expected imagenet, random, or a path that ends in"):
        resolve_weights(value, backbone)
