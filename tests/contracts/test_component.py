"""Options are checked, compared and digested."""

import os
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from retbench.canon import digest
from retbench.contracts import Attack, Component, Facts
from retbench.errors import OptionError
from retbench.file_digests import digest_file
from retbench.testing.toys import FaultyAttack, ToyAttack, ToyDataset, ToyHasher, ToyPart, ToyPurifier

FACTS = ToyDataset().facts()


class Tuned(Component):
    """A component with options of several types."""

    kind: ClassVar[Literal["hasher"]] = "hasher"
    name: ClassVar[str] = "tuned"
    revision: ClassVar[int] = 3

    steps: int = Field(10, ge=1, le=100)
    widths: tuple[int, ...] = (8, 16)
    rule: Literal["near", "far"] = "near"
    weights: Path | None = None

    @model_validator(mode="after")
    def _far_needs_steps(self) -> "Tuned":
        if self.rule == "far" and self.steps < 5:
            raise ValueError("rule far needs 5 steps")
        return self

    def files(self, facts: Facts) -> dict[str, Path]:
        return {"weights": self.weights} if self.weights else {}


class Nested(Component):
    kind: ClassVar[Literal["hasher"]] = "hasher"
    name: ClassVar[str] = "nested"
    training: Tuned = Tuned()


class Nameless(Component):
    kind: ClassVar[Literal["attack"]] = "attack"
    name: ClassVar[str] = "nameless"
    weights: Path


@pytest.mark.parametrize(
    ("options", "option", "problem"),
    [
        ({"step": 5}, "step", "unknown option: expected one of rule, steps, weights, widths; nearest: steps"),
        ({"steps": "many"}, "steps", "unable to parse string as an integer: got 'many'"),
        ({"steps": 0}, "steps", "input should be greater than or equal to 1: got 0"),
        ({"steps": 101}, "steps", "less than or equal to 100: got 101"),
        ({"steps": float("nan")}, "steps", "got nan"),
        ({"widths": [8, "wide"]}, "widths.1", "got 'wide'"),
        ({"rule": "mid"}, "rule", "input should be 'near' or 'far': got 'mid'"),
        ({"rule": "far", "steps": 4}, "options", "rule far needs 5 steps"),
    ],
)
def test_the_error_on_a_bad_option_names_it_and_what_was_expected(
    options: dict[str, object], option: str, problem: str
) -> None:
    with pytest.raises(OptionError) as caught:
        Tuned.create(options)
    assert caught.value.component == "hasher tuned"
    assert caught.value.option == option
    assert problem in caught.value.problem
    assert "\n" not in str(caught.value)


def test_an_unknown_field_of_an_option_is_compared_with_the_fields_of_that_option() -> None:
    with pytest.raises(OptionError, match=r"training.step: unknown option: expected one of rule, .*; nearest: steps"):
        Nested.create({"training": {"step": 3}})


def test_the_message_of_a_components_own_check_has_no_pydantic_prefix() -> None:
    with pytest.raises(OptionError, match="hasher tuned: options: rule far needs 5 steps: got "):
        Tuned.create({"rule": "far", "steps": 4})


def test_the_error_on_a_missing_required_option_names_it() -> None:
    with pytest.raises(OptionError, match="attack nameless: weights: field required"):
        Nameless.create()


def test_an_infinite_option_is_rejected() -> None:
    with pytest.raises(OptionError, match=r"attack toy: eps: .*finite"):
        ToyAttack.create({"eps": float("inf")})


def test_no_options_give_the_defaults() -> None:
    assert Tuned.create() == Tuned.create({}) == Tuned()


def test_components_with_equal_options_are_equal() -> None:
    assert Tuned(widths=(1, 2)) == Tuned.create({"widths": [1, 2]})
    assert hash(Tuned(widths=(1, 2))) == hash(Tuned.create({"widths": [1, 2]}))
    assert len({ToyAttack(eps=0.1), ToyAttack(eps=0.1), ToyAttack(eps=0.2)}) == 2


def test_a_component_equals_nothing_but_a_component() -> None:
    assert ToyAttack() != "attack toy"
    assert ToyAttack() != dict(ToyAttack())
    assert ToyAttack() not in ["none", None]


def test_another_class_with_the_same_options_is_not_equal() -> None:
    assert ToyHasher() != ToyPurifier()
    assert ToyAttack() != FaultyAttack()


def test_components_are_frozen() -> None:
    attack = ToyAttack()
    with pytest.raises(ValidationError, match="frozen"):
        attack.eps = 0.5
    with pytest.raises((ValidationError, ValueError), match=r"no field|frozen"):
        attack.weights = 1  # type: ignore[attr-defined]


def test_the_spec_contains_kind_name_revision_and_every_option() -> None:
    assert Tuned(steps=5).spec(FACTS) == {
        "kind": "hasher",
        "name": "tuned",
        "revision": 3,
        "options": {"steps": 5, "widths": [8, 16], "rule": "near", "weights": None},
    }


def test_only_equal_components_have_specs_with_equal_digests() -> None:
    assert digest(Tuned(steps=5).spec(FACTS)) == digest(Tuned.create({"steps": 5}).spec(FACTS))
    assert digest(Tuned(steps=5).spec(FACTS)) != digest(Tuned(steps=6).spec(FACTS))


def test_the_spec_contains_the_digest_of_a_file_and_not_its_path(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    first.write_bytes(b"weights")
    second.write_bytes(b"weights")
    spec = Tuned(weights=first).spec(FACTS)
    assert spec["options"] == {
        "steps": 10,
        "widths": [8, 16],
        "rule": "near",
        "weights": f"sha256:{digest_file(first)}",
    }
    assert spec == Tuned(weights=second).spec(FACTS)
    times = second.stat()
    second.write_bytes(b"changed")
    os.utime(second, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert second.stat().st_size == times.st_size
    assert spec != Tuned(weights=second).spec(FACTS)


def test_the_string_of_a_component_is_its_kind_and_name() -> None:
    assert str(ToyAttack()) == "attack toy"
    assert str(ToyPart()) == "part toy-mean"


def test_a_component_supports_every_cell_and_has_no_parts_by_default() -> None:
    component = Tuned()
    assert component.supports(FACTS) is None
    assert component.parts(FACTS) == {}
    assert Attack.files(ToyAttack(), FACTS) == {}
