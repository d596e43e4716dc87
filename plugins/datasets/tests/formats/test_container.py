"""Published containers of every kind, written by the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from retbench_datasets.formats.container import ContainerSpec, container_files, feature_files, find_container
from scipy.io import savemat

from retbench import UserError

ROWS, CLASSES, WIDTH, SIZE = 7, 5, 6, 8
FLICKR = ContainerSpec("flickr25k", CLASSES, WIDTH, ROWS, SIZE)
NUS = FLICKR._replace(name="nuswide")
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


def write_matlab(path: Path, arrays: Arrays) -> None:
    savemat(path, arrays)


def write_array_files(root: Path) -> None:
    write_hdf5(root / "mirflickr25k-iall.mat", {"IAll": PIXELS.transpose(1, 2, 3, 0)})
    write_matlab(root / "mirflickr25k-lall.mat", {"LAll": LABELS})
    write_hdf5(root / "mirflickr25k-yall.mat", {"YAll": TEXTS})


def write_dgcpn_files(root: Path) -> None:
    np.save(root / "label.npy", LABELS)
    np.save(root / "tags.npy", TEXTS.astype(np.float64))
    np.save(root / "mir_vgg19.npy", np.zeros((ROWS, 4096), np.float32))


def test_a_missing_array_is_reported_with_the_existing_ones(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "FLICKR-25K.mat", {"IAll": PIXELS.transpose(0, 3, 1, 2), "labels": LABELS})
    with pytest.raises(UserError, match=r"an array is missing: got IAll, labels, expected one of LAll, label"):
        find_container(tmp_path, FLICKR)


@pytest.mark.parametrize(
    ("file", "spec", "arrays"),
    [
        ("FLICKR-25K.mat", FLICKR, {"images": np.zeros((ROWS, 4096)), "LAll": LABELS, "YAll": TEXTS}),
        ("NUS-WIDE-TC21.mat", NUS, {"image": np.zeros((ROWS, 4096)), "label": LABELS, "text": TEXTS}),
    ],
)
def test_features_are_refused_with_the_file_to_get_instead(
    tmp_path: Path, file: str, spec: ContainerSpec, arrays: Arrays
) -> None:
    write_matlab(tmp_path / file, arrays)
    with pytest.raises(UserError, match=r"features, .* need images: got shape \(7, 4096\), .*; get TA-DCH's .*-iall"):
        find_container(tmp_path, spec)


def test_dgcpns_files_are_refused_with_the_files_to_get_instead(tmp_path: Path) -> None:
    write_dgcpn_files(tmp_path)
    with pytest.raises(
        UserError,
        match=r"^[^\n]*label.npy: DGCPN's files .*: got label.npy, mir_vgg19.npy, tags.npy, expected FLICKR-25K.mat or "
        r"mirflickr25k-iall.mat, mirflickr25k-lall.mat, mirflickr25k-yall.mat; .* or move these files away[^\n]*$",
    ):
        find_container(tmp_path, FLICKR)


def test_dgcpns_files_do_not_complete_dcmhs_file_of_images(tmp_path: Path) -> None:
    """The rows of the two publications may be in different orders."""
    write_array_files(tmp_path)
    for array in ("lall", "yall"):
        (tmp_path / f"mirflickr25k-{array}.mat").unlink()
    write_dgcpn_files(tmp_path)
    with pytest.raises(
        UserError, match=r"label.npy: .*expected FLICKR-25K.mat or mirflickr25k-lall.mat, mirflickr25k-yall.mat; "
    ):
        find_container(tmp_path, FLICKR)


def test_dgcpns_files_do_not_hide_a_container(tmp_path: Path, write_container_kind: WriteContainer) -> None:
    write_container_kind(tmp_path, PIXELS, LABELS, TEXTS)
    expected = find_container(tmp_path, FLICKR)
    write_dgcpn_files(tmp_path)
    assert find_container(tmp_path, FLICKR) == expected
    assert all(path.suffix == ".mat" for path in container_files(tmp_path, "flickr25k"))
    assert [path.name for path in feature_files(tmp_path)] == ["label.npy", "mir_vgg19.npy", "tags.npy"]


def test_only_the_whole_file_is_suggested_for_datasets_without_dcmh_files(tmp_path: Path) -> None:
    (tmp_path / "train_feature_vgg19.npy").touch()
    with pytest.raises(UserError, match=r"got train_feature_vgg19.npy, expected WIKIPEDIA.mat; "):
        find_container(tmp_path, FLICKR._replace(name="wikipedia"))


def test_features_do_not_hide_images_in_other_files(tmp_path: Path) -> None:
    write_matlab(tmp_path / "FLICKR-25K.mat", {"images": np.zeros((ROWS, 4096)), "LAll": LABELS, "YAll": TEXTS})
    write_array_files(tmp_path)
    found = find_container(tmp_path, FLICKR)
    assert found is not None
    assert found.images.path.name == "mirflickr25k-iall.mat"


def test_a_missing_array_file_is_reported(tmp_path: Path) -> None:
    write_array_files(tmp_path)
    (tmp_path / "mirflickr25k-yall.mat").unlink()
    with pytest.raises(UserError, match=r"mirflickr25k-yall.mat: no such file, but mirflickr25k-iall.mat exists"):
        find_container(tmp_path, FLICKR)


def test_an_empty_folder_has_no_container(tmp_path: Path) -> None:
    assert find_container(tmp_path, FLICKR) is None
    assert container_files(tmp_path, "flickr25k") == ()


def test_container_files_are_found_by_name(tmp_path: Path, write_container_kind: WriteContainer) -> None:
    write_container_kind(tmp_path, PIXELS, LABELS, TEXTS)
    assert {*container_files(tmp_path, "flickr25k")} == {*tmp_path.iterdir()}


def test_files_of_other_datasets_are_ignored(tmp_path: Path) -> None:
    write_array_files(tmp_path)
    assert find_container(tmp_path, NUS) is None
