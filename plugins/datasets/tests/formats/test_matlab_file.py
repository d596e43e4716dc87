"""MATLAB files of both formats."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from retbench_datasets.formats.matlab_file import open_mat, read_mat

from retbench import UserError

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
Write = Callable[[Path], None]


def write_version_5(path: Path, compressed: bool = True) -> None:
    others = {"words": np.array(["a"], dtype=object), "text": "abc", "s": {"a": 1.0}}
    scipy.io.savemat(path, {"IAll": VALUES, "LAll": VALUES[0].astype(float), **others}, do_compression=compressed)


def write_version_73(path: Path) -> None:
    """Write a file as MATLAB does: a header of 512 bytes, axes in reverse, structs as groups, texts as numbers."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("IAll", data=VALUES.transpose(), chunks=(2, 3, 1), compression="gzip")
        file["LAll"] = VALUES[0].astype(float).transpose()
        file.create_group("#refs#")
        file["words"] = np.array([file["#refs#"].ref], dtype=h5py.ref_dtype)
        file["empty"] = np.zeros(2, dtype=np.uint64)
        file["empty"].attrs["MATLAB_empty"] = 1
        file["text"] = np.array([[97], [98]], dtype=np.uint16)
        file["text"].attrs["MATLAB_class"] = np.bytes_("char")
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


@pytest.fixture(params=[write_version_5, write_version_73])
def mat_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "set.mat"
    request.param(path)
    return path


def test_arrays_have_matlabs_axes_in_both_formats(mat_file: Path) -> None:
    read = read_mat(mat_file, ["IAll", "LAll"])
    assert read["IAll"].dtype == np.uint8
    np.testing.assert_array_equal(read["IAll"], VALUES)
    np.testing.assert_array_equal(read["LAll"], VALUES[0])


def test_only_numeric_arrays_are_listed(mat_file: Path) -> None:
    with open_mat(mat_file) as arrays:
        assert arrays.shapes == {"IAll": (2, 3, 4), "LAll": (3, 4)}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("limit", [1, 8, 30, 1000])
def test_blocks_along_any_axis_concatenate_to_the_array(mat_file: Path, axis: int, limit: int) -> None:
    with open_mat(mat_file) as arrays:
        blocks = list(arrays.read_blocks("IAll", axis, limit))
    np.testing.assert_array_equal(np.concatenate([block.items for block in blocks], axis), VALUES)
    lengths = [block.items.shape[axis] for block in blocks]
    assert [block.start for block in blocks] == [0, *np.cumsum(lengths)[:-1].tolist()]


def test_a_block_is_a_whole_number_of_chunks_within_the_limit(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("x", data=np.zeros((10, 5), np.float32), chunks=(10, 2))
    with open_mat(tmp_path / "a.mat") as arrays:
        assert arrays.shapes == {"x": (5, 10)}
        assert [len(rows) for rows in arrays.block_ranges("x", 0, limit=3 * 40)] == [2, 2, 1]
        assert [len(rows) for rows in arrays.block_ranges("x", 0, limit=40)] == [1] * 5


def test_a_sparse_matrix_becomes_dense(tmp_path: Path) -> None:
    tags = np.eye(3, 5)
    scipy.io.savemat(tmp_path / "a.mat", {"YAll": scipy.sparse.csc_matrix(tags)})
    np.testing.assert_array_equal(read_mat(tmp_path / "a.mat", ["YAll"])["YAll"], tags)


def test_a_missing_array_is_reported_with_the_existing_ones(mat_file: Path) -> None:
    with pytest.raises(UserError, match=r"set.mat: no such numeric array: got IAll, LAll, expected TAll"):
        read_mat(mat_file, ["LAll", "TAll"])


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_file_is_refused(mat_file: Path, kept: float) -> None:
    content = mat_file.read_bytes()
    mat_file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UserError, match=r"^[^\n]*set.mat: it cannot be read: [^\n]+; is the download complete\?$"):
        read_mat(mat_file, ["IAll", "LAll"])


def test_broken_bytes_inside_an_array_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.mat"
    values = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file.create_dataset("IAll", data=values, chunks=(40, 50), compression="gzip", fletcher32=True)
        offset = file["IAll"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 100] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"set.mat: it cannot be read: "):
        read_mat(path, ["IAll"])


@pytest.mark.parametrize("content", [b"", b"<html>404</html>" * 40, b"PK\x03\x04" * 200])
def test_a_file_of_another_format_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.mat").write_bytes(content)
    with pytest.raises(UserError, match=r"^[^\n]*set.mat: it cannot be read: [^\n]+$"):
        read_mat(tmp_path / "set.mat", ["IAll"])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set.mat: it cannot be read: No such file"):
        read_mat(tmp_path / "set.mat", ["IAll"])


def test_a_missing_package_is_reported_with_the_install_command(
    mat_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("h5py", "scipy.io"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UserError, match=r"package (h5py|scipy.io) is not installed: .*pip install 'retbench-datasets\[crossmodal\]'"
    ):
        read_mat(mat_file, ["IAll"])
