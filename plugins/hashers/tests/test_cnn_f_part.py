"""CNN-F as a part: where its weights come from, and what is said where there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from retbench_hashers import cnn_f_part
from retbench_hashers.cnn_f import CnnF
from retbench_hashers.cnn_f_part import CnnFBackbone
from safetensors.torch import save_file
from scipy.io import savemat

from retbench import Context, Noise, OptionError, State, TrainingData, UserError
from retbench.testing import ToyDataset, check_component

CPU = torch.device("cpu")
DATASET = ToyDataset(side=32)
FACTS = replace(DATASET.facts(), image_size=(224, 224))
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hidden layers of 8, so that a file of weights has 10 MB in place of 227; no published weights."""
    monkeypatch.setattr(CnnF, "width", 8)
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def state() -> State:
    torch.manual_seed(0)
    network = CnnF()
    return {**network.state_dict(), "mean": network.mean + torch.randn(3, 224, 224)}


@pytest.fixture
def published(state: State, tmp_path: Path) -> Iterator[Path]:
    """A file in the current layout, where the published one belongs."""
    path = tmp_path / "weights" / "imagenet-vgg-f.mat"
    path.parent.mkdir()
    write(path, state)
    return path


def cell(values: list[Any]) -> np.ndarray[Any, Any]:
    row = np.empty((1, len(values)), dtype=object)
    row[0, :] = values
    return row


def write(path: Path, state: State) -> None:
    layers = []
    for name in LAYERS:
        kernel, bias = state[f"{name}.weight"].numpy().transpose(2, 3, 1, 0), state[f"{name}.bias"].numpy()[:, None]
        weights = np.empty((1, 2), dtype=object)
        weights[0, 0], weights[0, 1] = kernel, bias
        layers += [{"name": name, "type": "conv", "weights": weights}, {"name": f"relu{name[-1]}", "type": "relu"}]
    normalization = {"averageImage": state["mean"].numpy().transpose(1, 2, 0)}
    savemat(path, {"layers": cell(layers), "meta": {"normalization": normalization}})


def fit(part: CnnFBackbone) -> State:
    context = Context(CPU, "float32", Noise(0, (part.name,)))
    return part.fit(TrainingData(DATASET, DATASET.facts(), CPU), context)


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_the_published_file_is_read_from_the_folder_of_weights(published: Path, state: State) -> None:
    part = CnnFBackbone()
    assert part.supports(FACTS) is None
    assert same(fit(part), state)
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    assert part.spec(FACTS)["options"] == {"weights": f"sha256:{digest}", "lrn": "port", "extra_padding": False}


def test_its_module_computes_with_the_files_weights_and_the_options(published: Path, state: State) -> None:
    images = torch.rand(1, 3, 224, 224)
    for options in ({}, {"lrn": "exact"}, {"extra_padding": True}):
        network = CnnF(**options).requires_grad_(False).eval()
        network.load_state_dict(state)
        part = CnnFBackbone(**options)
        assert torch.equal(part.module(fit(part), CPU)(images), network(images))


def test_published_weights_that_are_not_there_skip_the_cell_and_say_where_they_belong(tmp_path: Path) -> None:
    part = CnnFBackbone()
    (published,) = part.downloads(FACTS)
    assert published.path == tmp_path / "weights/imagenet-vgg-f.mat"
    assert published.problem() == (
        f"missing: expected {tmp_path}/weights/imagenet-vgg-f.mat, published at "
        "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-f.mat"
    )
    assert "f666c61dc968c413ef664a7e17b01144" in published.licence
    assert "nobody publishes its sha256" in published.by_hand
    assert part.files(FACTS) == {}
    assert part.caveats(FACTS) == ()
    with pytest.raises(UserError, match=r"weights .*imagenet-vgg-f.mat: no such file"):
        fit(part)


def test_a_file_under_the_published_name_with_another_md5_is_confessed(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = hashlib.md5(published.read_bytes(), usedforsecurity=False).hexdigest()
    assert CnnFBackbone().caveats(FACTS) == (
        "imagenet-vgg-f.mat is not the file that MatConvNet lists: "
        f"md5 got {md5}, expected f666c61dc968c413ef664a7e17b01144",
    )
    monkeypatch.setattr(cnn_f_part, "MD5", md5)
    assert CnnFBackbone().caveats(FACTS) == ()


@pytest.mark.parametrize("name", ["mine.mat", "mine.pth", "mine.pt", "mine.safetensors"])
def test_a_file_of_ones_own_is_told_by_its_bytes_not_its_path(tmp_path: Path, state: State, name: str) -> None:
    path, copy = tmp_path / name, tmp_path / f"copy-{name}"
    save = {".mat": lambda: write(path, state), ".safetensors": lambda: save_file(state, path)}
    save.get(path.suffix, lambda: torch.save(state, path))()
    copy.write_bytes(path.read_bytes())
    one, other = (CnnFBackbone(weights=str(where)) for where in (path, copy))
    assert one.supports(FACTS) is None
    assert one.spec(FACTS) == other.spec(FACTS)
    assert one.caveats(FACTS) == one.downloads(FACTS) == ()
    assert same(fit(one), state)


def test_a_file_of_another_network_is_refused_before_anything_runs(tmp_path: Path, state: State) -> None:
    path = tmp_path / "mine.mat"
    write(path, {**state, "conv2.weight": torch.ones(64, 64, 5, 5)})
    with pytest.raises(UserError, match=r"not the weights of cnn-f \(current layout\): kernel of conv2: got float32 "):
        CnnFBackbone(weights=str(path)).supports(FACTS)
    torch.save({"conv1.weight": torch.ones(64, 3, 11, 11)}, tmp_path / "mine.pth")
    with pytest.raises(UserError, match="not the weights of cnn-f: missing mean and 13 more"):
        CnnFBackbone(weights=str(tmp_path / "mine.pth")).supports(FACTS)


def test_a_last_layer_in_a_state_dict_is_dropped(tmp_path: Path, state: State) -> None:
    torch.save({**state, "fc8.weight": torch.ones(1000, 8, 1, 1), "fc8.bias": torch.ones(1000)}, tmp_path / "mine.pth")
    assert same(fit(CnnFBackbone(weights=str(tmp_path / "mine.pth"))), state)


def test_a_file_of_ones_own_that_is_not_there_skips_the_cell(tmp_path: Path) -> None:
    part = CnnFBackbone(weights=str(tmp_path / "mine.mat"))
    assert part.supports(FACTS) == (
        f"no weights are there: got '{tmp_path}/mine.mat', expected a file; or take imagenet or random"
    )
    assert part.files(FACTS) == {}


@pytest.mark.parametrize("size", [(32, 32), (224, 225), (256, 256)])
def test_images_of_another_size_than_its_mean_image_are_refused(size: tuple[int, int]) -> None:
    part = CnnFBackbone(weights="random")
    assert part.supports(replace(FACTS, image_size=size)) == (
        f"it has a mean image of 224 x 224: got images of {size[0]} x {size[1]}; take 224 x 224"
    )


def test_random_weights_need_no_file_and_are_confessed() -> None:
    part = CnnFBackbone(weights="random")
    assert part.supports(FACTS) is None
    assert part.files(FACTS) == {}
    assert part.caveats(FACTS) == ("backbone cnn-f starts from random weights, not from ImageNet's",)
    torch.manual_seed(0)
    first, second = fit(part), fit(part)
    torch.manual_seed(0)
    assert same(fit(part), first)
    assert not torch.equal(first["conv1.weight"], second["conv1.weight"])


@pytest.mark.parametrize("weights", ["imagenett", "weights", "weights.bin", ""])
def test_what_is_neither_a_name_nor_a_path_is_an_option_error(weights: str) -> None:
    with pytest.raises(OptionError, match=r"part cnn-f: weights: .*or a path that ends in .mat, .pth, .pt, .safet"):
        CnnFBackbone.create({"weights": weights})


def test_it_keeps_the_contract_of_a_part() -> None:
    check_component(CnnFBackbone(weights="random"), ToyDataset(side=224, database=2))
