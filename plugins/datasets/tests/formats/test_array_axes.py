"""The axes of published arrays, found by their shapes."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from retbench_datasets.formats.array_axes import find_image_axes, find_sample_axis

from retbench import UserError


def test_the_sample_axis_is_found_by_the_width() -> None:
    assert find_sample_axis((7, 24), 24, 7, "a.mat: LAll") == 0
    assert find_sample_axis((24, 7), 24, 7, "a.mat: LAll") == 1
    assert find_sample_axis((24, 7), 24, None, "a.mat: LAll") == 1


def test_a_square_table_is_ambiguous() -> None:
    with pytest.raises(UserError, match=r"a.mat: LAll: ambiguous sample axis: got shape \(10, 10\)"):
        find_sample_axis((10, 10), 10, None, "a.mat: LAll")


@pytest.mark.parametrize("shape", [(7, 25), (8, 24), (7,), (7, 24, 1), (0, 0)])
def test_a_table_of_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"a.mat: LAll: wrong shape: got .*, expected \(7, 24\) or \(24, 7\)"):
        find_sample_axis(shape, 24, 7, "a.mat: LAll")


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_images_of_any_layout_become_sample_height_width_channel(order: tuple[int, ...]) -> None:
    """Without `transposed` in layouts with the height first, and with it in those with the width first."""
    upright = np.arange(5 * 8 * 8 * 3).reshape(5, 8, 8, 3)
    stored = upright.transpose(order)
    transposed = order.index(2) < order.index(1)
    axes = find_image_axes(stored.shape, 5, 8, transposed, "a.mat: IAll")
    np.testing.assert_array_equal(stored.transpose(axes), upright)


def test_the_layouts_of_dcmh_and_ta_dch_need_no_option() -> None:
    assert find_image_axes((224, 224, 3, 9), 9, 224, False, "") == (3, 0, 1, 2)
    assert find_image_axes((9, 3, 224, 224), 9, 224, False, "") == (0, 2, 3, 1)


@pytest.mark.parametrize("shape", [(5, 8, 8, 4), (6, 3, 8, 8), (5, 3, 8, 9), (5, 3, 64), (5, 4096), (5, 3, 8, 8, 1)])
def test_an_array_that_holds_no_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"a.mat: IAll: wrong shape of images: got .*, expected \(5, 3, 8, 8\)"):
        find_image_axes(shape, 5, 8, False, "a.mat: IAll")


@pytest.mark.parametrize(("shape", "rows"), [((3, 3, 8, 8), 3), ((8, 3, 8, 8), 8)])
def test_ambiguous_image_axes_are_refused(shape: tuple[int, ...], rows: int) -> None:
    with pytest.raises(UserError, match=r"ambiguous axes: got shape "):
        find_image_axes(shape, rows, 8, False, "a.mat: IAll")
