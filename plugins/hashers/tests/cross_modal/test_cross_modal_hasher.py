"""Options, backbone and network that the cross-modal hashers share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from retbench_hashers.backbones.cnn_f import CnnFBackbone
from retbench_hashers.backbones.conv import Conv, ConvFeatures
from retbench_hashers.backbones.conv_words import ConvWords
from retbench_hashers.backbones.pretrained import Pretrained
from retbench_hashers.cross_modal.cross_modal_hasher import SUPERVISED_WARM_UP, CrossModalHasher
from torch import nn

from retbench import Context, OptionError, State, TrainingData
from retbench.testing import ToyDataset, check_component

CPU = torch.device("cpu")
TOY = ToyDataset().facts()


class Untrained(CrossModalHasher):
    """A hasher with random heads."""

    name: ClassVar[str] = "untrained"
    source: ClassVar[str] = "made for tests"
    uses_labels: ClassVar[bool] = False

    def image_head(self, width: int, bits: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, 6), nn.ReLU(), nn.Linear(6, bits))

    def text_head(self, width: int, bits: int) -> nn.Module:
        return nn.Linear(width, bits)

    def fit(self, data: TrainingData, ctx: Context) -> State:
        return self.initial_network(data, ctx).state_dict()


class Labeled(Untrained):
    uses_labels: ClassVar[bool] = True


@pytest.mark.parametrize("warmup", ["labels", "texts"])
def test_it_meets_the_contract(warmup: str) -> None:
    check_component(Untrained.create({"warmup": warmup, "warmup_epochs": 1}))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ConvWords()),
        ({"warmup": "labels", "warmup_epochs": 3, "warmup_batch_size": 16}, Conv(epochs=3, batch_size=16)),
        ({"backbone": "cnn-f", "lrn": "exact", "extra_padding": True}, CnnFBackbone(lrn="exact", extra_padding=True)),
        ({"backbone": "alexnet", "weights": "random"}, Pretrained(architecture="alexnet", weights="random")),
        ({"backbone": "vgg11"}, Pretrained(architecture="vgg11", weights="imagenet")),
    ],
    ids=["texts by default", "labels on request", "cnn-f", "alexnet", "vgg11"],
)
def test_the_options_determine_the_backbone_part(options: dict[str, Any], expected: object) -> None:
    hasher = Untrained.create(options)
    assert hasher.parts(TOY) == {"backbone": expected}
    assert hasher.cached == "backbone"


def test_a_hasher_that_uses_labels_warms_up_on_labels() -> None:
    assert Labeled().warmup == "labels"
    assert Labeled().parts(TOY) == {"backbone": Conv()}


def test_a_warm_up_on_labels_is_a_caveat_of_an_unsupervised_hasher() -> None:
    assert Untrained(warmup="labels").caveats(TOY) == (SUPERVISED_WARM_UP,)
    assert Untrained().caveats(TOY) == Labeled().caveats(TOY) == ()


def test_weights_that_the_backbone_does_not_have_are_an_option_error() -> None:
    for options in ({"weights": "imagenet"}, {"backbone": "alexnet", "weights": "warm-up"}):
        with pytest.raises(OptionError, match="conv takes warm-up only, and every other backbone imagenet"):
            Untrained.create(options)


def test_a_dataset_without_texts_is_refused() -> None:
    reason = "needs images with texts: dataset toy has no texts; take one with texts"
    assert Untrained().supports(replace(TOY, text_width=0)) == reason
    assert Untrained().supports(TOY) is None


def test_the_network_is_rebuilt_from_its_state() -> None:
    hasher = Untrained()
    first = hasher.build_network(ConvFeatures(), text_width=3, bits=12).eval()
    second = hasher.network(first.state_dict(), CPU).eval()
    images, texts = torch.rand(2, 3, 16, 16), torch.rand(2, 3)
    assert torch.equal(first.image(images), second.image(images))
    assert torch.equal(first.text(texts), second.text(texts))
    assert torch.equal(second.from_features(second.features(images)), second.image(images))


def test_a_weight_file_is_identified_by_its_bytes(tmp_path: Path) -> None:
    specs = []
    for name in ("first.pth", "second.pth"):
        (tmp_path / name).write_bytes(b"weights")
        specs.append(Untrained.create({"backbone": "alexnet", "weights": str(tmp_path / name)}).spec(TOY))
    assert specs[0] == specs[1]
    assert str(specs[0]["options"]["weights"]).startswith("sha256:")  # type: ignore[index, call-overload]  # options are JSON


@pytest.mark.parametrize(
    ("backbone", "expected"), [("alexnet", ".pth, .pt, .safetensors"), ("cnn-f", ".mat, .pth, .pt, .safetensors")]
)
def test_invalid_weights_are_an_option_error(backbone: str, expected: str) -> None:
    with pytest.raises(OptionError, match=f"expected imagenet, random, or a path that ends in {expected}"):
        Untrained.create({"backbone": backbone, "weights": "nonsense"})
