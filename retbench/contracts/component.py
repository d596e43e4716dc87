"""A component: frozen options and the behavior that they configure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from retbench.canon import Json
from retbench.contracts.definition.option_types import option_types
from retbench.contracts.definition.option_values import (
    OptionValueError,
    convert_option,
    option_json,
    same_options,
    value_problem,
)
from retbench.contracts.facts import Facts
from retbench.errors import OptionError, suggest
from retbench.file_digests import digest_file

if TYPE_CHECKING:
    from retbench.contracts.attack import AttackPart
    from retbench.contracts.part import Part
    from retbench.contracts.weights import Weights

Kind = Literal["dataset", "hasher", "attack", "defense", "part"]
NAME_PATTERN = r"\A(?!none\Z)[a-z][a-z0-9]*(-[a-z0-9]+)*\Z"
NOT_PLAIN = "not_plain"
"""The type of pydantic's error for a value that can be no option."""
SHA256_PATTERN = r"\A([0-9a-f]{64})?\Z"


class Component(BaseModel):
    """Frozen options (the pydantic fields) and the behavior that they configure.

    Weights, codes and images are never attributes: they are artifacts that the core passes to the methods. Components
    of one class with equal options are equal, have the same hash and share every artifact.

    Class attributes:
        kind: dataset, hasher, attack, defense or part; set by the base classes.
        name: lower-case words joined by dashes, equal to the file name.
        revision: increased by one whenever the same options give different outputs.
        source: the paper, with the equation or section, that the component follows.
        code: sha256 of the class's source if no installed plugin provides the class, else empty. Set by retbench; part
            of the component's recipes, and of a dataset's identity (see `identify_dataset`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    kind: ClassVar[Kind]
    name: ClassVar[
        Annotated[str, Field(pattern=NAME_PATTERN, description="lower-case words joined by dashes, and not 'none'")]
    ] = ""
    revision: ClassVar[Annotated[int, Field(ge=1, description="an integer of 1 or more")]] = 1
    source: ClassVar[Annotated[str, Field(pattern=r"\S", description="the paper or the origin of the method")]] = ""
    code: ClassVar[Annotated[str, Field(pattern=SHA256_PATTERN, description="that only retbench sets it")]] = ""

    @classmethod
    def create(cls, options: Mapping[str, Any] | None = None) -> Self:
        """Return a component with these options; None or no options give the defaults.

        Raises:
            OptionError: an option is unknown, missing or out of range; the message names the first such option.
        """
        try:
            return cls(**(options or {}))
        except ValidationError as error:
            raise _option_error(cls, error.errors(include_url=False)[0]) from None

    @model_validator(mode="before")
    @classmethod
    def _convert_options(cls, options: Any) -> Any:
        """Return the options with the numbers and arrays of numpy as Python values; refuse values that are not plain.

        Raises:
            ValidationError: a value of a type that recipes cannot record.
        """
        if not isinstance(options, Mapping):
            return options
        converted, errors = dict(options), []
        for name, types in option_types(cls).items():
            if name not in options:
                continue
            try:
                converted[name] = convert_option(options[name], types)
            except OptionValueError as error:
                errors.append(_plain_error(name, options[name], str(error)))
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return converted

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        """Check that defaults, and what the class's own validators return, are plain values too."""
        problems = {name: value_problem(getattr(self, name), types) for name, types in option_types(type(self)).items()}
        if errors := [_plain_error(name, getattr(self, name), text) for name, text in problems.items() if text]:
            raise ValidationError.from_exception_data(type(self).__name__, errors)
        return self

    def __eq__(self, other: object) -> bool:
        """Return whether two components have the same class and options; 1, 1.0 and True are different options.

        So equal components have recipes with equal JSON, and components that differ in a recorded option have not.
        """
        return isinstance(other, Component) and super().__eq__(other) is True and same_options(self, other)

    def supports(self, facts: Facts) -> str | None:
        """Return the reason why this component cannot run in a cell with these facts, or None if it can.

        The report prints the reason of each skipped cell, so it ends with what the user can do about it.
        """
        return None

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        """Return notes that readers of the results need; printed under every table that contains the component."""
        return ()

    def details(self, facts: Facts) -> Mapping[str, Json]:
        """Return values derived from the options, recorded in every row (for example the start noise level)."""
        return {}

    def parts(self, facts: Facts) -> Mapping[str, Part | AttackPart]:
        """Return the trainable parts of this component by role; none by default."""
        return {}

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        """Return the published weight files that this component reads; cells without these files are skipped."""
        return ()

    def files(self, facts: Facts) -> dict[str, Path]:
        """Return the files that options name, by option; recipes contain a file's sha256 in place of its path.

        A file that no option names, such as one that the package contains, has a name unlike any option.
        """
        return {}

    def options_json(self) -> dict[str, Json]:
        """Return the options as JSON, in every process the same; without fields that the class excludes."""
        return {name: option_json(getattr(self, name)) for name, field in _fields(self) if not field.exclude}

    def spec(self, facts: Facts) -> dict[str, Json]:
        """Return the component's part of a recipe: kind, name, revision, options and, for a local class, its code."""
        options = self.options_json()
        options.update({name: f"sha256:{digest_file(path)}" for name, path in self.files(facts).items()})
        spec: dict[str, Json] = {"kind": self.kind, "name": self.name, "revision": self.revision, "options": options}
        return {**spec, "code": self.code} if self.code else spec

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def _fields(model: BaseModel) -> list[tuple[str, FieldInfo]]:
    return list(type(model).model_fields.items())


def _plain_error(option: str, value: object, problem: str) -> InitErrorDetails:
    error = PydanticCustomError(NOT_PLAIN, "not a plain value: {problem}", {"problem": problem})
    return InitErrorDetails(type=error, loc=(option,), input=value)


def _option_error(cls: type[Component], error: ErrorDetails) -> OptionError:
    option = ".".join(str(step) for step in error["loc"]) or "options"
    if error["type"] == "extra_forbidden":
        problem = f"unknown option: {suggest(str(error['loc'][-1]), _option_model(cls, error['loc']).model_fields)}"
    elif error["type"] == NOT_PLAIN:
        problem = error["msg"]
    else:
        message = error["msg"].removeprefix("Value error, ")
        problem = f"{message[0].lower()}{message[1:]}: got {error['input']!r}"
    return OptionError(f"{cls.kind} {cls.name}", option, problem)


def _option_model(cls: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model that has the last field of an option's path: the component, or a model that is its option."""
    for step in loc[:-1]:
        field = cls.model_fields.get(str(step))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        cls = field.annotation
    return cls
