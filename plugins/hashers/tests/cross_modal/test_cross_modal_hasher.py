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
    """Heads as they were drawn."""

    name: ClassVar[str] = "untrained"
    source: ClassVar[str] = "made for tests"
    uses_labels: ClassVar[bool] = False

    def image_head(self, width: int, bits: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, 6), nn.ReLU(), nn.Linear(6, bits))

    def text_head(self, width: int, bits: int) -> nn.Module:
        return nn.Linear(width, bits)

    def fit(self, data: TrainingData, ctx: Context) -> State:
        return self.begin(data, ctx).state_dict()


class Labeled(Untrained):
    uses_labels: ClassVar[bool] = True


@pytest.mark.parametrize("warmup", ["labels", "texts"])
def test_it_keeps_its_contract(warmup: str) -> None:
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
    ids=["an unsupervised one learns from texts", "labels, if asked to", "cnn-f", "alexnet", "vgg11"],
)
def test_the_options_name_the_part_whose_features_are_stored(options: dict[str, Any], expected: object) -> None:
    hasher = Untrained.create(options)
    assert hasher.parts(TOY) == {"backbone": expected}
    assert hasher.cached == "backbone"


def test_labels_teach_the_backbone_of_a_supervised_one() -> None:
    assert Labeled().warmup == "labels"
    assert Labeled().parts(TOY) == {"backbone": Conv()}


def test_a_warm_up_on_labels_under_an_unsupervised_hasher_is_a_caveat() -> None:
    assert Untrained(warmup="labels").caveats(TOY) == (SUPERVISED_WARM_UP,)
    assert Untrained().caveats(TOY) == Labeled().caveats(TOY) == ()


def test_weights_and_backbone_go_together() -> None:
    for options in ({"weights": "imagenet"}, {"backbone": "alexnet", "weights": "warm-up"}):
        with pytest.raises(OptionError, match="conv starts from its warm-up, and every other backbone from published"):
            Untrained.create(options)


def test_a_dataset_without_texts_is_not_supported() -> None:
    reason = "it learns from pairs of an image and a text, and dataset toy has no texts"
    assert Untrained().supports(replace(TOY, text_width=0)) == reason
    assert Untrained().supports(TOY) is None


def test_the_network_is_built_again_from_its_state_alone() -> None:
    hasher = Untrained()
    first = hasher.assemble(ConvFeatures(), text_width=3, bits=12).eval()
    second = hasher.network(first.state_dict(), CPU).eval()
    images, texts = torch.rand(2, 3, 16, 16), torch.rand(2, 3)
    assert torch.equal(first.image(images), second.image(images))
    assert torch.equal(first.text(texts), second.text(texts))
    assert torch.equal(second.from_features(second.features(images)), second.image(images))


def test_a_file_of_weights_counts_by_its_bytes(tmp_path: Path) -> None:
    specs = []
    for name in ("first.pth", "second.pth"):
        (tmp_path / name).write_bytes(b"weights")
        specs.append(Untrained.create({"backbone": "alexnet", "weights": str(tmp_path / name)}).spec(TOY))
    assert specs[0] == specs[1]
    assert str(specs[0]["options"]["weights"]).startswith("sha256:")  # type: ignore[index, call-overload]  # JSON of a kind


@pytest.mark.parametrize(
    ("backbone", "expected"), [("alexnet", ".pth, .pt, .safetensors"), ("cnn-f", ".mat, .pth, .pt, .safetensors")]
)
def test_weights_that_no_backbone_can_start_from_are_an_error_of_the_option(backbone: str, expected: str) -> None:
    with pytest.raises(OptionError, match=f"expected imagenet, random, or a path that ends in {expected}"):
        Untrained.create({"backbone": backbone, "weights": "nonsense"})
