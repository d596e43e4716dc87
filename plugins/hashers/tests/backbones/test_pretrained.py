"""Published backbones: the files they start from, and the reasons and errors where a file is missing or wrong."""

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
    """A folder with a ResNet-18 under the name that torchvision published it by, its classifier included."""
    torch.manual_seed(0)
    state = {**ResNet(18).state_dict(), "fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}
    folder = tmp_path_factory.mktemp("weights")
    torch.save(state, folder / "resnet18-f37072fd.pth")
    return folder


def test_each_architecture_names_its_published_file_and_digest() -> None:
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


def test_the_published_weights_are_read_without_their_classifier(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(published))
    state = fit(Pretrained(architecture="resnet18"))
    saved = torch.load(published / "resnet18-f37072fd.pth", weights_only=True)
    assert saved.keys() - state.keys() == {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensor, saved[name]) for name, tensor in state.items())
    digest = hashlib.sha256((published / "resnet18-f37072fd.pth").read_bytes()).hexdigest()
    assert Pretrained(architecture="resnet18").spec(FACTS)["options"]["weights"] == f"sha256:{digest}"


def test_a_published_file_that_is_not_there_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match=r"weights .*vgg11-8a719046.pth: no such file"):
        fit(Pretrained(architecture="vgg11"))


def test_a_file_of_ones_own_is_identified_by_its_bytes_not_its_path(published: Path, tmp_path: Path) -> None:
    path = published / "resnet18-f37072fd.pth"
    copy = tmp_path / "copy.pth"
    copy.write_bytes(path.read_bytes())
    one, other = (Pretrained(architecture="resnet18", weights=str(where)) for where in (path, copy))
    assert one.supports(FACTS) is None
    assert one.spec(FACTS) == other.spec(FACTS)
    assert str(one.spec(FACTS)["options"]).count("sha256:") == 1
    assert one.downloads(FACTS) == one.caveats(FACTS) == ()
    assert fit(one).keys() == ResNet(18).state_dict().keys()


def test_a_file_of_another_architecture_is_refused_before_anything_runs(published: Path) -> None:
    part = Pretrained(architecture="resnet50", weights=str(published / "resnet18-f37072fd.pth"))
    with pytest.raises(
        UserError, match=r"not the weights of resnet50: missing layer1.0.conv3.weight and .* of another"
    ):
        part.supports(FACTS)


def test_a_file_that_is_not_there_skips_the_cell(tmp_path: Path) -> None:
    part = Pretrained(weights=str(tmp_path / "mine.pth"))
    assert "no weights are there" in (part.supports(FACTS) or "")
    assert part.files(FACTS) == {}


def test_random_weights_need_no_file_and_are_a_caveat() -> None:
    part = Pretrained(architecture="resnet18", weights="random")
    assert part.supports(FACTS) is None
    assert part.downloads(FACTS) == ()
    assert part.caveats(FACTS) == ("backbone resnet18 starts from random weights, not from ImageNet's",)
    torch.manual_seed(0)
    first, second = fit(part), fit(part)
    torch.manual_seed(0)
    assert all(torch.equal(tensor, first[name]) for name, tensor in fit(part).items())
    assert not torch.equal(first["conv1.weight"], second["conv1.weight"])


def test_imagenet_weights_need_no_caveat() -> None:
    assert Pretrained().caveats(FACTS) == ()


@pytest.mark.parametrize("weights", ["imagenett", "weights", "weights.bin", ""])
def test_what_is_neither_a_name_nor_a_path_is_an_option_error(weights: str) -> None:
    with pytest.raises(OptionError, match=r"part pretrained: weights: .*expected imagenet, random, or a path"):
        Pretrained.create({"weights": weights})
