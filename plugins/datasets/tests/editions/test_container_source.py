"""A published container in place of an original download."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from retbench_datasets.editions.container_source import FromContainer
from retbench_datasets.editions.pairs import Pairs
from retbench_datasets.published.wikipedia_pairs import WikipediaPairs

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3, 224, 224), dtype=np.uint8)


class Published(FromContainer, WikipediaPairs):
    """Wikipedia with four rows."""

    sizes = {"train": 3, "query": 1, "database": 3}  # noqa: RUF012  the tests do not change it


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "WIKIPEDIA.mat", "w", userblock_size=512) as file:
        file["IAll"] = PIXELS.transpose()
        file["LAll"] = np.eye(4, 10).transpose()
        file["TAll"] = np.full((10, 4), 0.1)
    return tmp_path


def finish(generator: Generator[str, None, Pairs]) -> Pairs:
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("transposed", [False, True])
def test_the_pairs_are_those_of_the_file(root: Path, transposed: bool) -> None:
    pairs = finish(Published(transposed).read(root, root / "draft"))
    np.testing.assert_array_equal(pairs.labels, np.eye(4, 10))
    np.testing.assert_allclose(pairs.texts, 0.1, rtol=1e-6)
    picture: Any = np.asarray(Image.open(root / pairs.names[2]))
    np.testing.assert_array_equal(picture, PIXELS[2].transpose(2, 1, 0) if transposed else PIXELS[2].transpose(1, 2, 0))


def test_what_the_data_set_is_comes_from_the_other_source() -> None:
    source = Published()
    assert (source.name, source.classes, source.licence) == (
        "wikipedia",
        WikipediaPairs.classes,
        WikipediaPairs.licence,
    )
    assert source.contents()[:4] == ("wikipedia", 10, 10, 4)
    assert source.remarks == FromContainer.remarks


def test_what_the_folder_must_hold_is_the_published_file(root: Path) -> None:
    source = Published()
    assert source.present(root)
    assert source.files(root) == (root / "WIKIPEDIA.mat",)
    (root / "WIKIPEDIA.mat").unlink()
    assert not source.present(root)
    assert source.files(root) == (root / "WIKIPEDIA.mat",)
    assert "WIKIPEDIA.mat" in source.steps(root)
    assert source.encoder_missing() is None


def test_the_rows_of_ta_dchs_file_are_in_the_published_order(root: Path) -> None:
    assert Published().arrangement(root) == "published"


def test_the_rows_of_any_other_file_are_drawn(root: Path) -> None:
    with h5py.File(root / "WIKIPEDIA.mat", "r+") as file:
        file.move("TAll", "YAll")
    assert Published().arrangement(root) == "drawn"
