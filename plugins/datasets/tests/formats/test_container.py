"""Published containers, written by the tests in each of their forms."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image
from retbench_datasets.editions.pairs import Pairs
from retbench_datasets.formats.container import (
    Contents,
    container_files,
    feature_files,
    find_container,
    unpack_container,
)

from retbench import UserError

ROWS, CLASSES, WIDTH, SIZE = 7, 5, 6, 8
FLICKR = Contents("flickr25k", CLASSES, WIDTH, ROWS, SIZE)
NUS = FLICKR._replace(name="nuswide")
Arrays = dict[str, Any]


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


def write_matlab(path: Path, arrays: Arrays) -> None:
    scipy.io.savemat(path, arrays)


def ta_dch(root: Path) -> None:
    """What h5py sees as (W, H, 3, N), (C, N), (T, N)."""
    pictures = PIXELS.transpose(0, 3, 1, 2)
    write_hdf5(root / "FLICKR-25K.mat", {"IAll": pictures, "LAll": LABELS.astype(float), "TAll": TEXTS.astype(float)})


def dcmh(root: Path) -> None:
    """What MATLAB sees as (H, W, 3, N), (N, C), (N, T)."""
    write_hdf5(root / "FLICKR-25K.mat", {"images": PIXELS.transpose(1, 2, 3, 0), "LAll": LABELS, "YAll": TEXTS})


def dcmh_port(root: Path) -> None:
    """What h5py sees as (N, 3, W, H), (N, C), (N, T), and its code takes so."""
    with h5py.File(root / "FLICKR-25K.mat", "w") as file:
        file["IAll"], file["LAll"], file["YAll"] = PIXELS.transpose(0, 3, 2, 1), LABELS, TEXTS


def parts(root: Path) -> None:
    write_hdf5(root / "mirflickr25k-iall.mat", {"IAll": PIXELS.transpose(1, 2, 3, 0)})
    write_matlab(root / "mirflickr25k-lall.mat", {"LAll": LABELS})
    write_hdf5(root / "mirflickr25k-yall.mat", {"YAll": TEXTS})


def small_file(root: Path) -> None:
    write_matlab(root / "FLICKR-25K.mat", {"IAll": PIXELS.transpose(0, 3, 1, 2), "LAll": LABELS, "TAll": TEXTS})


def dgcpn(root: Path) -> None:
    np.save(root / "label.npy", LABELS)
    np.save(root / "tags.npy", TEXTS.astype(np.float64))
    np.save(root / "mir_vgg19.npy", np.zeros((ROWS, 4096), np.float32))


def unpack(generator: Generator[str, None, Pairs]) -> tuple[list[str], Pairs]:
    lines = []
    while True:
        try:
            lines.append(next(generator))
        except StopIteration as end:
            return lines, end.value


def pixels(root: Path, pairs: Pairs) -> Any:
    return np.stack([np.asarray(Image.open(root / name)) for name in pairs.names])


FORMS = [ta_dch, dcmh, dcmh_port, parts, small_file]


@pytest.mark.parametrize("write", FORMS)
def test_every_form_gives_the_same_upright_pictures_labels_and_texts(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path)
    _, pairs = unpack(unpack_container(tmp_path, FLICKR))
    assert pairs.names[0] == "crossmodal/pictures/000000.png"
    assert len({*pairs.names}) == ROWS
    np.testing.assert_array_equal(pixels(tmp_path, pairs), PIXELS)
    np.testing.assert_array_equal(pairs.labels, LABELS)
    np.testing.assert_array_equal(pairs.texts, TEXTS)
    assert (pairs.labels.dtype, pairs.texts.dtype) == (np.uint8, np.uint8)


def test_the_published_loader_of_ta_dch_swaps_height_and_width_of_what_is_written_here(tmp_path: Path) -> None:
    """Its axes (3, 2, 0, 1) suit kernels that are swapped too; the files written here are upright."""
    ta_dch(tmp_path)
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


def test_a_missing_array_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "FLICKR-25K.mat", {"IAll": PIXELS.transpose(0, 3, 1, 2), "labels": LABELS})
    with pytest.raises(UserError, match=r"an array is missing: got IAll, labels, expected one of LAll, label"):
        find_container(tmp_path, FLICKR)


@pytest.mark.parametrize(
    ("file", "contents", "arrays"),
    [
        ("FLICKR-25K.mat", FLICKR, {"images": np.zeros((ROWS, 4096)), "LAll": LABELS, "YAll": TEXTS}),
        ("NUS-WIDE-TC21.mat", NUS, {"image": np.zeros((ROWS, 4096)), "label": LABELS, "text": TEXTS}),
    ],
)
def test_features_are_refused_with_what_to_get_instead(
    tmp_path: Path, file: str, contents: Contents, arrays: Arrays
) -> None:
    write_matlab(tmp_path / file, arrays)
    with pytest.raises(UserError, match=r"features, .* need pictures: got shape \(7, 4096\), .*; get TA-DCH's .*-iall"):
        find_container(tmp_path, contents)


def test_files_of_dgcpn_are_refused_with_what_to_get_instead(tmp_path: Path) -> None:
    dgcpn(tmp_path)
    with pytest.raises(
        UserError,
        match=r"^[^\n]*label.npy: DGCPN's files .*: got label.npy, mir_vgg19.npy, tags.npy, expected FLICKR-25K.mat or "
        r"mirflickr25k-iall.mat, mirflickr25k-lall.mat, mirflickr25k-yall.mat; .* or move these away[^\n]*$",
    ):
        find_container(tmp_path, FLICKR)


def test_files_of_dgcpn_do_not_complete_a_part_of_pictures(tmp_path: Path) -> None:
    """Nothing shows that their rows are in the order of its pictures."""
    parts(tmp_path)
    for part in ("lall", "yall"):
        (tmp_path / f"mirflickr25k-{part}.mat").unlink()
    dgcpn(tmp_path)
    with pytest.raises(
        UserError, match=r"label.npy: .*expected FLICKR-25K.mat or mirflickr25k-lall.mat, mirflickr25k-yall.mat; "
    ):
        find_container(tmp_path, FLICKR)


@pytest.mark.parametrize("write", FORMS)
def test_files_of_dgcpn_do_not_hide_a_container_beside_them(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    expected = find_container(tmp_path, FLICKR)
    dgcpn(tmp_path)
    assert find_container(tmp_path, FLICKR) == expected
    assert all(path.suffix == ".mat" for path in container_files(tmp_path, FLICKR))
    assert [path.name for path in feature_files(tmp_path)] == ["label.npy", "mir_vgg19.npy", "tags.npy"]


def test_a_data_set_without_parts_is_told_of_the_whole_file_alone(tmp_path: Path) -> None:
    (tmp_path / "train_feature_vgg19.npy").touch()
    with pytest.raises(UserError, match=r"got train_feature_vgg19.npy, expected WIKIPEDIA.mat; "):
        find_container(tmp_path, FLICKR._replace(name="wikipedia"))


def test_features_do_not_hide_pictures_beside_them(tmp_path: Path) -> None:
    write_matlab(tmp_path / "FLICKR-25K.mat", {"images": np.zeros((ROWS, 4096)), "LAll": LABELS, "YAll": TEXTS})
    parts(tmp_path)
    found = find_container(tmp_path, FLICKR)
    assert found is not None
    assert found.pictures.path.name == "mirflickr25k-iall.mat"


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    parts(tmp_path)
    (tmp_path / "mirflickr25k-yall.mat").unlink()
    with pytest.raises(UserError, match=r"mirflickr25k-yall.mat: no such file, but mirflickr25k-iall.mat is there"):
        find_container(tmp_path, FLICKR)


def test_an_empty_folder_holds_no_container(tmp_path: Path) -> None:
    assert find_container(tmp_path, FLICKR) is None
    assert container_files(tmp_path, FLICKR) == ()
    with pytest.raises(UserError, match=r"no published container is there: expected FLICKR-25K.mat"):
        unpack(unpack_container(tmp_path, FLICKR))


@pytest.mark.parametrize("write", FORMS)
def test_the_files_of_a_container_are_known_by_name(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    assert {*container_files(tmp_path, FLICKR)} == {*tmp_path.iterdir()}


def test_other_data_sets_files_are_not_looked_at(tmp_path: Path) -> None:
    parts(tmp_path)
    assert find_container(tmp_path, NUS) is None
