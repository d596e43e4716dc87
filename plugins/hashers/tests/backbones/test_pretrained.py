"""Published backbones: their weight files, and the messages for missing or wrong files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from retbench_hashers.backbones.pretrained import ARCHITECTURES, Pretrained
from retbench_hashers.backbones.resnet import ResNet

from retbench import Context, Noise, OptionError, State, TrainingData, UserError
from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")
DATASET = ToyDataset(side=32)
FACTS = replace(DATASET.facts(), image_size=(224, 224))


def fit(part: Pretrained) -> State:
    context = Context(CPU, "float32", Noise(0, (part.name,)))
    return part.fit(TrainingData(DATASET, DATASET.facts(), CPU), context)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a ResNet-18, including its classifier, under the name of torchvision's file."""
    torch.manual_seed(0)
    state = {**ResNet(18).state_dict(), "fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}
    folder = tmp_path_factory.mktemp("weights")
    torch.save(state, folder / "resnet18-f37072fd.pth")
    return folder


def test_each_architecture_has_its_published_file_and_digest() -> None:
    downloads = {name: Pretrained(architecture=name).downloads(FACTS) for name in ARCHITECTURES}
    assert {name: (weights.file, weights.sha256) for name, (weights,) in downloads.items()} == {
        "alexnet": ("alexnet-owt-7be5be79.pth", "7be5be79"),
        "vgg11": ("vgg11-8a719046.pth", "8a719046"),
        "vgg16": ("vgg16-397923af.pth", "397923af"),
        "resnet18": ("resnet18-f37072fd.pth", "f37072fd"),
        "resnet50": ("resnet50-0676ba61.pth", "0676ba61"),
    }
    (weights,) = downloads["vgg11"]
    assert weights.url == "https://download.pytorch.org/models/vgg11-8a719046.pth"


def test_published_weights_are_read_without_the_classifier(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(published))
    state = fit(Pretrained(architecture="resnet18"))
    saved = torch.load(published / "resnet18-f37072fd.pth", weights_only=True)
    assert saved.keys() - state.keys() == {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensor, saved[name]) for name, tensor in state.items())
    digest = hashlib.sha256((published / "resnet18-f37072fd.pth").read_bytes()).hexdigest()
    assert Pretrained(architecture="resnet18").spec(FACTS)["options"]["weights"] == f"sha256:{digest}"


def test_a_missing_published_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match=r"weights .*vgg11-8a719046.pth: no such file"):
        fit(Pretrained(architecture="vgg11"))


def test_a_given_file_is_identified_by_its_bytes_not_its_path(published: Path, tmp_path: Path) -> None:
    path = published / "resnet18-f37072fd.pth"
    copy = tmp_path / "copy.pth"
    copy.write_bytes(path.read_bytes())
    first, second = (Pretrained(architecture="resnet18", weights=str(file)) for file in (path, copy))
    assert first.supports(FACTS) is None
    assert first.spec(FACTS) == second.spec(FACTS)
    assert str(first.spec(FACTS)["options"]).count("sha256:") == 1
    assert first.downloads(FACTS) == first.caveats(FACTS) == ()
    assert fit(first).keys() == ResNet(18).state_dict().keys()


def test_a_file_of_another_architecture_is_refused_in_planning(published: Path) -> None:
    part = Pretrained(architecture="resnet50", weights=str(published / "resnet18-f37072fd.pth"))
    with pytest.raises(
        UserError, match=r"not the weights of resnet50: missing layer1.0.conv3.weight and .* wrong shape of"
    ):
        part.supports(FACTS)


def test_a_missing_given_file_skips_the_cell(tmp_path: Path) -> None:
    part = Pretrained(weights=str(tmp_path / "mine.pth"))
    assert "weight file missing" in (part.supports(FACTS) or "")
    assert part.files(FACTS) == {}


def test_random_weights_need_no_file_and_have_a_caveat() -> None:
    part = Pretrained(architecture="resnet18", weights="random")
    assert part.supports(FACTS) is None
    assert part.downloads(FACTS) == ()
    assert part.caveats(FACTS) == ("backbone resnet18 starts from random weights, not from ImageNet's",)
    torch.manual_seed(0)
    first, second = fit(part), fit(part)
    torch.manual_seed(0)
    assert all(torch.equal(tensor, first[name]) for name, tensor in fit(part).items())
    assert not torch.equal(first["conv1.weight"], second["conv1.weight"])


def test_imagenet_weights_have_no_caveat() -> None:
    assert Pretrained().caveats(FACTS) == ()


@pytest.mark.parametrize("weights", ["imagenett", "weights", "weights.bin", ""])
def test_invalid_weights_are_an_option_error(weights: str) -> None:
    with pytest.raises(OptionError, match=r"part pretrained: weights: .*expected imagenet, random, or a path"):
        Pretrained.create({"weights": weights})
