"""A published container in place of an original download."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from retbench_datasets.editions.container_source import ContainerSource, unpack_container
from retbench_datasets.editions.crossmodal_source import ImageTextPairs
from retbench_datasets.formats.container import Contents
from retbench_datasets.published.wikipedia import WikipediaSource

from retbench import UserError

ROWS, CLASSES, WIDTH, SIZE = 7, 5, 6, 8
FLICKR = Contents("flickr25k", CLASSES, WIDTH, ROWS, SIZE)
Arrays = dict[str, Any]
Form = Callable[..., None]


def draw() -> tuple[Any, Any, Any]:
    """Upright pictures (N, H, W, 3), labels (N, C), texts (N, T); a row without labels and one without words."""
    source = np.random.default_rng(0)
    pictures = source.integers(0, 256, (ROWS, SIZE, SIZE, 3), dtype=np.uint8)
    labels, texts = source.integers(0, 2, (ROWS, CLASSES)), source.integers(0, 2, (ROWS, WIDTH))
    labels[3], texts[4] = 0, 0
    return pictures, labels, texts


PIXELS, LABELS, TEXTS = draw()


def write_hdf5(path: Path, arrays: Arrays) -> None:
    """Writes arrays given with MATLAB's axes as version 7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = np.asarray(array).transpose()


def unpack(generator: Generator[str, None, ImageTextPairs]) -> tuple[list[str], ImageTextPairs]:
    lines = []
    while True:
        try:
            lines.append(next(generator))
        except StopIteration as end:
            return lines, end.value


def pixels(root: Path, pairs: ImageTextPairs) -> Any:
    return np.stack([np.asarray(Image.open(root / name)) for name in pairs.names])


LARGE = np.random.default_rng(0).integers(0, 256, (4, 3, 224, 224), dtype=np.uint8)


class Published(ContainerSource, WikipediaSource):
    """Wikipedia with four rows."""

    sizes = {"train": 3, "query": 1, "database": 3}  # noqa: RUF012  the tests do not change it


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "WIKIPEDIA.mat", "w", userblock_size=512) as file:
        file["IAll"] = LARGE.transpose()
        file["LAll"] = np.eye(4, 10).transpose()
        file["TAll"] = np.full((10, 4), 0.1)
    return tmp_path


@pytest.mark.parametrize("transposed", [False, True])
def test_the_pairs_are_those_of_the_file(root: Path, transposed: bool) -> None:
    _, pairs = unpack(Published(transposed).read(root, root / "draft"))
    np.testing.assert_array_equal(pairs.labels, np.eye(4, 10))
    np.testing.assert_allclose(pairs.texts, 0.1, rtol=1e-6)
    picture: Any = np.asarray(Image.open(root / pairs.names[2]))
    np.testing.assert_array_equal(picture, LARGE[2].transpose(2, 1, 0) if transposed else LARGE[2].transpose(1, 2, 0))


def test_what_the_data_set_is_comes_from_the_other_source() -> None:
    source = Published()
    assert (source.name, source.classes, source.license) == (
        "wikipedia",
        WikipediaSource.classes,
        WikipediaSource.license,
    )
    assert source.contents()[:4] == ("wikipedia", 10, 10, 4)
    assert source.remarks == ContainerSource.remarks


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


def test_every_form_gives_the_same_upright_pictures_labels_and_texts(tmp_path: Path, container_form: Form) -> None:
    container_form(tmp_path, PIXELS, LABELS, TEXTS)
    _, pairs = unpack(unpack_container(tmp_path, FLICKR))
    assert pairs.names[0] == "crossmodal/pictures/000000.png"
    assert len({*pairs.names}) == ROWS
    np.testing.assert_array_equal(pixels(tmp_path, pairs), PIXELS)
    np.testing.assert_array_equal(pairs.labels, LABELS)
    np.testing.assert_array_equal(pairs.texts, TEXTS)
    assert (pairs.labels.dtype, pairs.texts.dtype) == (np.uint8, np.uint8)


def test_the_published_loader_of_ta_dch_swaps_height_and_width_of_what_is_written_here(tmp_path: Path) -> None:
    """Its axes (3, 2, 0, 1) suit kernels that are swapped too; the files written here are upright."""
    arrays = {"IAll": PIXELS.transpose(0, 3, 1, 2), "LAll": LABELS.astype(float), "TAll": TEXTS.astype(float)}
    write_hdf5(tmp_path / "FLICKR-25K.mat", arrays)
    _, pairs = unpack(unpack_container(tmp_path, FLICKR))
    with h5py.File(tmp_path / "FLICKR-25K.mat", "r") as file:
        loaded = file["IAll"][:].transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(loaded, pixels(tmp_path, pairs).transpose(0, 3, 2, 1))


def test_pictures_stored_width_first_are_set_upright_when_told(tmp_path: Path) -> None:
    turned = {"IAll": PIXELS.transpose(0, 3, 2, 1), "LAll": LABELS, "TAll": TEXTS}
    write_hdf5(tmp_path / "FLICKR-25K.mat", turned)
    _, lying = unpack(unpack_container(tmp_path, FLICKR))
    np.testing.assert_array_equal(pixels(tmp_path, lying), PIXELS.transpose(0, 2, 1, 3))
    lines, pairs = unpack(unpack_container(tmp_path, FLICKR, transposed=True))
    np.testing.assert_array_equal(pixels(tmp_path, pairs), PIXELS)
    assert any(f"{ROWS} pictures of another source were removed" in line for line in lines)


def test_texts_that_are_no_counts_stay_floats(tmp_path: Path) -> None:
    texts = np.random.default_rng(1).normal(size=(ROWS, WIDTH))
    write_hdf5(tmp_path / "FLICKR-25K.mat", {"IAll": PIXELS.transpose(0, 3, 1, 2), "LAll": LABELS, "TAll": texts})
    _, pairs = unpack(unpack_container(tmp_path, FLICKR))
    assert pairs.texts.dtype == np.float32
    np.testing.assert_array_equal(pairs.texts, texts.astype(np.float32))


def test_pictures_of_whole_floats_are_taken_and_others_refused(tmp_path: Path) -> None:
    arrays = {"IAll": PIXELS.transpose(0, 3, 1, 2).astype(np.float32), "LAll": LABELS, "TAll": TEXTS}
    write_hdf5(tmp_path / "FLICKR-25K.mat", arrays)
    _, pairs = unpack(unpack_container(tmp_path, FLICKR))
    np.testing.assert_array_equal(pixels(tmp_path, pairs), PIXELS)
    for wrong in (-103.5, 256.0, 0.5, np.nan):
        arrays["IAll"][2, 1, 0, 0] = wrong
        write_hdf5(tmp_path / "FLICKR-25K.mat", arrays)
        with pytest.raises(UserError, match=r"FLICKR-25K.mat: IAll: picture 2: got values .*, expected whole numbers"):
            unpack(unpack_container(tmp_path, FLICKR))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"LAll": LABELS * 2}, r"LAll: row \d: a label must be 0 or 1: got 2"),
        ({"LAll": LABELS - 0.5}, r"LAll: row 0: a label must be 0 or 1: got -?0.5"),
        ({"LAll": LABELS[:, 1:]}, r"LAll: wrong shape: got \(7, 4\), expected \(7, 5\) or \(5, 7\)"),
        ({"LAll": LABELS[1:]}, r"LAll: wrong shape: got \(6, 5\), expected \(7, 5\) or \(5, 7\)"),
        ({"TAll": TEXTS[1:]}, r"TAll: wrong shape: got \(6, 6\), expected \(7, 6\) or \(6, 7\)"),
        ({"TAll": np.where(np.arange(ROWS)[:, None] == 5, np.nan, TEXTS)}, r"TAll: row 5: a text must be of finite"),
        ({"TAll": np.where(np.arange(ROWS)[:, None] == 5, 1e39, TEXTS)}, r"TAll: row 5: a text must be of finite"),
        ({"IAll": PIXELS[:6].transpose(0, 3, 1, 2)}, r"IAll: these are no pictures: got shape \(6, 3, 8, 8\)"),
        ({"IAll": PIXELS[..., :2].transpose(0, 3, 1, 2)}, r"IAll: these are no pictures: got shape \(7, 2, 8, 8\)"),
    ],
)
def test_a_wrong_array_is_refused_before_a_picture_is_written(tmp_path: Path, change: Arrays, problem: str) -> None:
    arrays = {"IAll": PIXELS.transpose(0, 3, 1, 2), "LAll": LABELS, "TAll": TEXTS} | change
    write_hdf5(tmp_path / "FLICKR-25K.mat", arrays)
    with pytest.raises(UserError, match=rf"^[^\n]*FLICKR-25K.mat: {problem}[^\n]*$"):
        unpack(unpack_container(tmp_path, FLICKR))
    assert not (tmp_path / "crossmodal").exists()


def test_a_folder_without_a_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no published container is there: expected FLICKR-25K.mat"):
        unpack(unpack_container(tmp_path, FLICKR))
