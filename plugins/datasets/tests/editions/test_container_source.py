"""A published container as the source of a cross-modal edition."""

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
from retbench_datasets.formats.container import ContainerSpec
from retbench_datasets.published.wikipedia import WikipediaSource

from retbench import UserError

ROWS, CLASSES, WIDTH, SIZE = 7, 5, 6, 8
FLICKR = ContainerSpec("flickr25k", CLASSES, WIDTH, ROWS, SIZE)
Arrays = dict[str, Any]
WriteContainer = Callable[..., None]


def draw() -> tuple[Any, Any, Any]:
    """Return upright images (N, H, W, 3), labels (N, C), texts (N, T); row 3 has no label, row 4 no words."""
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (ROWS, SIZE, SIZE, 3), dtype=np.uint8)
    labels, texts = source.integers(0, 2, (ROWS, CLASSES)), source.integers(0, 2, (ROWS, WIDTH))
    labels[3], texts[4] = 0, 0
    return images, labels, texts


PIXELS, LABELS, TEXTS = draw()


def write_hdf5(path: Path, arrays: Arrays) -> None:
    """Write arrays with MATLAB's axes as version 7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = np.asarray(array).transpose()


def run_to_end(generator: Generator[str, None, ImageTextPairs]) -> tuple[list[str], ImageTextPairs]:
    lines = []
    while True:
        try:
            lines.append(next(generator))
        except StopIteration as end:
            return lines, end.value


def read_images(root: Path, pairs: ImageTextPairs) -> Any:
    return np.stack([np.asarray(Image.open(root / name)) for name in pairs.names])


LARGE = np.random.default_rng(0).integers(0, 256, (4, 3, 224, 224), dtype=np.uint8)


class Published(ContainerSource, WikipediaSource):
    """Wikipedia's container with four rows."""

    sizes = {"train": 3, "query": 1, "database": 3}  # noqa: RUF012  the tests do not change it


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "WIKIPEDIA.mat", "w", userblock_size=512) as file:
        file["IAll"] = LARGE.transpose()
        file["LAll"] = np.eye(4, 10).transpose()
        file["TAll"] = np.full((10, 4), 0.1)
    return tmp_path


@pytest.mark.parametrize("transposed", [False, True])
def test_the_pairs_are_in_file_order(root: Path, transposed: bool) -> None:
    _, pairs = run_to_end(Published(transposed).read(root, root / "draft"))
    np.testing.assert_array_equal(pairs.labels, np.eye(4, 10))
    np.testing.assert_allclose(pairs.texts, 0.1, rtol=1e-6)
    image: Any = np.asarray(Image.open(root / pairs.names[2]))
    np.testing.assert_array_equal(image, LARGE[2].transpose(2, 1, 0) if transposed else LARGE[2].transpose(1, 2, 0))


def test_classes_sizes_and_license_come_from_the_download_source() -> None:
    source = Published()
    assert (source.name, source.classes, source.license) == (
        "wikipedia",
        WikipediaSource.classes,
        WikipediaSource.license,
    )
    assert source.spec()[:4] == ("wikipedia", 10, 10, 4)
    assert source.remarks == ContainerSource.remarks


def test_the_required_file_is_the_published_one(root: Path) -> None:
    source = Published()
    assert source.is_present(root)
    assert source.required_files(root) == (root / "WIKIPEDIA.mat",)
    (root / "WIKIPEDIA.mat").unlink()
    assert not source.is_present(root)
    assert source.required_files(root) == (root / "WIKIPEDIA.mat",)
    assert "WIKIPEDIA.mat" in source.download_steps(root)[0]
    assert not source.needs_bert


def test_rows_of_ta_dchs_file_keep_the_published_order(root: Path) -> None:
    assert Published().row_order(root) == "published"


def test_rows_of_other_files_are_drawn(root: Path) -> None:
    with h5py.File(root / "WIKIPEDIA.mat", "r+") as file:
        file.move("TAll", "YAll")
    assert Published().row_order(root) == "drawn"


def test_every_kind_of_container_gives_the_same_images_labels_and_texts(
    tmp_path: Path, write_container_kind: WriteContainer
) -> None:
    write_container_kind(tmp_path, PIXELS, LABELS, TEXTS)
    _, pairs = run_to_end(unpack_container(tmp_path, FLICKR))
    assert pairs.names[0] == "crossmodal/pictures/000000.png"
    assert len({*pairs.names}) == ROWS
    np.testing.assert_array_equal(read_images(tmp_path, pairs), PIXELS)
    np.testing.assert_array_equal(pairs.labels, LABELS)
    np.testing.assert_array_equal(pairs.texts, TEXTS)
    assert (pairs.labels.dtype, pairs.texts.dtype) == (np.uint8, np.uint8)


def test_ta_dchs_own_loader_swaps_height_and_width(tmp_path: Path) -> None:
    """Its axes (3, 2, 0, 1) fit kernels with swapped axes; the unpacked files are upright."""
    arrays = {"IAll": PIXELS.transpose(0, 3, 1, 2), "LAll": LABELS.astype(float), "TAll": TEXTS.astype(float)}
    write_hdf5(tmp_path / "FLICKR-25K.mat", arrays)
    _, pairs = run_to_end(unpack_container(tmp_path, FLICKR))
    with h5py.File(tmp_path / "FLICKR-25K.mat", "r") as file:
        loaded = file["IAll"][:].transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(loaded, read_images(tmp_path, pairs).transpose(0, 3, 2, 1))


def test_images_stored_width_first_are_upright_with_the_option_transposed(tmp_path: Path) -> None:
    arrays = {"IAll": PIXELS.transpose(0, 3, 2, 1), "LAll": LABELS, "TAll": TEXTS}
    write_hdf5(tmp_path / "FLICKR-25K.mat", arrays)
    _, rotated = run_to_end(unpack_container(tmp_path, FLICKR))
    np.testing.assert_array_equal(read_images(tmp_path, rotated), PIXELS.transpose(0, 2, 1, 3))
    lines, pairs = run_to_end(unpack_container(tmp_path, FLICKR, transposed=True))
    np.testing.assert_array_equal(read_images(tmp_path, pairs), PIXELS)
    assert any(f"removed {ROWS} images of another source" in line for line in lines)


def test_texts_that_are_not_integers_stay_floats(tmp_path: Path) -> None:
    texts = np.random.default_rng(1).normal(size=(ROWS, WIDTH))
    write_hdf5(tmp_path / "FLICKR-25K.mat", {"IAll": PIXELS.transpose(0, 3, 1, 2), "LAll": LABELS, "TAll": texts})
    _, pairs = run_to_end(unpack_container(tmp_path, FLICKR))
    assert pairs.texts.dtype == np.float32
    np.testing.assert_array_equal(pairs.texts, texts.astype(np.float32))


def test_float_images_must_have_integer_values(tmp_path: Path) -> None:
    arrays = {"IAll": PIXELS.transpose(0, 3, 1, 2).astype(np.float32), "LAll": LABELS, "TAll": TEXTS}
    write_hdf5(tmp_path / "FLICKR-25K.mat", arrays)
    _, pairs = run_to_end(unpack_container(tmp_path, FLICKR))
    np.testing.assert_array_equal(read_images(tmp_path, pairs), PIXELS)
    for wrong in (-103.5, 256.0, 0.5, np.nan):
        arrays["IAll"][2, 1, 0, 0] = wrong
        write_hdf5(tmp_path / "FLICKR-25K.mat", arrays)
        with pytest.raises(
            UserError, match=r"FLICKR-25K.mat: IAll: image 2: wrong pixel values: got .*, expected integers"
        ):
            run_to_end(unpack_container(tmp_path, FLICKR))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"LAll": LABELS * 2}, r"LAll: row \d: a label must be 0 or 1: got 2"),
        ({"LAll": LABELS - 0.5}, r"LAll: row 0: a label must be 0 or 1: got -?0.5"),
        ({"LAll": LABELS[:, 1:]}, r"LAll: wrong shape: got \(7, 4\), expected \(7, 5\) or \(5, 7\)"),
        ({"LAll": LABELS[1:]}, r"LAll: wrong shape: got \(6, 5\), expected \(7, 5\) or \(5, 7\)"),
        ({"TAll": TEXTS[1:]}, r"TAll: wrong shape: got \(6, 6\), expected \(7, 6\) or \(6, 7\)"),
        ({"TAll": np.where(np.arange(ROWS)[:, None] == 5, np.nan, TEXTS)}, r"TAll: row 5: a text must consist of"),
        ({"TAll": np.where(np.arange(ROWS)[:, None] == 5, 1e39, TEXTS)}, r"TAll: row 5: a text must consist of"),
        ({"IAll": PIXELS[:6].transpose(0, 3, 1, 2)}, r"IAll: wrong shape of images: got \(6, 3, 8, 8\)"),
        ({"IAll": PIXELS[..., :2].transpose(0, 3, 1, 2)}, r"IAll: wrong shape of images: got \(7, 2, 8, 8\)"),
    ],
)
def test_a_wrong_array_is_refused_before_an_image_is_written(tmp_path: Path, change: Arrays, problem: str) -> None:
    arrays = {"IAll": PIXELS.transpose(0, 3, 1, 2), "LAll": LABELS, "TAll": TEXTS} | change
    write_hdf5(tmp_path / "FLICKR-25K.mat", arrays)
    with pytest.raises(UserError, match=rf"^[^\n]*FLICKR-25K.mat: {problem}[^\n]*$"):
        run_to_end(unpack_container(tmp_path, FLICKR))
    assert not (tmp_path / "crossmodal").exists()


def test_a_folder_without_a_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no published container: expected FLICKR-25K.mat"):
        run_to_end(unpack_container(tmp_path, FLICKR))
