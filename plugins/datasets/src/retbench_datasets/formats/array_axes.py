"""The axes of a published array, found by its shape; they are MATLAB's, as `matlab_file` returns them."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

from retbench import UserError

Shape = tuple[int, ...]


def find_sample_axis(shape: Shape, width: int, rows: int | None, location: str) -> int:
    """Return the sample axis of a table of labels or texts: 0 for (N, width), 1 for (width, N).

    Args:
        shape: shape of the table.
        width: number of classes, or length of a text vector.
        rows: N; None accepts any number.
        location: file and array, for the message.

    Raises:
        UserError: no axis fits, or both do.
    """
    fitting = [
        axis
        for axis in (0, 1)
        if len(shape) == 2 and shape[1 - axis] == width and (rows is None or shape[axis] == rows)
    ]
    count = "N" if rows is None else str(rows)
    if not fitting:
        raise UserError(f"{location}: wrong shape: got {shape}, expected ({count}, {width}) or ({width}, {count})")
    if len(fitting) > 1 and shape[0] == shape[1]:
        raise UserError(f"{location}: ambiguous sample axis: got shape {shape}, expected two different lengths")
    return fitting[0]


class ImageAxes(NamedTuple):
    """The axes of an array of images, by meaning."""

    sample: int
    height: int
    width: int
    channel: int


def find_image_axes(shape: Shape, rows: int, size: int, transposed: bool, location: str) -> ImageAxes:
    """Return the axes of an array of `size` x `size` images with three channels, so that they are read upright.

    The sample axis has length `rows`, the channel axis length three. The other two have the same length, so that the
    shape cannot distinguish height from width. The rule: in MATLAB's axis order the height comes first. In DCMH's file
    that is (H, W, 3, N), MATLAB's own layout of an image; h5py returns (N, 3, W, H), which WendellGul's port feeds
    unchanged to kernels whose axes are swapped too. In TA-DCH's files it is (N, 3, H, W); h5py returns (W, H, 3, N),
    from which its loader makes (N, 3, W, H), for the same swapped kernels. No published images exist to compare with,
    and TA-DCH's five files may differ from each other: hence `transposed`, for a file with the width first.

    Args:
        shape: shape of the array, with MATLAB's axes.
        rows: N.
        size: height and width.
        transposed: whether the width comes before the height.
        location: file and array, for the message.

    Raises:
        UserError: no order of axes fits, or several do.
    """
    fitting = [
        (sample, channel)
        for sample, channel in permutations(range(len(shape)), 2)
        if len(shape) == 4
        and shape[sample] == rows
        and shape[channel] == 3
        and all(shape[axis] == size for axis in {0, 1, 2, 3} - {sample, channel})
    ]
    if not fitting:
        raise UserError(
            f"{location}: wrong shape of images: got {shape}, expected ({rows}, 3, {size}, {size}) in any order of axes"
        )
    if len(fitting) > 1:
        raise UserError(f"{location}: ambiguous axes: got shape {shape} for {rows} images, expected different lengths")
    sample, channel = fitting[0]
    first, second = sorted({0, 1, 2, 3} - {sample, channel})
    height, width = (second, first) if transposed else (first, second)
    return ImageAxes(sample, height, width, channel)
