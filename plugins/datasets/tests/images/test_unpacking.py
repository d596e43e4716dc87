"""Pictures of an array as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from retbench_datasets.formats import matlab_file
from retbench_datasets.formats.array_axes import ImageAxes
from retbench_datasets.formats.matlab_file import open_mat
from retbench_datasets.images import unpacking
from retbench_datasets.images.unpacking import unpack_images, unpacked_ids
from scipy.io import savemat

from retbench import UserError

AXES = ImageAxes(0, 1, 2, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def array(tmp_path: Path) -> Path:
    savemat(tmp_path / "pictures.mat", {"IAll": PIXELS})
    return tmp_path / "pictures.mat"


def write(array: Path, axes: ImageAxes = AXES) -> list[str]:
    with open_mat(array) as arrays:
        return list(unpack_images(array.parent, arrays, "IAll", axes))


def read(root: Path) -> Any:
    return np.stack([np.asarray(Image.open(root / name)) for name in unpacked_ids(6)])


def test_a_picture_is_written_without_loss_and_nothing_else_is_left(array: Path) -> None:
    write(array)
    np.testing.assert_array_equal(read(array.parent), PIXELS)
    folder = array.parent / "crossmodal" / "pictures"
    assert {path.name for path in folder.iterdir()} == {*(f"{row:06d}.png" for row in range(6)), "source.json"}


def test_progress_is_told_every_so_many_pictures(array: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "PROGRESS_STEP", 2)
    lines = write(array)
    assert [line.rpartition(": ")[2] for line in lines[:-1]] == [
        "2 of 6 pictures",
        "4 of 6 pictures",
        "6 of 6 pictures",
        "6 pictures written, 0 were there",
    ]


def test_a_second_call_goes_on_where_the_first_was_stopped(array: Path) -> None:
    write(array)
    folder = array.parent / "crossmodal" / "pictures"
    (folder / "000001.png").unlink()
    (folder / "000002.png").write_bytes(b"\x89PNG half")
    Image.new("RGB", (4, 4)).save(folder / "000003.png")
    kept = (folder / "000000.png").stat().st_mtime_ns
    assert any("3 pictures written, 3 were there" in line for line in write(array))
    assert (folder / "000000.png").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(read(array.parent), PIXELS)


def test_nothing_is_read_where_all_is_there(array: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(array)
    monkeypatch.setattr(matlab_file._Version5, "read", lambda *_: pytest.fail("an array was read"))
    assert [line.rpartition(": ")[2] for line in write(array)] == ["0 pictures written, 6 were there"]


def test_another_file_of_the_same_shape_replaces_all_pictures(array: Path) -> None:
    write(array)
    savemat(array, {"IAll": PIXELS[::-1]})
    lines = write(array)
    assert "6 pictures of another source were removed" in lines[0]
    np.testing.assert_array_equal(read(array.parent), PIXELS[::-1])


def test_which_side_is_brighter_is_told(array: Path) -> None:
    bright = np.zeros((2, 8, 8, 3), np.uint8)
    bright[:, :4] = 100
    bright[:, :, 4:] += 20
    savemat(array, {"IAll": bright})
    assert (
        "the upper halves are +100.0 levels brighter than the lower, the left -20.0 than the right" in write(array)[-1]
    )


def test_a_folder_that_cannot_be_written_is_named(array: Path) -> None:
    (array.parent / "crossmodal").write_text("in the way")
    with pytest.raises(UserError, match=r"pictures: it cannot be written: "):
        write(array)
