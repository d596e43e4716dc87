"""A component: frozen options and behavior, nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from retbench.canon import Json, file_digest
from retbench.contracts.facts import Facts
from retbench.errors import OptionError, suggest

if TYPE_CHECKING:
    from retbench.contracts.attack import AttackPart
    from retbench.contracts.part import Part
    from retbench.contracts.weights import Weights

Kind = Literal["dataset", "hasher", "attack", "defense", "part"]
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Component(BaseModel):
    """Frozen options (the pydantic fields) and the behavior they configure.

    Weights, codes and images are never attributes: they are artifacts that the core hands in. Two components with
    equal options are equal, hash alike and share every artifact.

    Class attributes a component sets:
        name: lower-case with dashes, equal to its file's name.
        revision: raised by one whenever the same options give other outputs.
        source: the paper and the equation or section that it follows.
        code: sha256 of the source of a class that no installed plugin offers; set by retbench, empty for a plugin's. It
            enters recipes with the options, and with the fingerprint of a dataset (`identify_dataset`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    kind: ClassVar[Kind]
    name: ClassVar[str] = ""
    revision: ClassVar[int] = 1
    source: ClassVar[str] = ""
    code: ClassVar[str] = ""

    @classmethod
    def create(cls, options: Mapping[str, Any] | None = None) -> Self:
        """Return the component with these options; the first bad one raises OptionError with what was expected."""
        try:
            return cls(**(options or {}))
        except ValidationError as error:
            raise _option_error(cls, error.errors(include_url=False)[0]) from None

    @model_validator(mode="before")
    @classmethod
    def _without_numpy(cls, options: Any) -> Any:
        """Return options with numpy's scalars and arrays as Python's own values, which recipes can hold."""
        if not isinstance(options, Mapping):
            return options
        return {
            name: value.tolist() if isinstance(value, np.generic | np.ndarray) else value
            for name, value in options.items()
        }

    def supports(self, facts: Facts) -> str | None:
        """Return why this component cannot work in a cell with these facts, or None when it can.

        The reason is what the user reads beside the skipped cell, so it ends with what to do about it.
        """
        return None

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        """Return what a reader must know about numbers made with these options; printed under every table of them."""
        return ()

    def details(self, facts: Facts) -> Mapping[str, Json]:
        """Return what a row records of it beside its options: values that these led to, such as a noise level."""
        return {}

    def parts(self, facts: Facts) -> Mapping[str, Part | AttackPart]:
        """Return the trainable pieces that this component owns, by role; none by default."""
        return {}

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        """Return the published weight files it starts from; a cell whose files are not on disk is skipped."""
        return ()

    def files(self, facts: Facts) -> dict[str, Path]:
        """Return the files it reads, by option; its sha256 enters the recipe in place of the option's value."""
        return {}

    def spec(self, facts: Facts) -> dict[str, Json]:
        """Return what identifies this component in a recipe: kind, name, revision, options and, if local, its code."""
        options = self.model_dump(mode="json")
        options.update({name: f"sha256:{file_digest(path)}" for name, path in self.files(facts).items()})
        spec: dict[str, Json] = {"kind": self.kind, "name": self.name, "revision": self.revision, "options": options}
        return {**spec, "code": self.code} if self.code else spec

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def _option_error(cls: type[Component], error: ErrorDetails) -> OptionError:
    option = ".".join(str(step) for step in error["loc"]) or "options"
    if error["type"] == "extra_forbidden":
        problem = f"unknown option: {suggest(str(error['loc'][-1]), _owner(cls, error['loc']).model_fields)}"
    else:
        told = error["msg"].removeprefix("Value error, ")
        problem = f"{told[0].lower()}{told[1:]}: got {error['input']!r}"
    return OptionError(f"{cls.kind} {cls.name}", option, problem)


def _owner(cls: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model that the last step of an option's path belongs to: the component, or one that is its option."""
    for step in loc[:-1]:
        field = cls.model_fields.get(str(step))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        cls = field.annotation
    return cls
