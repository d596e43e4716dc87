"""Unpacking of the images in a published array into PNG files, which are then read like any others."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retbench import UserError
from retbench_datasets.formats.array_axes import ImageAxes
from retbench_datasets.formats.array_file import ArrayFile
from retbench_datasets.formats.text_file import write_text

UNPACKED_FOLDER = "crossmodal/pictures"
"""Folder of the PNG files, below the dataset's folder."""
PROGRESS_STEP = 2000
"""Images between two progress lines."""


def unpacked_ids(count: int) -> tuple[str, ...]:
    """Return the paths of the images below the dataset's folder: `crossmodal/pictures/000000.png` and so on."""
    return tuple(f"{UNPACKED_FOLDER}/{row:06d}.png" for row in range(count))


def unpack_images(root: Path, arrays: ArrayFile, name: str, axes: ImageAxes) -> Iterator[str]:
    """Write the images of an array as PNG, which is lossless, and yield a progress line every 2000 images.

    At 224 x 224 an image takes at most about 150 kB, so that NUS-WIDE needs up to 30 GB on top of its source file. An
    image that already exists is kept, so that an interrupted run continues where it stopped; every file is written
    under a temporary name and renamed. `source.json` records the source file and the axes: if either changes, all
    images are written again. The last line reports how much brighter the upper halves are than the lower ones, and the
    left halves than the right ones, which helps to see whether the images are rotated.

    Args:
        root: the dataset's folder.
        arrays: the open file.
        name: the array; its numbers are integers from 0 to 255.
        axes: the axes of the array; see `find_image_axes`.

    Raises:
        UserError: a value is no pixel value (names the row), or a file cannot be written.
    """
    folder, shape = root / UNPACKED_FOLDER, arrays.shapes[name]
    rows, size = shape[axes.sample], shape[axes.height]
    yield from _start_folder(folder, {"array": name, "axes": list(axes), "shape": list(shape), **_source(arrays.path)})
    reported, written, differences = 0, 0, []
    for block in arrays.block_ranges(name, axes.sample):
        missing = [row for row in block if not _is_unpacked(folder / f"{row:06d}.png", size)]
        if missing:
            images = arrays.read(name, axes.sample, block.start, block.stop).transpose(axes)
            for row in missing:
                image = _to_pixels(images[row - block.start], f"{arrays.path}: {name}", row)
                differences.append(_measure_brightness_differences(image))
                _write_image(folder / f"{row:06d}.png", image)
                written += 1
                if written - reported >= PROGRESS_STEP:
                    reported = written
                    yield f"{folder}: {row + 1} of {rows} images"
    yield f"{folder}: {written} images written, {rows - written} existed already"
    if differences:
        yield _describe_brightness(folder, differences)


def _source(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"file": path.name, "bytes": status.st_size, "modified": status.st_mtime_ns}


def _start_folder(folder: Path, source: dict[str, Any]) -> Iterator[str]:
    """Remove the images of another source before recording this one, so that an interrupted run leaves no mixture."""
    record, text = folder / "source.json", json.dumps(source, indent=2, sort_keys=True) + "\n"
    if record.is_file() and record.read_bytes() == text.encode():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)
        old = [path for path in folder.glob("*.png") if path.stem.isdecimal()]
        for path in old:
            path.unlink()
    except OSError as error:
        raise UserError(f"{folder}: it cannot be written: {error.strerror}") from None
    if old:
        yield f"{folder}: removed {len(old)} images of another source"
    write_text(record, text)


def _is_unpacked(path: Path, size: int) -> bool:
    try:
        with Image.open(path) as image:
            return image.size == (size, size) and image.mode == "RGB"
    except (OSError, SyntaxError):  # no file, or no image: it is written again
        return False


def _to_pixels(values: NDArray[Any], location: str, row: int) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    numbers = values.astype(np.float64)
    # The comparison is false for NaN, too.
    if not np.all((numbers >= 0) & (numbers <= 255) & (numbers == np.floor(numbers))):
        got = f"{values.min()} to {values.max()}"
        raise UserError(f"{location}: image {row}: wrong pixel values: got {got}, expected integers from 0 to 255")
    return np.ascontiguousarray(numbers.astype(np.uint8))


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # The lowest level of compression, because there may be 200 000 files to write.
        Image.fromarray(image).save(draft, format="PNG", compress_level=1)
        draft.replace(path)
    except OSError as error:
        raise UserError(f"{path}: it cannot be written: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)


def _measure_brightness_differences(image: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the mean gray level of the upper half minus the lower half, and of the left half minus the right half."""
    gray = image.mean(axis=2)
    half = len(gray) // 2
    return float(gray[:half].mean() - gray[-half:].mean()), float(gray[:, :half].mean() - gray[:, -half:].mean())


def _describe_brightness(folder: Path, differences: Sequence[tuple[float, float]]) -> str:
    vertical, horizontal = np.mean(differences, axis=0)
    return (
        f"{folder}: the upper halves are {vertical:+.1f} gray levels brighter than the lower halves, the left halves "
        f"{horizontal:+.1f} than the right halves; photographs are mostly brighter at the top: look at a few images, "
        f"and if they are rotated, remove {folder.parent} and prepare again with --set transposed=true"
    )
