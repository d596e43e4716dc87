"""FLICKR-25K with tags, from MIRFLICKR's files."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.editions.pairs import Pairs
from retbench_datasets.published.flickr25k import CLASSES, Flickr25k
from retbench_datasets.published.flickr25k_pairs import Flickr25kPairs

from retbench import UserError

REAL = Path(__file__).parents[5] / "shared" / "data" / "flickr25k"
LABELS = {1: {"sky", "water"}, 2: {"dog"}, 5: {"sky"}, 7: {"animals", "dog"}, 25_000: {"water"}}
TAGS = {1: ["sky", "nikon"], 2: ["unheard"], 3: ["sky"], 5: [], 7: ["word3", "unheard", "word1380"], 25_000: ["nikon"]}


def finished(reading: Generator[str, None, Pairs]) -> tuple[list[str], Pairs]:
    """Returns the lines and the pairs of a source."""
    lines = []
    while True:
        try:
            lines.append(next(reading))
        except StopIteration as end:
            return lines, end.value


@pytest.fixture
def root(data: Path) -> Path:
    """Five labelled pictures: two of them without a common tag; and one that has tags alone."""
    root = data / "flickr25k"
    for folder in ("mirflickr25k_annotations_v080", "mirflickr/doc", "mirflickr/meta/tags"):
        (root / folder).mkdir(parents=True)
    for name in Flickr25kPairs.classes:
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
    classes = Flickr25kPairs.classes
    assert list(classes) == sorted({name.removesuffix("_r1") for name in CLASSES})
    assert len(classes) == 24


def test_the_splits_hold_all_pictures() -> None:
    sizes = Flickr25kPairs.sizes
    assert sizes["query"] + sizes["database"] == 20_015


def test_a_picture_needs_a_label_and_a_common_tag(root: Path, tmp_path: Path) -> None:
    lines, pairs = finished(Flickr25kPairs().read(root, tmp_path))
    assert pairs.names == ("mirflickr/im1.jpg", "mirflickr/im7.jpg", "mirflickr/im25000.jpg")
    named = [[Flickr25kPairs.classes[column] for column in np.flatnonzero(row)] for row in pairs.labels]
    assert named[:2] == [["sky", "water"], ["animals", "dog"]]
    assert len(named[2]) > 1
    assert [np.flatnonzero(row).tolist() for row in pairs.texts] == [[0, 1], [5, 1382], [1]]
    assert pairs.texts.shape == (3, 1386)
    assert pairs.texts.dtype == np.uint8
    assert lines == [f"{root}: 5 pictures have a label, 3 of them a common tag"]


def test_the_splits_are_prepared_and_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flickr25kPairs, "sizes", {"train": 1, "query": 1, "database": 2})
    dataset = Flickr25k(edition="crossmodal")
    list(dataset.prepare())
    facts = dataset.facts()
    assert facts.sizes == {"train": 1, "query": 1, "database": 2}
    assert facts.classes == Flickr25kPairs.classes
    assert facts.text_width == 1386
    tag_of = {"mirflickr/im1.jpg": [0, 1], "mirflickr/im7.jpg": [5, 1382], "mirflickr/im25000.jpg": [1]}
    for split in ("train", "query", "database"):
        for row, name in enumerate(dataset.ids(split)):
            assert dataset.texts(split, [row]).nonzero()[:, 1].tolist() == tag_of[name]


def test_the_tags_of_a_labelled_picture_must_be_there(root: Path, tmp_path: Path) -> None:
    (root / "mirflickr" / "meta" / "tags" / "tags5.txt").unlink()
    with pytest.raises(UserError, match=r"tags5.txt: the tags cannot be read"):
        finished(Flickr25kPairs().read(root, tmp_path))


def test_the_steps_name_the_tags(data: Path) -> None:
    told = Flickr25k(edition="crossmodal").missing() or ""
    for part in ("common_tags.txt", "meta/tags/tags1.txt", "`retbench datasets prepare flickr25k --set edition=crossm"):
        assert part in told


@pytest.mark.skipif(not REAL.is_dir(), reason="the published lists are not at hand")
def test_leaving_out_the_relevant_labels_leaves_every_labelled_picture() -> None:
    """24 581 of the 25 000 pictures have a label: 20 015 of them have a common tag too."""
    labels = np.concatenate([np.loadtxt(REAL / f"{stem}_label.txt", dtype=np.uint8) for stem in ("test", "database")])
    potential = labels[:, [CLASSES.index(name) for name in Flickr25kPairs.classes]]
    assert labels.any(1).sum() == potential.any(1).sum() == 24_581
