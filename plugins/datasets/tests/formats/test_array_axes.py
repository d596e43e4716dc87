"""Axes found by shape."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from retbench_datasets.formats.array_axes import image_axes, sample_axis

from retbench import UserError


def test_the_axis_of_samples_is_the_one_that_is_not_the_width() -> None:
    assert sample_axis((7, 24), 24, 7, "a.mat: LAll") == 0
    assert sample_axis((24, 7), 24, 7, "a.mat: LAll") == 1
    assert sample_axis((24, 7), 24, None, "a.mat: LAll") == 1


def test_a_table_of_one_length_does_not_say_which_axis_is_which() -> None:
    with pytest.raises(UserError, match=r"a.mat: LAll: the shape does not say .*: got \(10, 10\)"):
        sample_axis((10, 10), 10, None, "a.mat: LAll")


@pytest.mark.parametrize("shape", [(7, 25), (8, 24), (7,), (7, 24, 1), (0, 0)])
def test_a_table_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"a.mat: LAll: wrong shape: got .*, expected \(7, 24\) or \(24, 7\)"):
        sample_axis(shape, 24, 7, "a.mat: LAll")


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_pictures_come_out_as_rows_of_height_width_channels(order: tuple[int, ...]) -> None:
    """Any layout with the height before the width, and with `transposed` any with the width before the height."""
    upright = np.arange(5 * 8 * 8 * 3).reshape(5, 8, 8, 3)
    stored = upright.transpose(order)
    turned = order.index(2) < order.index(1)
    axes = image_axes(stored.shape, 5, 8, turned, "a.mat: IAll")
    np.testing.assert_array_equal(stored.transpose(axes), upright)


def test_the_layouts_of_dcmh_and_ta_dch_need_no_option() -> None:
    assert image_axes((224, 224, 3, 9), 9, 224, False, "") == (3, 0, 1, 2)
    assert image_axes((9, 3, 224, 224), 9, 224, False, "") == (0, 2, 3, 1)


@pytest.mark.parametrize("shape", [(5, 8, 8, 4), (6, 3, 8, 8), (5, 3, 8, 9), (5, 3, 64), (5, 4096), (5, 3, 8, 8, 1)])
def test_what_are_no_pictures_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"a.mat: IAll: these are no pictures: got shape .*, expected \(5, 3, 8, 8\)"):
        image_axes(shape, 5, 8, False, "a.mat: IAll")


@pytest.mark.parametrize(("shape", "rows"), [((3, 3, 8, 8), 3), ((8, 3, 8, 8), 8)])
def test_lengths_that_come_twice_are_refused(shape: tuple[int, ...], rows: int) -> None:
    with pytest.raises(UserError, match=r"the shape does not say which axis is which: got "):
        image_axes(shape, rows, 8, False, "a.mat: IAll")
