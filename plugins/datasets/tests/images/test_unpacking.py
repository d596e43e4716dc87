"""Images of an array as PNG files."""

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
    savemat(tmp_path / "images.mat", {"IAll": PIXELS})
    return tmp_path / "images.mat"


def write(array: Path, axes: ImageAxes = AXES) -> list[str]:
    with open_mat(array) as arrays:
        return list(unpack_images(array.parent, arrays, "IAll", axes))


def read(root: Path) -> Any:
    return np.stack([np.asarray(Image.open(root / name)) for name in unpacked_ids(6)])


def test_images_are_written_without_loss_and_without_other_files(array: Path) -> None:
    write(array)
    np.testing.assert_array_equal(read(array.parent), PIXELS)
    folder = array.parent / "crossmodal" / "pictures"
    assert {path.name for path in folder.iterdir()} == {*(f"{row:06d}.png" for row in range(6)), "source.json"}


def test_progress_is_reported_after_every_step(array: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "PROGRESS_STEP", 2)
    lines = write(array)
    assert [line.rpartition(": ")[2] for line in lines[:-1]] == [
        "2 of 6 images",
        "4 of 6 images",
        "6 of 6 images",
        "6 images written, 0 existed already",
    ]


def test_an_interrupted_run_is_continued(array: Path) -> None:
    write(array)
    folder = array.parent / "crossmodal" / "pictures"
    (folder / "000001.png").unlink()
    (folder / "000002.png").write_bytes(b"\x89PNG half")
    Image.new("RGB", (4, 4)).save(folder / "000003.png")
    kept = (folder / "000000.png").stat().st_mtime_ns
    assert any("3 images written, 3 existed already" in line for line in write(array))
    assert (folder / "000000.png").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(read(array.parent), PIXELS)


def test_no_array_is_read_if_all_images_exist(array: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(array)
    monkeypatch.setattr(matlab_file._Version5, "read", lambda *_: pytest.fail("an array was read"))
    assert [line.rpartition(": ")[2] for line in write(array)] == ["0 images written, 6 existed already"]


def test_another_source_file_replaces_all_images(array: Path) -> None:
    write(array)
    savemat(array, {"IAll": PIXELS[::-1]})
    lines = write(array)
    assert "removed 6 images of another source" in lines[0]
    np.testing.assert_array_equal(read(array.parent), PIXELS[::-1])


def test_brightness_differences_are_reported(array: Path) -> None:
    bright = np.zeros((2, 8, 8, 3), np.uint8)
    bright[:, :4] = 100
    bright[:, :, 4:] += 20
    savemat(array, {"IAll": bright})
    assert (
        "the upper halves are +100.0 gray levels brighter than the lower halves, the left halves -20.0 than the right"
        in write(array)[-1]
    )


def test_an_unwritable_folder_is_reported(array: Path) -> None:
    (array.parent / "crossmodal").write_text("in the way")
    with pytest.raises(UserError, match=r"pictures: it cannot be written: "):
        write(array)
