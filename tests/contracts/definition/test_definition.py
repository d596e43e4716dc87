"""The class of a component is checked completely."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, computed_field, field_serializer, model_serializer
from torch import Tensor

from retbench.contracts import Attack, Component, Facts
from retbench.contracts.definition import definition_problem
from retbench.testing.toys import TOYS, ToyAttack, ToyDataset, ToyHasher, ToyPart, ToyPrototype, ToyPurifier

pytestmark = pytest.mark.filterwarnings("ignore:Field name .* shadows an attribute:UserWarning")


@pytest.mark.parametrize("component", [*TOYS, ToyPart, ToyPrototype])
def test_the_toys_have_no_problem(component: type[Component]) -> None:
    assert definition_problem(component) is None


def test_an_incomplete_class_is_named_with_the_missing_methods() -> None:
    assert definition_problem(Attack) == "Attack does not define ball, perturb"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = 1


class Mutable(BaseModel):
    steps: int = 1


class Permissive(BaseModel):
    model_config = ConfigDict(frozen=True)  # ignores the option `stpes`

    steps: int = 1


class Holding(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: list[int] = []


class PathHolder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path = Path("x")


def faulty_classes() -> Iterator[tuple[type[Component], str]]:
    """Yield classes with one fault each, and what is expected in the message."""

    class Undefined(ToyAttack):
        schedule: Missing | None = None  # type: ignore[name-defined]  # noqa: F821  # the fault

    yield Undefined, "Undefined: an option has a type that is not defined: import it outside of `if TYPE_CHECKING`"

    class ListOption(ToyAttack):
        steps: list[int] = Field([1])

    yield ListOption, "ListOption.steps: not the type of an option: got list[int], expected a tuple, such as tuple[int"

    class TensorOption(ToyAttack):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        mean: Tensor = torch.zeros(3)

    yield TensorOption, "TensorOption.mean: not the type of an option: got Tensor, expected a tuple"

    class AnyOption(ToyPurifier):
        anything: Any = None

    yield AnyOption, "AnyOption.anything: not the type of an option: got Any, expected a type that says"

    class NestedList(ToyPurifier):
        nested: Holding = Holding()

    yield NestedList, "Holding.widths: not the type of an option: got list[int], expected a tuple"

    class NestedMutable(ToyPurifier):
        nested: Mutable | None = None

    yield NestedMutable, "Mutable.model_config: got frozen=None, expected frozen=True"

    class NestedPermissive(ToyPurifier):
        nested: tuple[Permissive, ...] = ()

    yield NestedPermissive, "Permissive.model_config: got extra=None, expected extra='forbid'"

    class Thawed(ToyHasher):
        model_config = ConfigDict(frozen=False)

    yield Thawed, "Thawed.model_config: got frozen=False, expected frozen=True"

    class Open(ToyHasher):
        model_config = ConfigDict(extra="allow")

    yield Open, "Open.model_config: got extra='allow', expected extra='forbid'"

    class Unchecked(ToyHasher):
        model_config = ConfigDict(validate_default=False)

    yield Unchecked, "Unchecked.model_config: got validate_default=False, expected validate_default=True"

    class Infinite(ToyHasher):
        model_config = ConfigDict(allow_inf_nan=True)

    yield Infinite, "Infinite.model_config: got allow_inf_nan=True, expected allow_inf_nan=False"

    class Private(ToyAttack):
        _cache: dict[str, Tensor] = PrivateAttr(default_factory=dict)

    yield Private, "Private._cache: got a private attribute, expected none; options are the only state of a component"

    class Caching(ToyAttack):
        @cached_property
        def table(self) -> Tensor:
            return torch.rand(3)

    yield Caching, "Caching.table: got a cached property, expected a property"

    class Hidden(ToyAttack):
        goal: Literal["targeted", "untargeted"] = "untargeted"  # type: ignore[assignment]  # the fault

    yield Hidden, "Hidden.goal: an option has the name of an attribute of retbench: expected another name"

    class Versioned(ToyAttack):
        revision: int = 3  # type: ignore[misc]  # the fault

    yield (
        Versioned,
        "Versioned.revision: an option has the name of an attribute of retbench: expected revision: ClassVar",
    )

    class Equal(ToyAttack):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 0

    yield Equal, "Equal.__eq__: retbench defines it for all components: expected no other definition"

    class Constant(ToyAttack):
        def options_json(self) -> dict[str, Any]:
            return {}

    yield Constant, "Constant.options_json: retbench defines it for all components"

    class Starting(ToyAttack):
        def model_post_init(self, context: Any) -> None:
            object.__setattr__(self, "table", torch.rand(3))

    yield Starting, "Starting.model_post_init: retbench defines it for all components"

    class Rounding(ToyAttack):
        @field_serializer("eps")
        def _round(self, value: float) -> float:
            return round(value, 1)

    yield Rounding, "Rounding._round: got a serializer or computed field, expected none"

    class Summary(ToyAttack):
        @model_serializer
        def _summarize(self) -> str:
            return "summary"

    yield Summary, "Summary._summarize: got a serializer or computed field, expected none"

    class Computed(ToyAttack):
        @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
        @property
        def double(self) -> float:
            return 2 * self.eps

    yield Computed, "Computed.double: got a serializer or computed field, expected none"

    class Alias(ToyAttack):
        rate: float = Field(0.1, alias="lr")

    yield Alias, "Alias.rate: an option has one name: got an alias, expected none"

    class Pathless(ToyAttack):
        weights: Path | None = None

    yield Pathless, "Pathless.weights: got a path that `files` does not return, expected a method `files`"

    class Paths(ToyAttack):
        weights: tuple[Path, ...] = ()

        def files(self, facts: Facts) -> dict[str, Path]:
            return {}

    yield Paths, "Paths.weights: got a path inside another option, expected an option of its own"

    class NestedPath(ToyAttack):
        nested: PathHolder | None = None

    yield NestedPath, "NestedPath.nested: got a path inside another option, expected an option of its own"

    class Misspelled(ToyPurifier):
        diferentiable: ClassVar[bool] = False

    yield Misspelled, "Misspelled.diferentiable: unknown to retbench: nearest: differentiable"

    class Misdeclared(ToyDataset):
        revision: ClassVar[int] = 0

    yield Misdeclared, "Misdeclared.revision: got 0, expected an integer of 1 or more"


def test_a_faulty_class_is_named_with_what_was_expected() -> None:
    problems = [(definition_problem(component) or "none", expected) for component, expected in faulty_classes()]
    assert len(problems) > 20
    assert [(found, expected) for found, expected in problems if expected not in found or "\n" in found] == []


class Complete(ToyAttack):
    """Has everything that an option may be."""

    nested: Frozen = Frozen()
    several: tuple[Frozen, ...] = ()
    part: ToyPart = ToyPart()
    words: frozenset[str] = frozenset()
    weights: Path | None = None
    wide: float | Literal["auto"] = "auto"

    def files(self, facts: Facts) -> dict[str, Path]:
        return {"weights": self.weights} if self.weights else {}

    @property
    def double(self) -> float:
        return 2 * self.eps


def test_frozen_models_parts_and_files_are_options() -> None:
    assert definition_problem(Complete) is None


def test_a_fault_in_a_base_class_is_found() -> None:
    class Base(ToyAttack):
        _cache: int = PrivateAttr(0)

    class Derived(Base):
        """Inherits state."""

    assert definition_problem(Derived) is not None
