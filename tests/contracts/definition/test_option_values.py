"""Values of options: converted, refused, compared and written as JSON."""

from __future__ import annotations

import enum
import json
import math
from collections import UserDict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from retbench.canon import canonical
from retbench.contracts import Component
from retbench.contracts.definition import option_values_problem
from retbench.contracts.definition.option_values import convert_option, option_json
from retbench.errors import OptionError
from retbench.testing.toys import ToyDataset

FACTS = ToyDataset().facts()


class Schedule(BaseModel):
    """An option with fields of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = 1
    rate: float = 0.5


class Longer(Schedule):
    """Has another field, which a recipe of a `Schedule` does not have."""

    warmup: int = 0


class Options(Component):
    """A component with an option of every kind."""

    kind: ClassVar[Literal["attack"]] = "attack"
    name: ClassVar[str] = "options"
    source: ClassVar[str] = "made for tests"

    switch: bool = False
    count: int = 1
    rate: float = 0.5
    text: str = ""
    either: int | float | bool | str | None = None
    mode: Literal["a", "b", 1, 2] = "a"
    pairs: tuple[tuple[int, float], ...] = ()
    names: frozenset[str] = frozenset()
    numbers: frozenset[int] | float = 0.0
    schedule: Schedule = Schedule()
    other: Schedule | None = None


texts = st.text(max_size=3)
numbers = st.floats(allow_nan=False, allow_infinity=False)
schedules = st.builds(Schedule, steps=st.integers(0, 1), rate=st.sampled_from([0.0, 0.5])) | st.fixed_dictionaries(
    {"steps": st.integers(0, 1)}, optional={"rate": st.sampled_from([0.0, -0.0, 0.5])}
)
options = st.fixed_dictionaries(
    {},
    optional={
        "switch": st.booleans(),
        "count": st.integers(),
        "rate": numbers | st.sampled_from([0.0, -0.0, 1, 1.0]),
        "text": texts | st.sampled_from(["1", "true", "null", "é", "e\u0301"]),
        "either": st.sampled_from([None, True, False, 0, 1, 0.0, -0.0, 1.0, "", "1", "1.0", "true", "null"]),
        "mode": st.sampled_from(["a", "b", 1, 2]),
        "pairs": st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0, 0.0, -0.0, 1.0])), max_size=2),
        "names": st.frozensets(st.sampled_from("abcdef")),
        "numbers": st.frozensets(st.integers(0, 3)) | st.sampled_from([0.0, 1.0]),
        "schedule": schedules,
        "other": st.none() | schedules,
    },
)


@given(options, options)
def test_components_are_equal_exactly_if_their_recipes_are(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, two = Options.create(first), Options.create(second)
    same = canonical(one.spec(FACTS)) == canonical(two.spec(FACTS))
    assert (one == two) is same
    if same:
        assert hash(one) == hash(two)


@given(options)
def test_a_component_is_made_again_from_the_json_of_its_recipe(given_options: dict[str, Any]) -> None:
    component = Options.create(given_options)
    assert option_values_problem(component) is None
    recorded = json.loads(canonical(component.options_json()))
    again = Options.create(recorded)
    assert again == component
    assert canonical(again.options_json()) == canonical(recorded)


@given(options)
def test_the_json_of_options_is_that_of_pydantic_up_to_the_order_of_sets(given_options: dict[str, Any]) -> None:
    component = Options.create(given_options)
    expected = component.model_dump(mode="json")
    for name in ("names", "numbers"):
        if isinstance(expected[name], list):
            expected[name] = sorted(expected[name])
    assert component.options_json() == expected


def test_options_that_python_counts_as_equal_are_different_components() -> None:
    different = [Options(either=1), Options(either=1.0), Options(either=True), Options(either="1")]
    assert len({canonical(each.spec(FACTS)) for each in different}) == 4
    assert len(set(different)) == 4
    assert Options(numbers=frozenset({1})) != Options(numbers=1.0)


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1, Options(rate=-0.0).rate) == 1
    assert canonical(Options(rate=-0.0).spec(FACTS)) == canonical(Options(rate=0.0).spec(FACTS))
    assert canonical(Options.create({"pairs": [(1, -0.0)]}).options_json()["pairs"]) == "[[1,0.0]]"


def test_a_set_has_the_same_json_in_every_process() -> None:
    words = ["the", "quick", "brown", "fox", "jumps"]  # a set of strings has another order in each process
    assert Options.create({"names": words}).options_json()["names"] == sorted(words)
    assert option_json(frozenset({10, 9, 1})) == [1, 10, 9]


class Speed(enum.Enum):
    FAST = "fast"


class Count(enum.IntEnum):
    ONE = 1


class Text(str):
    pass


class Real(float):
    pass


class Whole(int):
    pass


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("rate", torch.tensor(0.5), "got Tensor tensor(0.5000), expected a tuple"),
        ("count", torch.tensor(3), "got Tensor tensor(3), expected a tuple"),
        ("pairs", torch.zeros(1, 2), "got Tensor"),
        ("pairs", [(torch.tensor(1), 2.0)], "got Tensor tensor(1), expected a tuple"),
        ("rate", Real(0.5), "got Real 0.5, expected a plain float"),
        ("count", Whole(3), "got Whole 3, expected a plain int"),
        ("text", Text("a"), "got Text 'a', expected a plain str"),
        ("names", [Text("a")], "got Text 'a', expected a plain str"),
        ("text", Speed.FAST, "got Speed <Speed.FAST: 'fast'>, expected its plain value"),
        ("count", Count.ONE, "got Count <Count.ONE: 1>, expected its plain value"),
        ("rate", Fraction(1, 3), "got Fraction Fraction(1, 3), expected bool, int, float, str"),
        ("rate", Decimal("0.1"), "got Decimal Decimal('0.1'), expected bool, int, float, str"),
        ("rate", 1j, "got complex 1j, expected two options of type float"),
        ("rate", np.complex64(1), "got complex (1+0j), expected two options of type float"),
        ("text", b"abc", "got bytes b'abc', expected str"),
        ("text", bytearray(b"abc"), "got bytearray bytearray(b'abc'), expected str"),
        ("count", True, "got True, expected a number"),
        ("rate", False, "got False, expected a number"),
        ("rate", np.bool_(True), "got True, expected a number"),
        ("pairs", [(True, 0.5)], "got True, expected a number"),
        ("pairs", {(1, 2.0)}, "got set {(1, 2.0)}, expected frozenset[int]"),
        ("pairs", iter([(1, 2.0)]), "got list_iterator"),
        ("pairs", deque([(1, 2.0)]), "got deque deque([(1, 2.0)]), expected a tuple"),
        ("names", {"a": 1}.keys(), "got dict_keys"),
        ("mode", len, "got builtin_function_or_method <built-in function len>, expected"),
        ("text", lambda: "a", "got function <function"),
        ("schedule", UserDict(steps=1), "got UserDict"),
        ("schedule", Longer(), "got Longer, expected Schedule, not a class derived from it"),
        ("other", Longer(), "got Longer, expected Schedule, not a class derived from it"),
        ("schedule", Schedule(rate=-0.0), "rate: got -0.0, expected 0.0"),
        ("schedule", Schedule(rate=math.nan), "rate: got nan, expected a finite number"),
    ],
)
def test_a_value_that_is_not_plain_is_refused_with_what_to_use(name: str, value: object, problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        Options.create({name: value})
    assert caught.value.option == name
    assert problem in caught.value.problem
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
@pytest.mark.parametrize("name", ["rate", "either"])
def test_a_number_that_is_not_finite_is_refused(name: str, value: float) -> None:
    with pytest.raises(OptionError, match="finite"):
        Options.create({name: value})


@pytest.mark.parametrize(
    ("name", "given_value", "value"),
    [
        ("rate", np.float32(0.5), 0.5),
        ("count", np.int64(3), 3),
        ("text", np.str_("a"), "a"),
        ("switch", np.bool_(True), True),
        ("pairs", np.array([[1, 2]]), ((1, 2.0),)),
        ("pairs", [[np.int8(1), np.float64(2)]], ((1, 2.0),)),
        ("names", {"b", "a"}, frozenset({"a", "b"})),
        ("names", ["b", "a", "a"], frozenset({"a", "b"})),
        ("either", np.float64(1.0), 1.0),
        ("count", "3", 3),
        ("rate", 1, 1.0),
        ("schedule", {"steps": 4}, Schedule(steps=4)),
    ],
)
def test_a_value_of_another_type_that_means_the_same_is_converted(
    name: str, given_value: object, value: object
) -> None:
    converted = getattr(Options.create({name: given_value}), name)
    assert converted == value
    assert type(converted) is type(value)


def test_several_wrong_options_are_reported_at_their_places() -> None:
    with pytest.raises(OptionError, match=r"attack options: count: not a plain value: got True, expected a number$"):
        Options.create({"count": True})


class Growing(Component):
    """Its own validator returns a list."""

    kind: ClassVar[Literal["attack"]] = "attack"
    name: ClassVar[str] = "growing"

    widths: tuple[int, ...] = Field((1,), description="widths")

    @field_validator("widths")
    @classmethod
    def _double(cls, value: tuple[int, ...]) -> Any:
        return [2 * each for each in value]


def test_what_the_validator_of_a_class_returns_is_checked_too() -> None:
    with pytest.raises(OptionError, match=r"widths: not a plain value: got list \[2, 4\], expected a tuple"):
        Growing.create({"widths": (1, 2)})
    with pytest.raises(OptionError, match=r"widths: not a plain value: got list \[2\], expected a tuple"):
        Growing.create()


def test_state_beside_the_options_is_found() -> None:
    component = Options()
    assert option_values_problem(component) is None
    object.__setattr__(component, "text", ["a"])
    assert option_values_problem(component) == "text: got list ['a'], expected a tuple, such as tuple[int, ...]"
    component = Options()
    vars(component)["cache"] = torch.zeros(1)
    assert str(option_values_problem(component)).startswith("cache: got state that is no option, expected none")


def test_paths_are_written_as_texts() -> None:
    assert convert_option(Path("a/b"), frozenset({Path})) == Path("a/b")
    assert option_json(Path("a/b")) == "a/b"
