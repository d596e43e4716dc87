"""Values of the option `weights`."""

from __future__ import annotations

import pytest
from retbench_hashers.backbones.starting_weights import starting_weights


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
def test_it_is_what_the_backbone_can_start_from(value: str, backbone: str, expected: str) -> None:
    assert starting_weights(value, backbone) == expected


@pytest.mark.parametrize(
    ("value", "backbone"),
    [("imagenet", "conv"), ("warm-up", "alexnet"), ("net.mat", "alexnet"), ("nonsense", "cnn-f")],
)
def test_anything_else_is_refused(value: str, backbone: str) -> None:
    with pytest.raises(ValueError, match=r"starts from its warm-up|expected imagenet, random, or a path that ends in"):
        starting_weights(value, backbone)
