"""The backbone and its warm-up."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.backbones.conv import Conv, ConvFeatures

from retbench import Context, Noise, TrainingData
from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")


def test_the_number_of_weights_is_the_documented_one() -> None:
    assert sum(weight.numel() for weight in Conv().features().parameters()) == 557_216


@pytest.mark.parametrize("side", [8, 9, 32, 48])
def test_images_of_any_size_from_8_pixels_are_accepted(side: int) -> None:
    assert ConvFeatures().eval()(torch.rand(2, 3, side, side)).shape == (2, ConvFeatures.width)


def test_the_warm_up_lowers_and_records_its_loss() -> None:
    dataset, curves = ToyDataset(side=8), {}
    torch.manual_seed(0)
    context = Context(CPU, "float32", Noise(0, ("conv",)), record=curves.__setitem__)
    Conv(epochs=6, batch_size=8).fit(TrainingData(dataset, dataset.facts(), CPU), context)
    assert len(curves["loss"]) == 6
    assert curves["loss"][-1] < 0.8 * curves["loss"][0]
