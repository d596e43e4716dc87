"""Sizes and output ranges of the prototype network."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.prototypes.prototype_network import PrototypeNetwork


@pytest.mark.parametrize(("classes", "count"), [(21, 2_214_965), (38, 2_293_318), (80, 2_486_896)])
def test_number_of_weights_is_the_published_one(classes: int, count: int) -> None:
    with torch.device("meta"):
        network = PrototypeNetwork(classes, bits=32)
    assert sum(weight.numel() for weight in network.parameters()) == count


def test_outputs_have_the_documented_shapes_and_ranges() -> None:
    labels = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    semantics, codes, predicted_labels = PrototypeNetwork(3, 8, hidden=16, semantic=6)(labels)
    assert (semantics.shape, codes.shape) == ((5, 6), (5, 8))
    assert bool((codes.abs() < 1).all())
    assert predicted_labels is not None
    assert predicted_labels.shape == (5, 3)
    assert bool(((predicted_labels > 0) & (predicted_labels < 1)).all())


def test_network_without_label_head_predicts_no_labels() -> None:
    with torch.device("meta"):
        network = PrototypeNetwork(38, bits=32, reconstruct=False)
        assert network(torch.rand(2, 38)).labels is None
    assert sum(weight.numel() for weight in network.parameters()) == 2_293_318 - (512 + 1) * 38
