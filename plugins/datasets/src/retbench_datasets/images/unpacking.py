"""Unpacking of the images of a published array into files, so that they are read like any others."""

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
"""Where they are written, below the dataset's folder."""
PROGRESS_STEP = 2000
"""Pictures between two lines about progress."""


def unpacked_ids(rows: int) -> tuple[str, ...]:
    """Returns the paths of the pictures below the dataset's folder: `crossmodal/pictures/000000.png` and so on."""
    return tuple(f"{UNPACKED_FOLDER}/{row:06d}.png" for row in range(rows))


def unpack_images(root: Path, arrays: ArrayFile, name: str, axes: ImageAxes) -> Iterator[str]:
    """Yields a line every 2000 pictures, after they were written as PNG, which loses nothing.

    At 224 x 224 each takes about 150 kB at most, so that NUS-WIDE's need up to 30 GB beside their source.
    A picture that is there is left, so that a killed run goes on where it stopped; each is written beside its place and
    renamed. `source.json` records what they were made from: if that is another file, or the axes are others, all are
    written anew. At the end comes how much brighter their upper halves are than their lower ones, and their left halves
    than their right ones, for a reader who wants to know whether they lie on their side.

    Args:
        root: the dataset's folder.
        arrays: the open file.
        name: the array: numbers that are whole and 0 to 255.
        axes: what its axes are; see `image_axes`.

    Raises:
        UserError: a value is none of a picture (names the row), or a file cannot be written.
    """
    folder, shape = root / UNPACKED_FOLDER, arrays.shapes[name]
    rows, size = shape[axes.sample], shape[axes.height]
    yield from _begin(folder, {"array": name, "axes": list(axes), "shape": list(shape), **_source(arrays.path)})
    reported, done, slopes = 0, 0, []
    for block in arrays.blocks(name, axes.sample):
        lacking = [row for row in block if not _is_there(folder / f"{row:06d}.png", size)]
        if lacking:
            pictures = arrays.read(name, axes.sample, block.start, block.stop).transpose(axes)
            for row in lacking:
                picture = _pixels(pictures[row - block.start], f"{arrays.path}: {name}", row)
                slopes.append(_brightness_slopes(picture))
                _write(folder / f"{row:06d}.png", picture)
                done += 1
                if done - reported >= PROGRESS_STEP:
                    reported = done
                    yield f"{folder}: {row + 1} of {rows} pictures"
    yield f"{folder}: {done} pictures written, {rows - done} were there"
    if slopes:
        yield _describe_brightness(folder, slopes)


def _source(path: Path) -> dict[str, Any]:
    facts = path.stat()
    return {"file": path.name, "bytes": facts.st_size, "modified": facts.st_mtime_ns}


def _begin(folder: Path, source: dict[str, Any]) -> Iterator[str]:
    """Removes pictures of another source before it writes down its own: a killed run leaves no mixture."""
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
        yield f"{folder}: {len(old)} pictures of another source were removed"
    write_text(record, text)


def _is_there(path: Path, size: int) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.size == (size, size) and picture.mode == "RGB"
    except (OSError, SyntaxError):  # not there, or not a picture: it is written
        return False


def _pixels(values: NDArray[Any], where: str, row: int) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    whole = values.astype(np.float64)
    # The comparison is false for NaN, too.
    if not np.all((whole >= 0) & (whole <= 255) & (whole == np.floor(whole))):
        got = f"{values.min()} to {values.max()}"
        raise UserError(f"{where}: picture {row}: got values {got}, expected whole numbers, 0 to 255")
    return np.ascontiguousarray(whole.astype(np.uint8))


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # The lowest level of compression: there may be 200 000 of them to write.
        Image.fromarray(picture).save(draft, format="PNG", compress_level=1)
        draft.replace(path)
    except OSError as error:
        raise UserError(f"{path}: it cannot be written: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)


def _brightness_slopes(picture: NDArray[np.uint8]) -> tuple[float, float]:
    """Returns the mean level of the upper half less that of the lower one, and of the left half less the right one."""
    gray = picture.mean(axis=2)
    half = len(gray) // 2
    return float(gray[:half].mean() - gray[-half:].mean()), float(gray[:, :half].mean() - gray[:, -half:].mean())


def _describe_brightness(folder: Path, slopes: Sequence[tuple[float, float]]) -> str:
    down, right = np.mean(slopes, axis=0)
    return (
        f"{folder}: the upper halves are {down:+.1f} levels brighter than the lower, the left {right:+.1f} than the "
        "right: photographs are mostly brighter above; look at a few, and if they lie on their side, remove the lists "
        "and prepare them again with transposed=true"
    )
