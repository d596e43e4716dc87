"""Selecting a part of a matrix by texts or by a mapping."""

from typing import Any

import numpy as np
import pytest

from retbench.errors import UnknownName, UserError
from retbench.suite import read_selection

POINTS = [{"dataset": d, "bits": b} for d in ("toy", "digits") for b in (16, 32)]


@pytest.mark.parametrize("only", [None, (), {}])
def test_an_empty_selection_selects_everything(only: Any) -> None:
    assert read_selection(only).select(POINTS, dict.__getitem__, "points") == POINTS


@pytest.mark.parametrize(
    ("mapping", "texts"),
    [
        ({"dataset": "toy"}, ("dataset=toy",)),
        ({"dataset": ["toy", "digits"], "bits": 32}, ("dataset=toy,digits", "bits=32")),
        ({"bits": (16, 32)}, ("bits=16,32",)),
        ({"defense": ["none", ["atrdh", "retpur"]]}, ("defense=none,atrdh+retpur",)),
        ({"attack": [None, []]}, ("attack=none,none",)),
    ],
)
def test_a_mapping_and_its_texts_have_the_same_filters(mapping: dict[str, Any], texts: tuple[str, ...]) -> None:
    assert read_selection(mapping).texts == texts
    assert read_selection(texts).filters == read_selection(mapping).filters


def test_a_text_may_be_given_without_a_list() -> None:
    assert read_selection("dataset=digits,toy") == read_selection(["dataset=digits,toy"])


@pytest.mark.parametrize("bits", [np.int64(16), [np.int32(16)], np.array([16]), np.array(16), range(16, 17)])
def test_numpy_numbers_are_accepted(bits: Any) -> None:
    assert read_selection({"bits": bits}).texts == ("bits=16",)


def test_selected_items_keep_their_order_and_numbers_match_as_text() -> None:
    selection = read_selection(["bits=32,16", "dataset=digits"])
    assert selection.select(POINTS, dict.__getitem__, "points") == POINTS[2:]
    assert read_selection({"bits": 16}).select(POINTS, dict.__getitem__, "points") == POINTS[::2]


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (["bits"], "only: expected axis=value[,value], got 'bits'"),
        (["bitts=16"], "only: axis: unknown name: got 'bitts', expected one of attack, bits, "),
        ({"bitts": 16}, "only: axis: unknown name: got 'bitts', expected one of attack, bits, "),
        ({16: 16}, "only: axis: unknown name: got '16', expected one of attack, bits, "),
        (16, "only: expected axis=value[,value], a list of such texts, or a mapping, got 16"),
        ([16], "only: expected axis=value[,value], got 16"),
    ],
)
def test_a_malformed_filter_is_refused(only: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_selection(only)
    assert str(caught.value).startswith(message)


def test_a_value_that_no_item_has_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match=r"^only: dataset of points: unknown name: got 'digit', .*nearest: digits$"):
        read_selection({"dataset": "digit"}).select(POINTS, dict.__getitem__, "points")
