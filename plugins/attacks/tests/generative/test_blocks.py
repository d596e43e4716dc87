"""Shapes and statistics of the generators' blocks."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.generative.blocks import ResidualBlock, conv_norm_relu, upsampling_block
from torch import nn


def test_residual_block_adds_its_input() -> None:
    block, features = ResidualBlock(4), torch.randn(2, 4, 6, 6)
    change = block(features) - features
    assert change.shape == features.shape
    assert change.mean(dim=(2, 3)).abs().max().item() < 1e-5, "the change is normalized per image"
    nn.init.zeros_(block.change[1].weight)
    assert torch.equal(block(features), features)


def test_upsampling_block_doubles_the_resolution() -> None:
    assert upsampling_block(4, 3)(torch.randn(2, 4, 5, 7)).shape == (2, 3, 10, 14)


def test_conv_norm_relu_normalizes_and_rectifies() -> None:
    features = torch.randn(2, 3, 9, 9)
    block = conv_norm_relu(nn.Conv2d(3, 5, 1))
    normalized = block[:2](features)
    assert normalized.mean(dim=(2, 3)).abs().max().item() < 1e-5
    assert normalized.var(dim=(2, 3), unbiased=False).flatten().tolist() == pytest.approx([1.0] * 10, rel=1e-2)
    assert torch.equal(block(features), normalized.clamp(min=0))
