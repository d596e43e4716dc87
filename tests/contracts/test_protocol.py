"""Checks of the measurement protocol."""

from typing import Any

import pytest
from pydantic import ValidationError

from retbench.contracts import Protocol, TargetRule


@pytest.mark.parametrize("rule", ["top-k", "top-k-skip", "first-k-relevant"])
def test_a_definition_with_a_cutoff_needs_a_depth(rule: Any) -> None:
    assert Protocol(map=rule, depth=5).depth == 5
    with pytest.raises(ValidationError, match=f"depth: required by every map but full: got map={rule}, depth=None"):
        Protocol(map=rule)


def test_the_full_definition_takes_no_depth() -> None:
    assert Protocol(map="full").depth is None
    with pytest.raises(ValidationError, match="depth: required by every map but full: got map=full, depth=5"):
        Protocol(map="full", depth=5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("queries", 0),
        ("queries", -3),
        ("queries", "some"),
        ("queries", 1.5),
        ("depth", 0),
        ("confidence", 1.0),
        ("confidence", 0.0),
        ("resamples", 99),
        ("ties", "random"),
        ("relevance", "share-all"),
        ("tie", "stable"),
        ("targets", {"rule": "nearest"}),
        ("targets", {"above": -1}),
        ("targets", {"seed": -1}),
        ("targets", {"sed": 1}),
    ],
)
def test_the_error_on_an_invalid_value_names_its_field(field: str, value: Any) -> None:
    definition = {"map": "top-k"} if field == "depth" else {}
    with pytest.raises(ValidationError) as caught:
        Protocol.model_validate({**definition, field: value})
    assert field in str(caught.value)


def test_protocols_that_differ_in_any_field_are_different() -> None:
    changes: list[dict[str, Any]] = [
        {"queries": 100},
        {"map": "top-k", "depth": 5},
        {"map": "top-k", "depth": 6},
        {"ties": "expected"},
        {"targets": TargetRule(rule="uniform")},
        {"targets": TargetRule(above=9)},
        {"targets": TargetRule(seed=1)},
        {"quantize": True},
        {"confidence": 0.9},
        {"resamples": 100},
    ]
    protocols = {Protocol(), *(Protocol(**change) for change in changes)}
    assert len(protocols) == len(changes) + 1
    assert len({str(protocol.model_dump(mode="json")) for protocol in protocols}) == len(protocols)
