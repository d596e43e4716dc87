"""Sizes and ranges of the prototype net."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.prototypes.prototype_network import PrototypeNetwork


@pytest.mark.parametrize(("classes", "count"), [(21, 2_214_965), (38, 2_293_318), (80, 2_486_896)])
def test_the_published_nets_have_as_many_weights(classes: int, count: int) -> None:
    with torch.device("meta"):
        net = PrototypeNetwork(classes, bits=32)
    assert sum(weight.numel() for weight in net.parameters()) == count


def test_shapes_and_ranges() -> None:
    labels = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    semantics, codes, read_back = PrototypeNetwork(3, 8, hidden=16, semantic=6)(labels)
    assert (semantics.shape, codes.shape) == ((5, 6), (5, 8))
    assert bool((codes.abs() < 1).all())
    assert read_back is not None
    assert read_back.shape == (5, 3)
    assert bool(((read_back > 0) & (read_back < 1)).all())


def test_without_a_label_head_labels_are_not_read_back() -> None:
    with torch.device("meta"):
        net = PrototypeNetwork(38, bits=32, reconstruct=False)
        assert net(torch.rand(2, 38)).labels is None
    assert sum(weight.numel() for weight in net.parameters()) == 2_293_318 - (512 + 1) * 38
