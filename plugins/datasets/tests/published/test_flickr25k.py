"""FLICKR-25K from MIRFLICKR's annotations, and with tags."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.editions.crossmodal_source import ImageTextPairs
from retbench_datasets.images.image_index import read_index
from retbench_datasets.published.flickr25k import CLASSES, Flickr25k, Flickr25kSource

from retbench import UserError

# Columns of DeepHash-pytorch's lists, in alphabetical order, with the same labels; found by comparing the labels.
DEEPHASH = (
    *(7, 31, 17, 35, 16, 12, 25, 9, 28, 14, 0, 5, 29, 20, 34, 33, 22, 4, 13, 8, 15, 2, 30, 21, 32, 10, 6, 37, 1, 19),
    *(24, 26, 36, 3, 23, 18, 27, 11),
)


@pytest.fixture
def annotations(data: Path) -> Path:
    folder = data / "flickr25k" / "mirflickr25k_annotations_v080"
    folder.mkdir(parents=True)
    for name in CLASSES:
        (folder / f"{name}.txt").write_text("25000\n")
    return folder


def test_there_are_24_potential_and_14_relevant_labels() -> None:
    assert len(set(CLASSES)) == 38
    assert sum(name.endswith("_r1") for name in CLASSES) == 14
    assert {name.removesuffix("_r1") for name in CLASSES} <= {*CLASSES}


def test_the_column_order_agrees_with_a_second_publication() -> None:
    assert tuple(sorted(CLASSES).index(name) for name in CLASSES) == DEEPHASH


def test_labels_come_from_the_annotation_file_of_each_class(annotations: Path) -> None:
    (annotations / "sky.txt").write_text("1\r\n3\r\n25000\r\n")
    (annotations / "female.txt").write_text("3\n")
    names, labels = Flickr25k().labeled_images()
    assert names[0] == "mirflickr/im1.jpg"
    assert names[-1] == "mirflickr/im25000.jpg"
    assert labels.shape == (25_000, 38)
    assert [CLASSES[index] for index in labels[2].nonzero()[0]] == ["sky", "female"]
    assert labels[0].sum() == 1
    assert labels[1].sum() == 0
    assert labels[-1].sum() == 37


@pytest.mark.parametrize("line", ["0", "25001", "im7.jpg", "-3"])
def test_a_line_that_is_no_image_number_is_reported(annotations: Path, line: str) -> None:
    (annotations / "sea.txt").write_text(f"5\n{line}\n")
    with pytest.raises(UserError, match=rf"sea.txt:2: wrong image number: got '{line}', expected 1 to 25000"):
        Flickr25k().labeled_images()


REAL = Path(__file__).parents[5] / "shared" / "data" / "flickr25k"
LABELS = {1: {"sky", "water"}, 2: {"dog"}, 5: {"sky"}, 7: {"animals", "dog"}, 25_000: {"water"}}
TAGS = {1: ["sky", "nikon"], 2: ["rare"], 3: ["sky"], 5: [], 7: ["word3", "rare", "word1380"], 25_000: ["nikon"]}


def run_to_end(reading: Generator[str, None, ImageTextPairs]) -> tuple[list[str], ImageTextPairs]:
    """Return the lines and the pairs of a source."""
    lines = []
    while True:
        try:
            lines.append(next(reading))
        except StopIteration as end:
            return lines, end.value


@pytest.fixture
def root(data: Path) -> Path:
    """Return a download of five labeled images, two of them without a common tag, and one image with tags only."""
    root = data / "flickr25k"
    for folder in ("mirflickr25k_annotations_v080", "mirflickr/doc", "mirflickr/meta/tags"):
        (root / folder).mkdir(parents=True)
    for name in Flickr25kSource.classes:
        numbers = [number for number, names in LABELS.items() if name in names] or [25_000]
        text = "".join(f"{number}\r\n" for number in numbers)
        (root / "mirflickr25k_annotations_v080" / f"{name}.txt").write_text(text)
    tags = ["sky", "nikon", *(f"word{number}" for number in range(1384))]
    (root / "mirflickr" / "doc" / "common_tags.txt").write_text("".join(f"{tag} 20\n" for tag in tags))
    for number, names in TAGS.items():
        text = "".join(f"{name}\r\n" for name in names)
        (root / "mirflickr" / "meta" / "tags" / f"tags{number}.txt").write_text(text)
    return root


def test_the_classes_are_the_potential_labels_in_alphabetical_order() -> None:
    classes = Flickr25kSource.classes
    assert list(classes) == sorted({name.removesuffix("_r1") for name in CLASSES})
    assert len(classes) == 24


def test_the_splits_contain_all_images() -> None:
    sizes = Flickr25kSource.sizes
    assert sizes["query"] + sizes["database"] == 20_015


def test_images_without_a_label_or_a_common_tag_are_left_out(root: Path, tmp_path: Path) -> None:
    lines, pairs = run_to_end(Flickr25kSource().read(root, tmp_path))
    assert pairs.names == ("mirflickr/im1.jpg", "mirflickr/im7.jpg", "mirflickr/im25000.jpg")
    named = [[Flickr25kSource.classes[column] for column in np.flatnonzero(row)] for row in pairs.labels]
    assert named[:2] == [["sky", "water"], ["animals", "dog"]]
    assert len(named[2]) > 1
    assert [np.flatnonzero(row).tolist() for row in pairs.texts] == [[0, 1], [5, 1382], [1]]
    assert pairs.texts.shape == (3, 1386)
    assert pairs.texts.dtype == np.uint8
    assert lines == [f"{root}: 5 images have a label, 3 of them a common tag"]


def test_the_splits_are_prepared_and_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flickr25kSource, "sizes", {"train": 1, "query": 1, "database": 2})
    dataset = Flickr25k(edition="crossmodal")
    list(dataset.prepare())
    facts = dataset.facts()
    assert facts.sizes == {"train": 1, "query": 1, "database": 2}
    assert facts.classes == Flickr25kSource.classes
    assert facts.text_width == 1386
    tag_of = {"mirflickr/im1.jpg": [0, 1], "mirflickr/im7.jpg": [5, 1382], "mirflickr/im25000.jpg": [1]}
    for split in ("train", "query", "database"):
        for row, name in enumerate(dataset.ids(split)):
            assert dataset.texts(split, [row]).nonzero()[:, 1].tolist() == tag_of[name]


def test_missing_tags_of_a_labeled_image_are_reported(root: Path, tmp_path: Path) -> None:
    (root / "mirflickr" / "meta" / "tags" / "tags5.txt").unlink()
    with pytest.raises(UserError, match=r"tags5.txt: the tags cannot be read"):
        run_to_end(Flickr25kSource().read(root, tmp_path))


def test_the_steps_include_the_tags(data: Path) -> None:
    message = Flickr25k(edition="crossmodal").missing() or ""
    for part in ("common_tags.txt", "meta/tags/tags1.txt", "`retbench datasets prepare flickr25k --set edition=crossm"):
        assert part in message


@pytest.mark.skipif(not REAL.is_dir(), reason="the published lists are not available")
def test_every_labeled_image_has_a_potential_label() -> None:
    """24 581 of the 25 000 images have a label: 20 015 of them also have a common tag."""
    labels = np.concatenate([np.loadtxt(REAL / f"{stem}_label.txt", dtype=np.uint8) for stem in ("test", "database")])
    potential = labels[:, [CLASSES.index(name) for name in Flickr25kSource.classes]]
    assert labels.any(1).sum() == potential.any(1).sum() == 24_581


# Number of images of each class among all 25 000, in the order of the published columns.
FLICKR_SUMS = (
    *(3700, 7912, 791, 4683, 8313, 3982, 3931, 684, 149, 1077, 3216, 1177, 1322, 2711, 2895, 2135, 10373, 484, 1823),
    *(1350, 990, 116, 214, 669, 9992, 590, 380, 3331, 259, 3647, 8763, 3829, 668, 742, 7849, 6081, 894, 6184),
)


@pytest.mark.skipif(not REAL.is_dir(), reason="the published lists are not available")
def test_the_published_flickr_lists_are_read() -> None:
    splits = read_index(REAL, CLASSES).splits
    assert {split: len(listed.names) for split, listed in splits.items()} == {
        "train": 5000,
        "query": 1700,
        "database": 23_300,
    }
    unlabeled = {split: int((~listed.labels.any(1)).sum()) for split, listed in splits.items()}
    assert unlabeled == {"train": 95, "query": 38, "database": 381}
    assert len({*splits["train"].names}) == 4496
    assert len({row.tobytes() for row in splits["database"].labels}) == 4271
    assert len({row.tobytes() for row in splits["train"].labels}) == 1459
    sums = splits["query"].labels.sum(0) + splits["database"].labels.sum(0)
    assert tuple(sums.tolist()) == FLICKR_SUMS


@pytest.mark.skipif(not REAL.is_dir(), reason="the published lists are not available")
def test_the_flickr_columns_co_occur_as_their_names_suggest() -> None:
    splits = read_index(REAL, CLASSES).splits
    labels = np.concatenate([splits["query"].labels, splits["database"].labels]).astype(bool)
    column = {name: labels[:, index] for index, name in enumerate(CLASSES)}
    for name in CLASSES:
        if name.endswith("_r1"):
            assert (column[name] & ~column[name.removesuffix("_r1")]).sum() <= (4 if name == "people_r1" else 0)
    for water in ("sea", "river", "lake"):
        assert not (column[water] & ~column["water"]).any()
