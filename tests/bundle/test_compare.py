"""When two values agree."""

from __future__ import annotations

import pytest
import torch

from retbench.bundle.compare import Match, Mismatch, compare_json, compare_tensors

NAN = float("nan")


def test_equal_trees_agree_leaf_by_leaf() -> None:
    value = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    assert [*compare_json("x", value, value)] == [Match("x.a.b"), Match("x.a.c"), Match("x.d")]


@pytest.mark.parametrize(
    ("got", "expected"), [(1, 1.0), (0.5, 0.5 + 5e-10), ("a", "a"), (None, None), ([0.1], [0.1 + 1e-10]), (True, True)]
)
def test_values_within_the_tolerance_agree(got: object, expected: object) -> None:
    assert [*compare_json("x", got, expected)] == [Match("x")]


@pytest.mark.parametrize(
    ("got", "expected"),
    [(0.5, 0.5 + 2e-9), (True, 1), (None, 0.0), ("1", 1), ([1], [1, 2]), ([1], 1), ("a" * 101, "a" * 102), ({}, "x")],
)
def test_values_outside_the_tolerance_or_of_another_type_differ(got: object, expected: object) -> None:
    (comparison,) = compare_json("x", got, expected)
    assert isinstance(comparison, Mismatch)


def test_a_leaf_that_only_one_side_has_differs() -> None:
    comparisons = [*compare_json("x", {"extra": 1}, {"lost": 2})]
    assert comparisons == [Mismatch("x.lost", "nothing", "2"), Mismatch("x.extra", "1", "nothing")]


def test_tensors_agree_within_the_tolerance_of_their_dtype() -> None:
    ones = torch.ones(3, dtype=torch.float64)
    assert compare_tensors("x", ones, ones + 5e-10) == Match("x")
    assert isinstance(compare_tensors("x", ones, ones + 2e-9), Mismatch)
    assert compare_tensors("x", ones.float(), ones.float() - 5e-7) == Match("x")
    assert isinstance(compare_tensors("x", ones.float(), ones.float() - 2e-6), Mismatch)
    assert compare_tensors("x", torch.tensor([NAN]), torch.tensor([NAN])) == Match("x")
    assert isinstance(compare_tensors("x", torch.tensor([NAN]), torch.tensor([0.0])), Mismatch)


def test_the_first_element_that_differs_is_named() -> None:
    got, expected = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64)
    expected[1, 2] = 7
    assert compare_tensors("x", got, expected) == Mismatch("x[1, 2]", "0", "7")


@pytest.mark.parametrize("got", [None, torch.zeros(2), torch.zeros(3, dtype=torch.float64)])
def test_a_missing_tensor_or_another_shape_or_dtype_differs(got: torch.Tensor | None) -> None:
    comparison = compare_tensors("x", got, torch.zeros(3))
    assert isinstance(comparison, Mismatch)
    assert comparison.expected == "float32 (3,)"


def test_empty_tensors_agree() -> None:
    assert compare_tensors("x", torch.zeros(0), torch.zeros(0)) == Match("x")
