"""Converting rows to JSON and back."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retbench.canon import canonical
from retbench.metrics import Interval
from retbench.results import ROW_AXES, Row, TieRange, read_row

AXES: dict[str, Any] = {
    "dataset": "digits",
    "hasher": "dpsh",
    "bits": 32,
    "task": "i2i",
    "attack": "p2p",
    "surrogate": "none",
    "defense": "retpur",
    "threat": "oblivious",
    "seed": 0,
    "variant": "t_p=5",
}
NUMBERS = st.floats(0, 1)
WORDS = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
MAPPINGS = st.dictionaries(WORDS, JSON, max_size=2)
LISTS = st.lists(WORDS, max_size=3).map(tuple)
NAN = float("nan")


def rows(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[Row]:
    """Return a strategy for rows whose intervals have these values."""
    interval = st.builds(Interval, numbers, numbers, numbers)
    return st.builds(
        Row,
        **{axis: st.integers(0, 9) if isinstance(value, int) else WORDS for axis, value in AXES.items()},
        status=st.sampled_from(["done", "skipped", "failed", "invalid", "missing"]),
        reason=WORDS,
        metrics=st.dictionaries(WORDS, interval, max_size=2),
        tie_ranges=st.dictionaries(WORDS, st.builds(TieRange, NUMBERS, NUMBERS), max_size=2),
        **dict.fromkeys(("protocol", "options", "data", "budget", "details", "cost"), MAPPINGS),
        **dict.fromkeys(("caveats", "members", "steps"), LISTS),
        key=WORDS,
    )


def test_the_required_fields_of_a_row_are_axes_and_status() -> None:
    required = {field.name for field in fields(Row) if field.default is field.default_factory is MISSING}
    assert required == {*ROW_AXES, "status"} == {*AXES, "status"}


@given(rows(NUMBERS))
def test_a_row_survives_its_record(row: Row) -> None:
    assert read_row(json.loads(canonical(row.record()))) == row


@given(rows(NUMBERS | st.just(NAN)))
def test_a_record_survives_its_row(row: Row) -> None:
    record = json.loads(canonical(row.record()))
    again = read_row(record)
    assert again.record() == record
    assert {name: repr(interval) for name, interval in again.metrics.items()} == {
        name: repr(interval) for name, interval in row.metrics.items()
    }


def test_an_undefined_bound_is_null() -> None:
    row = Row(**AXES, status="done", metrics={"map": Interval(0.5, NAN, 0.75)})
    assert row.record()["metrics"] == {"map": {"value": 0.5, "low": None, "high": 0.75}}


@pytest.mark.parametrize(
    ("key", "members", "keys"),
    [("", (), ()), ("a", (), ("a",)), ("a", ("a", "b"), ("a", "b")), ("", ("a", "b"), ("a", "b"))],
)
def test_a_row_has_the_keys_of_its_seeds(key: str, members: tuple[str, ...], keys: tuple[str, ...]) -> None:
    assert Row(**AXES, status="done", key=key, members=members).keys == keys


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"map": {"value": 0.5, "low": 0.25}}},
        {"tie_ranges": {"map": {"worst": 0.5}}},
        {"tie_ranges": {"map": {"worst": 0.5, "best": 0.5, "mean": 0.5}}},
        {"strength": 1},
    ],
)
def test_a_malformed_record_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((TypeError, KeyError)):
        read_row({**Row(**AXES, status="done").record(), **change})


@pytest.mark.parametrize("name", ["dataset", "status", "metrics", "tie_ranges", "caveats", "members", "steps"])
def test_a_record_without_a_required_field_is_refused(name: str) -> None:
    record = Row(**AXES, status="done").record()
    del record[name]
    with pytest.raises((TypeError, KeyError)):
        read_row(record)
