"""When two numbers are the same number."""

from __future__ import annotations

import pytest
import torch

from retbench.bundle.compare import Agreement, Difference, compare_json, compare_tensors

NAN = float("nan")


def test_equal_trees_agree_leaf_by_leaf() -> None:
    value = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    assert [*compare_json("x", value, value)] == [Agreement("x.a.b"), Agreement("x.a.c"), Agreement("x.d")]


@pytest.mark.parametrize(
    ("got", "expected"), [(1, 1.0), (0.5, 0.5 + 5e-10), ("a", "a"), (None, None), ([0.1], [0.1 + 1e-10]), (True, True)]
)
def test_what_is_near_enough_agrees(got: object, expected: object) -> None:
    assert [*compare_json("x", got, expected)] == [Agreement("x")]


@pytest.mark.parametrize(
    ("got", "expected"),
    [(0.5, 0.5 + 2e-9), (True, 1), (None, 0.0), ("1", 1), ([1], [1, 2]), ([1], 1), ("a" * 101, "a" * 102), ({}, "x")],
)
def test_what_is_not_differs_even_where_it_prints_alike(got: object, expected: object) -> None:
    (found,) = compare_json("x", got, expected)
    assert isinstance(found, Difference)


def test_a_leaf_on_one_side_alone_differs() -> None:
    found = [*compare_json("x", {"extra": 1}, {"lost": 2})]
    assert found == [Difference("x.lost", "nothing", "2"), Difference("x.extra", "1", "nothing")]


def test_tensors_agree_within_what_their_dtype_holds() -> None:
    ones = torch.ones(3, dtype=torch.float64)
    assert compare_tensors("x", ones, ones + 5e-10) == Agreement("x")
    assert isinstance(compare_tensors("x", ones, ones + 2e-9), Difference)
    assert compare_tensors("x", ones.float(), ones.float() - 5e-7) == Agreement("x")
    assert isinstance(compare_tensors("x", ones.float(), ones.float() - 2e-6), Difference)
    assert compare_tensors("x", torch.tensor([NAN]), torch.tensor([NAN])) == Agreement("x")
    assert isinstance(compare_tensors("x", torch.tensor([NAN]), torch.tensor([0.0])), Difference)


def test_the_first_place_that_differs_is_told() -> None:
    got, expected = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64)
    expected[1, 2] = 7
    assert compare_tensors("x", got, expected) == Difference("x[1, 2]", "0", "7")


@pytest.mark.parametrize("got", [None, torch.zeros(2), torch.zeros(3, dtype=torch.float64)])
def test_another_kind_of_tensor_differs(got: torch.Tensor | None) -> None:
    found = compare_tensors("x", got, torch.zeros(3))
    assert isinstance(found, Difference)
    assert found.expected == "float32 (3,)"


def test_empty_tensors_agree() -> None:
    assert compare_tensors("x", torch.zeros(0), torch.zeros(0)) == Agreement("x")
