"""Published datasets in each of their editions."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from retbench_datasets.images.decoding import Preprocessing, decode_image
from retbench_datasets.published.flickr25k import Flickr25k
from retbench_datasets.published.mscoco import Mscoco
from retbench_datasets.published.nuswide import Nuswide
from retbench_datasets.published.published_dataset import PublishedDataset
from retbench_datasets.published.wikipedia import Wikipedia, WikipediaSource

from retbench import OptionError, UserError
from retbench.testing import check_component

CrossmodalFolder = Callable[..., Path]
DATASETS = [Flickr25k, Mscoco, Nuswide, Wikipedia]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_crossmodal_editions_pass_the_contract_suite(
    crossmodal_folder: CrossmodalFolder, dataset: type[PublishedDataset], dtype: type
) -> None:
    crossmodal_folder(dataset, dtype=dtype)
    small = dataset(edition="crossmodal", size=32)
    check_component(small)
    facts = small.facts()
    assert facts.classes == dataset.crossmodal_download.classes
    assert facts.text_width == 3
    assert small.texts("database", [9, 0]).tolist() == [[19] * 3, [10] * 3]
    assert small.texts("query", []).shape == (0, 3)
    assert small.texts("train", range(10)).dtype == torch.float32


def test_unimodal_editions_have_no_texts(published_folder: Callable[..., Path]) -> None:
    published_folder(Flickr25k)
    assert Flickr25k().facts().text_width == 0
    with pytest.raises(LookupError, match="dataset flickr25k: it has no texts"):
        Flickr25k().texts("query", [0])


def test_both_editions_may_be_in_one_folder(
    published_folder: Callable[..., Path], crossmodal_folder: CrossmodalFolder
) -> None:
    published_folder(Flickr25k)
    crossmodal_folder(Flickr25k)
    assert Flickr25k().missing() is None
    assert Flickr25k(edition="crossmodal").missing() is None
    assert len(Flickr25k().facts().classes) == 38
    assert len(Flickr25k(edition="crossmodal").facts().classes) == 24


def test_the_default_crop_depends_on_the_edition_and_is_recorded(crossmodal_folder: CrossmodalFolder) -> None:
    for options, crop in (
        ({}, "center"),
        ({"edition": "crossmodal"}, "stretch"),
        ({"edition": "crossmodal", "crop": "center"}, "center"),
        ({"crop": "stretch"}, "stretch"),
    ):
        assert Flickr25k.create(options).model_dump()["crop"] == crop
    assert Wikipedia().crop == Wikipedia.create().model_dump()["crop"] == "stretch"


def test_the_documented_default_crop_is_the_real_one() -> None:
    crops = {dataset: dataset.model_json_schema()["properties"]["crop"] for dataset in DATASETS}
    assert [crops[dataset]["default"] for dataset in DATASETS] == ["center", "center", "center", "stretch"]
    assert len({crop["description"] for crop in crops.values()}) == 1


def test_images_are_stretched(crossmodal_folder: CrossmodalFolder) -> None:
    root = crossmodal_folder(Wikipedia)
    expected = decode_image(root / "images" / "4.jpg", Preprocessing(20, 23, "stretch"))
    assert isinstance(expected, np.ndarray)
    assert torch.equal(Wikipedia(size=20).images("query", [4])[0], torch.from_numpy(expected))


def test_the_option_transposed_is_in_no_recipe() -> None:
    assert Flickr25k(transposed=True).model_dump() == Flickr25k().model_dump()
    assert set(Flickr25k().model_dump()) == {"size", "resize", "crop", "identity", "edition"}


def test_an_unknown_edition_is_refused() -> None:
    with pytest.raises(OptionError, match="edition: input should be 'unimodal' or 'crossmodal': got 'trimodal'"):
        Flickr25k.create({"edition": "trimodal"})
    with pytest.raises(OptionError, match="edition: input should be 'crossmodal': got 'unimodal'"):
        Wikipedia.create({"edition": "unimodal"})


def test_the_fingerprint_depends_on_the_edition_and_every_text(
    crossmodal_folder: CrossmodalFolder, published_folder: Callable[..., Path]
) -> None:
    published_folder(Flickr25k)
    root = crossmodal_folder(Flickr25k)
    dataset = Flickr25k(edition="crossmodal")
    first = dataset.fingerprint()
    assert first == dataset.fingerprint() != Flickr25k().fingerprint()
    path = root / "crossmodal" / "train_text.npy"
    texts = np.load(path)
    texts[3, 0] += 1
    np.save(path, texts)
    os.utime(path, ns=(1, 1))  # the same size, and perhaps the same instant of a coarse clock
    assert dataset.fingerprint() != first


def test_a_text_file_with_a_wrong_number_of_rows_is_refused(crossmodal_folder: CrossmodalFolder) -> None:
    root = crossmodal_folder(Wikipedia)
    np.save(root / "crossmodal" / "database_text.npy", np.zeros((9, 3), dtype=np.float32))
    with pytest.raises(
        UserError, match=r"database_text.npy: it does not fit \S*database_img.txt: got 9 .* expected 10"
    ):
        Wikipedia().facts()


def test_a_non_finite_text_is_reported_with_its_row(crossmodal_folder: CrossmodalFolder) -> None:
    root = crossmodal_folder(Wikipedia)
    texts = np.zeros((10, 3), dtype=np.float32)
    texts[7] = np.nan
    np.save(root / "crossmodal" / "test_text.npy", texts)
    with pytest.raises(UserError, match=r"test_text.npy: row 8: a text must be finite: got nan"):
        Wikipedia().texts("query", range(10))


@pytest.mark.parametrize("transposed", [False, True])
def test_a_published_container_keeps_its_row_order(
    data: Path, monkeypatch: pytest.MonkeyPatch, transposed: bool
) -> None:
    monkeypatch.setattr(WikipediaSource, "sizes", {"train": 3, "query": 2, "database": 3})
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (5, 3, 224, 224), dtype=np.uint8)
    labels, topics = np.eye(5, 10), random.random((5, 10)).astype(np.float32)
    (data / "wikipedia").mkdir()
    with h5py.File(data / "wikipedia" / "WIKIPEDIA.mat", "w", userblock_size=512) as file:
        file["IAll"], file["LAll"], file["TAll"] = pixels.transpose(), labels.transpose(), topics.transpose()
    dataset = Wikipedia(transposed=transposed)
    assert (dataset.missing() or "").endswith("run `retbench datasets prepare wikipedia`")
    list(dataset.prepare())
    assert Wikipedia().missing() is None
    upright = pixels.swapaxes(2, 3) if transposed else pixels
    for split, rows in {"query": [0, 1], "train": [2, 3, 4], "database": [2, 3, 4]}.items():
        assert np.array_equal(dataset.images(split, range(len(rows))), upright[rows])
        assert np.array_equal(dataset.labels(split), labels[rows])
        assert np.array_equal(dataset.texts(split, range(len(rows))), topics[rows])
    (caveat,) = dataset.caveats(dataset.facts())
    assert "a published .mat file" in caveat
