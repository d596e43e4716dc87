"""The base class of all datasets of image files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from retbench_datasets.images.decoding import Preprocessing, decode_image
from retbench_datasets.published.flickr25k import Flickr25k
from retbench_datasets.published.mscoco import Mscoco
from retbench_datasets.published.nuswide import Nuswide
from retbench_datasets.published.published_dataset import TwoEditionDataset

from retbench import OptionError, UserError

PublishedFolder = Callable[[type[TwoEditionDataset]], Path]


@pytest.mark.parametrize("dataset", [Flickr25k, Mscoco, Nuswide])
def test_ten_images_per_split_are_read_with_all_classes(
    published_folder: PublishedFolder, dataset: type[TwoEditionDataset]
) -> None:
    published_folder(dataset)
    small = dataset(size=32)
    assert small.missing() is None
    facts = small.facts()
    assert facts.sizes == {"train": 10, "query": 10, "database": 10}
    assert facts.classes == dataset.published_classes
    assert facts.image_size == (32, 32)
    assert facts.text_width == 0
    assert small.images("query", range(10)).shape == (10, 3, 32, 32)
    assert small.labels("train").shape == (10, len(facts.classes))


def test_images_are_decoded_with_the_options(published_folder: PublishedFolder) -> None:
    root = published_folder(Flickr25k)
    for options, preprocessing in (
        ({}, Preprocessing(224, 256, "center")),
        ({"size": 21}, Preprocessing(21, 24, "center")),
        ({"size": 20, "resize": 20, "crop": "squash"}, Preprocessing(20, 20, "squash")),
    ):
        got = Flickr25k(**options).images("query", [4])[0]
        expected = decode_image(root / "mirflickr" / "im5.jpg", preprocessing)
        assert isinstance(expected, np.ndarray)
        assert torch.equal(got, torch.from_numpy(expected))


def test_a_crop_larger_than_the_resized_image_is_refused() -> None:
    with pytest.raises(OptionError, match="resize must be at least size: got 20, expected 32 or more"):
        Flickr25k.create({"size": 32, "resize": 20})


def test_training_images_have_the_same_ids_in_the_database(published_folder: PublishedFolder) -> None:
    published_folder(Nuswide)
    dataset = Nuswide(size=16)
    assert {*dataset.ids("train")} <= {*dataset.ids("database")}
    assert dataset.ids("train")[0] == dataset.ids("train")[1]
    row = dataset.ids("database").index(dataset.ids("train")[5])
    assert torch.equal(dataset.images("train", [5]), dataset.images("database", [row]))


def test_a_broken_image_is_reported_with_its_line(published_folder: PublishedFolder) -> None:
    root = published_folder(Mscoco)
    path = root / "train2014" / "COCO_train2014_000000000013.jpg"
    path.write_bytes(path.read_bytes()[:300])
    dataset = Mscoco(size=16)
    assert len(dataset.images("database", [0, 1, 3])) == 3
    with pytest.raises(
        UserError, match=r"database_img.txt:3: the image train2014/COCO_\S* cannot be read: OSError: .*"
    ):
        dataset.images("database", range(10))


def test_a_row_beyond_the_split_is_refused(published_folder: PublishedFolder) -> None:
    published_folder(Flickr25k)
    with pytest.raises(IndexError):
        Flickr25k(size=16).images("query", [10])


def test_writing_into_returned_labels_does_not_change_the_dataset(published_folder: PublishedFolder) -> None:
    published_folder(Flickr25k)
    before = Flickr25k().labels("query")
    Flickr25k().labels("query").zero_()
    assert torch.equal(Flickr25k().labels("query"), before)
    assert before.any()


def test_the_fingerprint_depends_on_files_and_options(
    published_folder: PublishedFolder, make_image: Callable[..., None]
) -> None:
    root = published_folder(Flickr25k)
    first = Flickr25k().fingerprint()
    assert first == Flickr25k().fingerprint()
    resized = Flickr25k(size=100).fingerprint()
    with (root / "test_label.txt").open("r+") as stream:
        stream.write("1 1 1 1")
    relabeled = Flickr25k().fingerprint()
    (root / "database_img.txt").write_text("".join(f"mirflickr/im{number}.jpg\n" for number in range(20, 10, -1)))
    assert len({first, resized, relabeled, Flickr25k().fingerprint()}) == 4


def test_the_fingerprint_raises_for_a_missing_image(published_folder: PublishedFolder) -> None:
    root = published_folder(Flickr25k)
    (root / "mirflickr" / "im5.jpg").unlink()
    with pytest.raises(UserError, match=r"test_img.txt:5: no such image: .*im5.jpg"):
        Flickr25k().fingerprint()
