"""The axes of a published array, found by its shape; they are MATLAB's, as `matlab_file` returns them."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

from retbench import UserError

Shape = tuple[int, ...]


def sample_axis(shape: Shape, width: int, rows: int | None, where: str) -> int:
    """Returns the axis of the samples in a table of labels or texts: 0 for (N, width), 1 for (width, N).

    Args:
        shape: that of the table.
        width: classes, or length of a text.
        rows: N; None where any number will do.
        where: file and array, for the message.

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
        raise UserError(f"{where}: wrong shape: got {shape}, expected ({count}, {width}) or ({width}, {count})")
    if len(fitting) > 1 and shape[0] == shape[1]:
        raise UserError(
            f"{where}: the shape does not say which axis is the samples': got {shape}, expected two lengths"
        )
    return fitting[0]


class ImageAxes(NamedTuple):
    """Which axis of an array of pictures is which."""

    sample: int
    height: int
    width: int
    channel: int


def image_axes(shape: Shape, rows: int, size: int, transposed: bool, where: str) -> ImageAxes:
    """Returns the axes of pictures `size` x `size` with three channels, so that they come out upright.

    The samples' axis has the length `rows`, the channels' three. The other two have one length, so that no shape tells
    height from width. The rule: in MATLAB's order of axes the height comes first. In DCMH's file that is (H, W, 3, N),
    MATLAB's own layout of a picture; h5py sees (N, 3, W, H), which the code of WendellGul's port feeds as it is to
    kernels whose axes are swapped too. In TA-DCH's it is (N, 3, H, W); h5py sees (W, H, 3, N), from which its loader
    makes (N, 3, W, H), for the same swapped kernels. Nobody published pictures to compare with, and TA-DCH's
    five files may not agree: hence `transposed`, for a file that holds the width first.

    Args:
        shape: that of the array, with MATLAB's axes.
        rows: N.
        size: height and width.
        transposed: whether the width comes before the height.
        where: file and array, for the message.

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
        expected = f"({rows}, 3, {size}, {size}) in some order"
        raise UserError(f"{where}: these are no pictures: got shape {shape}, expected {expected}")
    if len(fitting) > 1:
        raise UserError(f"{where}: the shape does not say which axis is which: got {shape} for {rows} pictures")
    sample, channel = fitting[0]
    first, second = sorted({0, 1, 2, 3} - {sample, channel})
    height, width = (second, first) if transposed else (first, second)
    return ImageAxes(sample, height, width, channel)
