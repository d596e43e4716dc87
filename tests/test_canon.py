"""Equal JSON values have the same text and the same digest."""

import hashlib
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retbench.canon import canonical, digest

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@given(JSON)
def test_the_text_parses_back_to_the_value(value: Any) -> None:
    text = canonical(value)
    assert text.isascii()
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text


def test_key_order_and_sequence_type_do_not_matter() -> None:
    assert canonical({"b": (1, 2), "a": {"y": 1, "x": 0}}) == '{"a":{"x":0,"y":1},"b":[1,2]}'
    assert digest({"b": (1, 2), "a": 0}) == digest({"a": 0, "b": [1, 2]})


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0, None), ("1", 1), ([], {}), (0.3, 0.1 + 0.2)])
def test_values_that_differ_in_type_or_in_the_last_bit_have_different_digests(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


def test_the_digest_is_the_sha256_of_the_text() -> None:
    assert digest({"é": 1e-3}) == hashlib.sha256(b'{"\\u00e9":0.001}').hexdigest()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_rejected(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"eps": [value]})


@pytest.mark.parametrize("value", [Path("a"), {1}, b"a", Decimal(1), torch.ones(1)])
def test_a_value_that_is_not_json_is_rejected_with_its_type(value: Any) -> None:
    with pytest.raises(TypeError, match=rf"canonical JSON: not a JSON value: got {type(value).__name__}"):
        canonical({"a": [value]})


@pytest.mark.parametrize("value", [{1: 2}, {None: 2}, [{"a": ({True: 1},)}], {"a": {1: 0, "b": 0}}])
def test_keys_that_are_not_strings_are_rejected(value: Any) -> None:
    with pytest.raises(TypeError, match=r"canonical JSON: keys must be strings: got (1|None|True)"):
        canonical(value)
