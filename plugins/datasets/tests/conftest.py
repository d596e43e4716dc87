"""Fixtures that write small folders in the formats that the datasets read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from retbench_datasets.published.flickr25k import Flickr25k
from retbench_datasets.published.mscoco import Mscoco
from retbench_datasets.published.nuswide import Nuswide
from retbench_datasets.published.published_dataset import PublishedDataset, TwoEditionDataset
from scipy.io import savemat

PUBLISHED: dict[type[TwoEditionDataset], str] = {
    Flickr25k: "mirflickr/im{}.jpg",
    Mscoco: "train2014/COCO_train2014_{:012d}.jpg",
    Nuswide: "images/{0:04d}_{0}.jpg",
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the root of the datasets."""
    monkeypatch.setenv("RETBENCH_DATA", str(tmp_path))
    return tmp_path


def write_image(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> None:
    """Write a JPEG of smooth noise, a different one for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BILINEAR).save(path)


@pytest.fixture
def make_image() -> Callable[..., None]:
    return write_image


@pytest.fixture
def make_lists() -> Callable[..., None]:
    """Return a function that writes the two list files of a split: folder, stem, paths, rows of labels."""

    def write(root: Path, stem: str, names: Sequence[str], labels: Sequence[Sequence[int]], tail: str = "\n") -> None:
        root.mkdir(parents=True, exist_ok=True)
        (root / f"{stem}_img.txt").write_text("".join(f"{name}\n" for name in names))
        (root / f"{stem}_label.txt").write_text("".join(" ".join(map(str, row)) + tail for row in labels))

    return write


@pytest.fixture
def published_folder(data: Path, make_lists: Callable[..., None]) -> Callable[[type[TwoEditionDataset]], Path]:
    """Return a function that writes a dataset's folder in its published format, with ten images per split.

    It has every class; the training rows are from the database, one of them twice.
    """

    def write(dataset: type[TwoEditionDataset]) -> Path:
        root, classes = data / dataset.name, len(dataset.published_classes)
        names = [PUBLISHED[dataset].format(number) for number in range(1, 21)]
        labels = np.random.default_rng(0).integers(0, 2, (20, classes))
        for number, name in enumerate(names):
            write_image(root / name, number)
        make_lists(root, "test", names[:10], labels[:10], tail=" \n")
        make_lists(root, "database", names[10:], labels[10:], tail=" \n")
        rows = [10, *range(10, 19)]
        make_lists(root, "train", [names[row] for row in rows], labels[rows], tail=" \n")
        return root

    return write


@pytest.fixture
def crossmodal_folder(data: Path, make_lists: Callable[..., None]) -> Callable[..., Path]:
    """Return a function that writes a cross-modal edition, ten images per split: a text repeats its image number."""

    def write(dataset: type[PublishedDataset], width: int = 3, dtype: type = np.float32) -> Path:
        root, classes = data / dataset.name, len(dataset.crossmodal_download.classes)
        labels = np.random.default_rng(0).integers(0, 2, (20, classes))
        names = [f"images/{number}.jpg" for number in range(20)]
        for number, name in enumerate(names):
            write_image(root / name, number)
        for stem, rows in {"test": range(10), "database": range(10, 20), "train": range(10, 20)}.items():
            make_lists(root / "crossmodal", stem, [names[row] for row in rows], labels[list(rows)])
            texts = np.repeat(np.array(rows, dtype=dtype)[:, None], width, axis=1)
            np.save(root / "crossmodal" / f"{stem}_text.npy", texts)
        return root

    return write


def write_hdf5(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays with MATLAB's axes as version 7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = np.asarray(array).transpose()


def write_ta_dch(root: Path, images: Any, labels: Any, texts: Any) -> None:
    """Write arrays that h5py reads as (W, H, 3, N), (C, N), (T, N)."""
    write_hdf5(
        root / "FLICKR-25K.mat",
        {"IAll": images.transpose(0, 3, 1, 2), "LAll": labels.astype(float), "TAll": texts.astype(float)},
    )


def write_dcmh(root: Path, images: Any, labels: Any, texts: Any) -> None:
    """Write arrays that MATLAB reads as (H, W, 3, N), (N, C), (N, T)."""
    write_hdf5(root / "FLICKR-25K.mat", {"images": images.transpose(1, 2, 3, 0), "LAll": labels, "YAll": texts})


def write_dcmh_port(root: Path, images: Any, labels: Any, texts: Any) -> None:
    """Write arrays that h5py reads as (N, 3, W, H), (N, C), (N, T), which the port's code uses unchanged."""
    with h5py.File(root / "FLICKR-25K.mat", "w") as file:
        file["IAll"], file["LAll"], file["YAll"] = images.transpose(0, 3, 2, 1), labels, texts


def write_dcmh_parts(root: Path, images: Any, labels: Any, texts: Any) -> None:
    write_hdf5(root / "mirflickr25k-iall.mat", {"IAll": images.transpose(1, 2, 3, 0)})
    savemat(root / "mirflickr25k-lall.mat", {"LAll": labels})
    write_hdf5(root / "mirflickr25k-yall.mat", {"YAll": texts})


def write_small_ta_dch(root: Path, images: Any, labels: Any, texts: Any) -> None:
    savemat(root / "FLICKR-25K.mat", {"IAll": images.transpose(0, 3, 1, 2), "LAll": labels, "TAll": texts})


@pytest.fixture(params=[write_ta_dch, write_dcmh, write_dcmh_port, write_dcmh_parts, write_small_ta_dch])
def write_container_kind(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that writes one kind of FLICKR-25K's container: root, images (N, H, W, 3), labels, texts."""
    write: Callable[..., None] = request.param
    return write


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a BERT of two layers and 32 features with random weights, in BERT-large's files."""
    import torch
    import transformers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "runs", "sleeps", "."]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.BertModel(
            transformers.BertConfig(vocab_size=len(words), max_position_embeddings=40, **sizes)
        )
    folder = tmp_path_factory.mktemp("bert")
    network.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


@pytest.fixture
def bert(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of `tiny_bert` in the folder where the datasets look for BERT."""
    folder = tmp_path / "weights" / "bert-large-uncased"
    shutil.copytree(tiny_bert, folder)
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(folder.parent))
    return folder
