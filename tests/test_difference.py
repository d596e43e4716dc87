"""Comparison of two JSON values leaf by leaf."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retbench.difference import MAX_LENGTH, TOLERANCE, Depth, Pair, agree, format_value, pair_leaves

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def test_fields_of_both_sides_are_paired_in_the_order_of_the_left_one() -> None:
    left, right = {"b": 1, "a": {"x": 2}}, {"c": 3, "a": {"x": 4}}
    found = [*pair_leaves(left, right, "items", "at", "none")]
    assert found == [Pair("at.b", 1, "none"), Pair("at.a.x", 2, 4), Pair("at.c", "none", 3)]


@pytest.mark.parametrize(
    ("depth", "paths"),
    [
        ("fields", {"same", "more", "only"}),
        ("items", {"same.0", "same.1.x", "more", "only"}),
        ("scalars", {"same.0", "same.1.x", "more.0", "more.1", "only.y.0"}),
    ],
)
def test_depth_sets_how_deep_the_comparison_goes(depth: Any, paths: set[str]) -> None:
    left = {"same": [1, {"x": 2}], "more": [1]}
    right = {"same": [1, {"x": 3}], "more": [1, 2], "only": {"y": [5]}}
    assert {pair.path for pair in pair_leaves(left, right, depth)} == paths


def test_a_value_that_one_side_lacks_is_paired_with_none() -> None:
    assert [*pair_leaves({}, {"a": {"x": 1}}, "items")] == [Pair("a", None, {"x": 1})]
    assert [*pair_leaves({}, {"a": {"x": 1}}, "scalars")] == [Pair("a.x", None, 1)]
    assert [*pair_leaves([1], [1, 2], "scalars")] == [Pair("0", 1, 1), Pair("1", None, 2)]


@pytest.mark.parametrize("depth", get_args(Depth))
def test_values_of_different_types_are_a_leaf(depth: Any) -> None:
    for left, right in (({}, []), ({"a": 1}, 5), ([1], "1"), ("ab", ["a", "b"])):
        assert [*pair_leaves(left, right, depth)] == [Pair("", left, right)]


@given(VALUES)
def test_a_value_agrees_with_itself_at_every_depth(value: Any) -> None:
    for depth in get_args(Depth):
        assert all(agree(pair.left, pair.right) for pair in pair_leaves(value, value, depth))


@given(VALUES, VALUES)
def test_swapping_two_values_does_not_change_the_paths(left: Any, right: Any) -> None:
    for depth in get_args(Depth):
        paths, swapped = ({pair.path for pair in pair_leaves(*two, depth)} for two in ((left, right), (right, left)))
        assert paths == swapped


@pytest.mark.parametrize(
    ("left", "right"),
    [(1, 1.0), (0.5, 0.5 + TOLERANCE / 2), (float("nan"), float("nan")), (float("inf"), float("inf")), ([0.1], (0.1,))],
)
def test_numbers_within_the_tolerance_are_equal(left: Any, right: Any) -> None:
    assert agree(left, right)
    assert agree(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [(0.5, 0.5 + 2 * TOLERANCE), (True, 1), ("1", 1), (None, 0), ([1], [1, 2]), ([1], 1), (float("nan"), 0.0)],
)
def test_different_values_and_types_are_not_equal(left: Any, right: Any) -> None:
    assert not agree(left, right)
    assert not agree(right, left)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3, "0.333333333333"),
        (0.25, "0.25"),
        (None, "null"),
        (True, "true"),
        ("dhta", "dhta"),
        ("…/own.yaml", "…/own.yaml"),
        ("two\nlines", "two\\nlines"),
        (["a", 1], '["a",1]'),
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'),
    ],
)
def test_a_value_is_formatted_as_json_and_a_string_without_quotes(value: Any, text: str) -> None:
    assert format_value(value) == text


def test_a_long_value_is_cut() -> None:
    assert format_value("a" * MAX_LENGTH) == "a" * MAX_LENGTH
    assert format_value("a" * (MAX_LENGTH + 1)) == "a" * (MAX_LENGTH - 1) + "…"
