"""Sizes and first weights of DADH's networks."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.dadh_networks import Branch, Scaling, discriminator
from torch import nn

PUBLISHED = (8192, 4096, 2048)


def weights(*networks: nn.Module) -> int:
    return sum(weight.numel() for network in networks for weight in network.parameters())


@pytest.mark.parametrize(
    ("text_width", "millions"), [(10, 117.7), (1024, 126.0), (1386, 129.0), (1000, 125.8)], ids=str
)
def test_the_published_branches_have_as_many_weights(text_width: int, millions: float) -> None:
    """Those of WIKI, of IAPR TC-12 and MS-COCO, of FLICKR-25K and of NUS-WIDE, over 4096 features of an image."""
    with torch.device("meta"):
        branches = [Branch(width, PUBLISHED, 32, dropout=False) for width in (4096, text_width)]
    assert round(weights(*branches) / 1e6, 1) == millions
    assert branches[0](torch.empty(2, 4096, device="meta")).shape == (2, 32)


def test_the_discriminators_are_drawn_as_he_et_al_and_start_without_bias() -> None:
    torch.manual_seed(0)
    network = discriminator((2048, 1024, 512))
    assert weights(network) == 2048 * 1024 + 1024 + 1024 * 512 + 512 + 512 + 1
    assert [type(layer) for layer in network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    for layer in (network[0], network[2]):
        assert layer.weight.std().item() == pytest.approx((2 / layer.in_features) ** 0.5, rel=0.01)
        assert not layer.bias.any()


def test_dropout_drops_half_of_each_hidden_layer_in_training_alone() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(64, 8)
    plain, dropping = (Branch(8, (40, 30, 20), 4, dropout=dropout) for dropout in (False, True))
    dropping.load_state_dict(dict(zip(dropping.state_dict(), plain.state_dict().values(), strict=True)))
    assert not torch.equal(dropping(inputs), dropping(inputs))
    assert sum(isinstance(layer, nn.Dropout) for layer in dropping.modules()) == 3
    assert torch.equal(dropping.eval()(inputs), dropping(inputs))


def test_inputs_are_scaled_by_two_numbers_that_are_part_of_the_state() -> None:
    branch = Branch(3, (4, 4, 4), 2, dropout=False)
    inputs = torch.tensor([[1.0, 2.0, 6.0]])
    assert torch.equal(branch.scaling(inputs), inputs)
    branch.scaling.set(2.0, 4.0)
    assert branch.scaling(inputs).tolist() == [[-0.25, 0.0, 1.0]]
    assert branch.state_dict()["scaling.deviation"] == 4


def test_features_that_are_all_alike_are_scaled_by_nothing() -> None:
    scaling = Scaling()
    scaling.set(3.0, 0.0)
    assert scaling(torch.tensor([3.0, 4.0])).tolist() == [0.0, 1.0]


def test_features_are_what_the_hash_layer_reads() -> None:
    branch = Branch(3, (6, 5, 4), 2, dropout=False).eval()
    inputs = torch.randn(7, 3)
    features = branch.features(inputs)
    assert features.shape == (7, 4)
    assert (features >= 0).all()
    torch.testing.assert_close(branch.hash(features), branch(inputs))
    assert branch(inputs[:0]).shape == (0, 2)
