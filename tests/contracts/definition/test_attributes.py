"""Class attributes are checked by the annotations of the contracts."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

import pytest

from retbench.contracts import Attack, Component, Dataset, Facts, Hardening, Hasher, Part, Purifier
from retbench.contracts.attack import AttackPart
from retbench.contracts.definition.attributes import attribute_problem, declared_attributes
from retbench.testing.toys import (
    TOYS,
    ToyAttack,
    ToyDataset,
    ToyHardening,
    ToyHasher,
    ToyPart,
    ToyPrototype,
    ToyPurifier,
)

LOWER_CASE = "expected lower-case words joined by dashes, and not 'none'"


def derive(base: type[Component], **members: Any) -> type[Component]:
    """Return a class derived from a toy, as a plugin would define it without annotations."""
    return type("Made", (base,), {"__module__": __name__, **members})


def test_the_contracts_say_which_class_attributes_each_kind_has() -> None:
    common = {"kind", "name", "revision", "source", "code"}
    assert declared_attributes(ToyDataset).keys() == declared_attributes(Dataset).keys() == common
    assert declared_attributes(Hasher).keys() == common | {"modalities", "supervised", "cached"}
    assert declared_attributes(Attack).keys() >= common | {"needs", "learns", "adaptive"}
    assert declared_attributes(AttackPart).keys() == common | {"needs"}
    assert declared_attributes(Purifier).keys() == common | {"learns", "differentiable"}
    assert declared_attributes(Hardening).keys() == common | {"needs_loss"}
    assert declared_attributes(Part).keys() == common | {"learns"}


@pytest.mark.parametrize("component", [*TOYS, ToyPart, ToyPrototype])
def test_the_toys_declare_what_their_contracts_allow(component: type[Component]) -> None:
    assert attribute_problem(component) is None


class Revision(enum.IntEnum):
    FIRST = 1


class Text(str):
    """A text that may hold more than its letters."""


@pytest.mark.parametrize(
    ("base", "attribute", "value", "problem"),
    [
        (ToyAttack, "name", "Bad Name", f"got 'Bad Name', {LOWER_CASE}"),
        (ToyAttack, "name", "none", f"got 'none', {LOWER_CASE}"),
        (ToyAttack, "name", "line\n", f"got 'line\\n', {LOWER_CASE}"),
        (ToyAttack, "name", None, f"got None, {LOWER_CASE}"),
        (ToyAttack, "name", Text("toy"), "got Text 'toy', expected a plain str"),
        (
            ToyAttack,
            "kind",
            "atack",
            "got 'atack', expected one of attack, dataset, defense, hasher, part; nearest: att",
        ),
        (ToyAttack, "kind", "defense", "got 'defense', expected 'attack', as Attack sets it"),
        (ToyHasher, "revision", 0, "got 0, expected an integer of 1 or more"),
        (ToyHasher, "revision", True, "got True, expected an integer of 1 or more"),
        (ToyHasher, "revision", "2", "got '2', expected an integer of 1 or more"),
        (ToyHasher, "revision", 2.0, "got 2.0, expected an integer of 1 or more"),
        (ToyHasher, "revision", Revision.FIRST, "got Revision <Revision.FIRST: 1>, expected its plain value"),
        (ToyHasher, "source", "  ", "got '  ', expected the paper or the origin of the method"),
        (ToyHasher, "source", None, "got None, expected the paper or the origin of the method"),
        (ToyHasher, "code", "v2", "got 'v2', expected that only retbench sets it"),
        (ToyAttack, "needs", frozenset({"database_code"}), "got 'database_code', expected one of"),
        (ToyAttack, "needs", frozenset({"database_code"}), "nearest: database_codes"),
        (ToyAttack, "needs", {"training"}, "got {'training'}, expected a frozenset, such as frozenset({...})"),
        (ToyAttack, "needs", ["training"], "got ['training'], expected a frozenset, such as frozenset({...})"),
        (ToyAttack, "needs", ("training",), "got ('training',), expected a frozenset, such as frozenset({...})"),
        (ToyAttack, "needs", "training", "got 'training', expected a frozenset, such as frozenset({...})"),
        (ToyAttack, "needs", property(lambda self: frozenset()), "got a property, expected a frozenset"),
        (ToyAttack, "adaptive", 0, "got 0, expected a valid boolean"),
        (ToyAttack, "adaptive", "no", "got 'no', expected a valid boolean"),
        (ToyAttack, "learns", None, "got None, expected a valid boolean"),
        (ToyPrototype, "needs", frozenset({"trainng"}), "nearest: training"),
        (ToyPurifier, "differentiable", 1, "got 1, expected a valid boolean"),
        (ToyPurifier, "learns", "False", "got 'False', expected a valid boolean"),
        (ToyHardening, "needs_loss", None, "got None, expected a valid boolean"),
        (ToyPart, "learns", 0, "got 0, expected a valid boolean"),
        (ToyHasher, "modalities", frozenset({"images"}), "got 'images', expected one of image, text; nearest: image"),
        (ToyHasher, "modalities", frozenset(), "got frozenset(), expected"),
        (ToyHasher, "modalities", "image", "got 'image', expected a frozenset, such as frozenset({...})"),
        (ToyHasher, "supervised", 1, "got 1, expected a valid boolean"),
        (ToyHasher, "cached", False, "got False, expected a valid string"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    base: type[Component], attribute: str, value: object, problem: str
) -> None:
    found = attribute_problem(derive(base, **{attribute: value}))
    assert found is not None
    assert found.startswith(f"Made.{attribute}: got ")
    assert problem in found
    assert "\n" not in found


def fit(self: Any, *arguments: Any) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("base", "members", "problem"),
    [
        (ToyAttack, {"fit": fit}, "Made defines `fit`: got learns = False, expected learns = True"),
        (ToyAttack, {"learns": True}, "Made does not define `fit`: got learns = True, expected learns = False"),
        (ToyAttack, {"learns": True, "fit": fit}, None),
        (ToyPurifier, {"fit": fit}, "Made defines `fit`: got learns = False, expected learns = True"),
        (ToyPurifier, {"learns": True}, "Made does not define `fit`: got learns = True, expected learns = False"),
        (ToyHasher, {"supervised": False}, "Made defines `loss`: got supervised = False, expected supervised = True"),
        (
            ToyHasher,
            {"loss": Hasher.loss},
            "Made does not define `loss`: got supervised = True, expected supervised = False",
        ),
        (ToyPart, {"learns": False}, None),
    ],
)
def test_an_attribute_that_declares_a_method_must_agree_with_the_class(
    base: type[Component], members: dict[str, Any], problem: str | None
) -> None:
    assert attribute_problem(derive(base, **members)) == problem


class Opaque(ToyPurifier):
    """Misspells a class attribute."""

    diferentiable: ClassVar[bool] = False


class Needy(ToyHardening):
    """Forgets the s of a class attribute."""

    need_loss: ClassVar[bool] = True


class Texts(ToyDataset):
    """Writes a singular."""

    modality: ClassVar[str] = "text"


class Reader(Hasher):
    """Writes a singular."""

    modality: ClassVar[frozenset[str]] = frozenset({"text"})
    name: ClassVar[str] = "reader"
    source: ClassVar[str] = "made for tests"


class Picky(ToyAttack):
    """Misspells a method."""

    def support(self, facts: Facts) -> str | None:
        return "it does not run here"


class Option(ToyPurifier):
    """Turns a class attribute into an option."""

    diferentiable: bool = False


@pytest.mark.parametrize(
    ("component", "name", "nearest"),
    [
        (Opaque, "diferentiable", "differentiable"),
        (Needy, "need_loss", "needs_loss"),
        (Reader, "modality", "modalities"),
        (Picky, "support", "supports"),
        (Option, "diferentiable", "differentiable"),
    ],
)
def test_a_misspelled_attribute_is_found_with_the_nearest_name(
    component: type[Component], name: str, nearest: str
) -> None:
    problem = attribute_problem(component)
    assert problem is not None
    assert problem.startswith(f"{component.__name__}.{name}: ")
    assert f"nearest: {nearest}" in problem


class Own(ToyAttack):
    """Has names of its own."""

    names: ClassVar[tuple[str, ...]] = ("a", "b")  # beside the name that it also has
    sources: ClassVar[tuple[str, ...]] = ()
    rounds: ClassVar[int] = 3
    version: ClassVar[str] = "1"
    _need: ClassVar[str] = "private"

    steps: int = 1
    detail: str = "low"

    name: ClassVar[str] = "own"
    source: ClassVar[str] = "made for tests"

    def file(self) -> str:
        return "has other arguments than `files`"

    @property
    def part(self) -> ToyPart:
        return ToyPart()


@pytest.mark.parametrize("component", [Own, Texts])
def test_names_of_the_plugins_own_are_no_misspellings(component: type[Component]) -> None:
    assert attribute_problem(component) is None
