"""Published containers, written by the tests in each of their forms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from retbench_datasets.formats.container import Contents, container_files, feature_files, find_container
from scipy.io import savemat

from retbench import UserError

ROWS, CLASSES, WIDTH, SIZE = 7, 5, 6, 8
FLICKR = Contents("flickr25k", CLASSES, WIDTH, ROWS, SIZE)
NUS = FLICKR._replace(name="nuswide")
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


def write_matlab(path: Path, arrays: Arrays) -> None:
    savemat(path, arrays)


def parts(root: Path) -> None:
    write_hdf5(root / "mirflickr25k-iall.mat", {"IAll": PIXELS.transpose(1, 2, 3, 0)})
    write_matlab(root / "mirflickr25k-lall.mat", {"LAll": LABELS})
    write_hdf5(root / "mirflickr25k-yall.mat", {"YAll": TEXTS})


def dgcpn(root: Path) -> None:
    np.save(root / "label.npy", LABELS)
    np.save(root / "tags.npy", TEXTS.astype(np.float64))
    np.save(root / "mir_vgg19.npy", np.zeros((ROWS, 4096), np.float32))


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


def test_files_of_dgcpn_do_not_hide_a_container_beside_them(tmp_path: Path, container_form: Form) -> None:
    container_form(tmp_path, PIXELS, LABELS, TEXTS)
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


def test_the_files_of_a_container_are_known_by_name(tmp_path: Path, container_form: Form) -> None:
    container_form(tmp_path, PIXELS, LABELS, TEXTS)
    assert {*container_files(tmp_path, FLICKR)} == {*tmp_path.iterdir()}


def test_other_data_sets_files_are_not_looked_at(tmp_path: Path) -> None:
    parts(tmp_path)
    assert find_container(tmp_path, NUS) is None
