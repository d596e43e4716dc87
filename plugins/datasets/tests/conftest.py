"""Small folders in the formats that the datasets read."""

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
    """The folder that datasets are looked for under, empty."""
    monkeypatch.setenv("RETBENCH_DATA", str(tmp_path))
    return tmp_path


def write_picture(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> None:
    """Writes a JPEG with soft colors, another one for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BILINEAR).save(path)


@pytest.fixture
def picture() -> Callable[..., None]:
    return write_picture


@pytest.fixture
def lists() -> Callable[..., None]:
    """Writes the two list files of a split: stem, paths, rows of labels."""

    def write(root: Path, stem: str, names: Sequence[str], labels: Sequence[Sequence[int]], tail: str = "\n") -> None:
        root.mkdir(parents=True, exist_ok=True)
        (root / f"{stem}_img.txt").write_text("".join(f"{name}\n" for name in names))
        (root / f"{stem}_label.txt").write_text("".join(" ".join(map(str, row)) + tail for row in labels))

    return write


@pytest.fixture
def published_folder(data: Path, lists: Callable[..., None]) -> Callable[[type[TwoEditionDataset]], Path]:
    """Writes a dataset's folder in its real format: ten pictures a split and every class, training rows from the
    database, one of them twice."""

    def write(dataset: type[TwoEditionDataset]) -> Path:
        root, classes = data / dataset.name, len(dataset.published_classes)
        names = [PUBLISHED[dataset].format(number) for number in range(1, 21)]
        labels = np.random.default_rng(0).integers(0, 2, (20, classes))
        for number, name in enumerate(names):
            write_picture(root / name, number)
        lists(root, "test", names[:10], labels[:10], tail=" \n")
        lists(root, "database", names[10:], labels[10:], tail=" \n")
        rows = [10, *range(10, 19)]
        lists(root, "train", [names[row] for row in rows], labels[rows], tail=" \n")
        return root

    return write


@pytest.fixture
def crossmodal_folder(data: Path, lists: Callable[..., None]) -> Callable[..., Path]:
    """Writes a cross-modal edition by hand, ten pictures a split: a text is the number of its picture, repeated."""

    def write(dataset: type[PublishedDataset], width: int = 3, dtype: type = np.float32) -> Path:
        root, classes = data / dataset.name, len(dataset.crossmodal.classes)
        labels = np.random.default_rng(0).integers(0, 2, (20, classes))
        names = [f"pictures/{number}.jpg" for number in range(20)]
        for number, name in enumerate(names):
            write_picture(root / name, number)
        for stem, rows in {"test": range(10), "database": range(10, 20), "train": range(10, 20)}.items():
            lists(root / "crossmodal", stem, [names[row] for row in rows], labels[list(rows)])
            texts = np.repeat(np.array(rows, dtype=dtype)[:, None], width, axis=1)
            np.save(root / "crossmodal" / f"{stem}_text.npy", texts)
        return root

    return write


def write_hdf5(path: Path, arrays: dict[str, Any]) -> None:
    """Writes arrays given with MATLAB's axes as version 7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = np.asarray(array).transpose()


def write_ta_dch(root: Path, images: Any, labels: Any, texts: Any) -> None:
    """What h5py sees as (W, H, 3, N), (C, N), (T, N)."""
    write_hdf5(
        root / "FLICKR-25K.mat",
        {"IAll": images.transpose(0, 3, 1, 2), "LAll": labels.astype(float), "TAll": texts.astype(float)},
    )


def write_dcmh(root: Path, images: Any, labels: Any, texts: Any) -> None:
    """What MATLAB sees as (H, W, 3, N), (N, C), (N, T)."""
    write_hdf5(root / "FLICKR-25K.mat", {"images": images.transpose(1, 2, 3, 0), "LAll": labels, "YAll": texts})


def write_dcmh_port(root: Path, images: Any, labels: Any, texts: Any) -> None:
    """What h5py sees as (N, 3, W, H), (N, C), (N, T), and its code takes so."""
    with h5py.File(root / "FLICKR-25K.mat", "w") as file:
        file["IAll"], file["LAll"], file["YAll"] = images.transpose(0, 3, 2, 1), labels, texts


def write_dcmh_parts(root: Path, images: Any, labels: Any, texts: Any) -> None:
    write_hdf5(root / "mirflickr25k-iall.mat", {"IAll": images.transpose(1, 2, 3, 0)})
    savemat(root / "mirflickr25k-lall.mat", {"LAll": labels})
    write_hdf5(root / "mirflickr25k-yall.mat", {"YAll": texts})


def write_small_ta_dch(root: Path, images: Any, labels: Any, texts: Any) -> None:
    savemat(root / "FLICKR-25K.mat", {"IAll": images.transpose(0, 3, 1, 2), "LAll": labels, "TAll": texts})


@pytest.fixture(params=[write_ta_dch, write_dcmh, write_dcmh_port, write_dcmh_parts, write_small_ta_dch])
def container_form(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Writes FLICKR-25K's published container in one of its forms: root, upright images (N, H, W, 3), labels, texts."""
    write: Callable[..., None] = request.param
    return write


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers and 32 numbers a text with random weights, in the files that BERT-large has."""
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
    """A copy of it where the datasets look for BERT."""
    folder = tmp_path / "weights" / "bert-large-uncased"
    shutil.copytree(tiny_bert, folder)
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(folder.parent))
    return folder
