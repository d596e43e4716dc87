"""Loading of weights and minimum image size of every backbone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from retbench_hashers.backbones.backbone import Backbone
from retbench_hashers.backbones.conv import Conv
from retbench_hashers.backbones.pretrained import Pretrained

from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")
BACKBONES = [Conv(), Pretrained(architecture="resnet18", weights="random")]


@pytest.mark.parametrize("backbone", BACKBONES, ids=str)
def test_the_module_is_frozen_and_building_it_draws_no_random_number(backbone: Backbone) -> None:
    state, before = backbone.build().state_dict(), torch.random.get_rng_state()
    features = backbone.module(state, CPU)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(tensor, state[name]) for name, tensor in features.state_dict().items())
    assert not features.training
    assert not any(weight.requires_grad for weight in features.parameters())


@pytest.mark.parametrize(
    ("backbone", "side"),
    [*zip(BACKBONES, (8, 32), strict=True), (Pretrained(architecture="alexnet", weights="random"), 63)],
)
def test_images_that_are_too_small_are_refused(backbone: Backbone, side: int) -> None:
    facts = ToyDataset().facts()
    small, large = (replace(facts, image_size=(lower, 224)) for lower in (side - 1, side))
    assert backbone.supports(small) == (f"images too small: got {side - 1}x224, expected at least {side}x{side} pixels")
    assert backbone.supports(large) is None
