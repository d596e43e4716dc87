"""A suite: a matrix, the options of its components, a protocol and a report; immutable once read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from retbench.contracts.facts import Task
from retbench.contracts.protocol import Protocol
from retbench.contracts.threat import Threat

AXES = ("dataset", "hasher", "bits", "task", "attack", "surrogate", "defense", "threat", "seed")
COMPONENT_AXES: dict[str, str] = {
    "dataset": "dataset",
    "hasher": "hasher",
    "attack": "attack",
    "surrogate": "hasher",
    "defense": "defense",
}
"""Axes whose values are component names, and the kind they name."""
NONE = "none"

Options = dict[str, Any]
Pattern = dict[str, list[Any]]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_Frozen):
    """One value of a component axis: a name, several in a row, or one point of a sweep.

    Attributes:
        names: the components, in order; empty for `none`.
        options: what a sweep sets, by component name.
        variant: the label of the swept options (`t_p=5`); empty without a sweep.
        at: where in its axis it was written: the index of its entry, or nothing where the axis is a single one.
        objects: components that are given as they are, by name: neither suite, profile nor sweep changes their options.
    """

    names: tuple[str, ...]
    options: dict[str, Options] = Field(default_factory=dict)
    variant: str = ""
    at: tuple[int, ...] = ()
    objects: dict[str, Any] = Field(default_factory=dict)

    @property
    def label(self) -> str:
        """The names joined by `+`, or `none`."""
        return "+".join(self.names) or NONE


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _expand(entry: Any) -> list[Choice]:
    """Return the choices of one entry: a name, a list of names, or `{name: {sweep: {option: [values]}}}`."""
    if isinstance(entry, Choice):
        return [entry]
    if isinstance(entry, str):
        return [Choice(names=() if entry == NONE else (entry,))]
    if isinstance(entry, list) and entry and all(isinstance(name, str) for name in entry):
        return [Choice(names=tuple(entry))]
    if isinstance(entry, dict) and len(entry) == 1 and isinstance(name := next(iter(entry)), str):
        return _sweep(name, entry[name])
    raise ValueError(f"an entry is a name, a list of names, or name: {{sweep: {{option: [values]}}}}: got {entry!r}")


def _sweep(name: str, body: Any) -> list[Choice]:
    sweep = body.get("sweep") if isinstance(body, dict) and set(body) == {"sweep"} else None
    option, values = next(iter(sweep.items())) if isinstance(sweep, dict) and len(sweep) == 1 else (None, None)
    if not isinstance(option, str) or not isinstance(values, list) or not values:
        raise ValueError(
            f"a sweep reads {name}: {{sweep: {{option: [values]}}}} with one option and its values: got {body!r}"
        )
    return [Choice(names=(name,), options={name: {option: value}}, variant=f"{option}={value}") for value in values]


_ENTRIES: TypeAdapter[list[list[Choice]]] = TypeAdapter(list[Annotated[list[Choice], BeforeValidator(_expand)]])


def _choices(value: Any) -> list[Choice]:
    """Return the choices of an axis, each with the place of its entry; a bad entry is reported at its index."""
    entries = enumerate(_ENTRIES.validate_python(_as_list(value)))
    placed = ((choice, (index,) if isinstance(value, list) else ()) for index, entry in entries for choice in entry)
    return [choice.model_copy(update={"at": at}) for choice, at in placed]


def _one_each(choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
    for choice in choices:
        if len(choice.names) > 1:
            raise ValueError(f"only a defense may combine several: got {list(choice.names)}")
    return choices


def _pattern(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"a pattern is a mapping of axes: got {value!r}")
    return {axis: _as_list(wanted) for axis, wanted in value.items()}


Choices = Annotated[tuple[Choice, ...], BeforeValidator(_choices), Field(min_length=1)]
Single = Annotated[Choices, AfterValidator(_one_each)]
Axis = BeforeValidator(_as_list)
Bits = Annotated[tuple[Annotated[int, Field(ge=1, le=4096, strict=True)], ...], Axis, Field(min_length=1)]
Tasks = Annotated[tuple[Task, ...], Axis, Field(min_length=1)]
Threats = Annotated[tuple[Threat, ...], Axis, Field(min_length=1)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, strict=True)], ...], Axis, Field(min_length=1)]
Patterns = tuple[Annotated[Pattern, BeforeValidator(_pattern)], ...]


class Inclusion(_Frozen):
    """Cells added to the product: an axis left out takes the first value of the matrix."""

    dataset: Single | None = None
    hasher: Single | None = None
    bits: Bits | None = None
    task: Tasks | None = None
    attack: Single | None = None
    surrogate: Single | None = None
    defense: Choices | None = None
    threat: Threats | None = None
    seed: Seeds | None = None


class Matrix(_Frozen):
    """The axes whose product is the matrix; every axis takes one value or a list.

    `exclude` drops the cells of the product that match a pattern of axes; `include` adds cells to what is left.
    """

    dataset: Single
    hasher: Single
    bits: Bits = (32,)
    task: Tasks = ("i2i",)
    attack: Single = (Choice(names=()),)
    surrogate: Single = (Choice(names=()),)
    defense: Choices = (Choice(names=()),)
    threat: Threats = ("oblivious",)
    seed: Seeds = (0,)
    exclude: Patterns = ()
    include: tuple[Inclusion, ...] = ()


Components = dict[Literal["dataset", "hasher", "attack", "defense"], dict[str, Options]]


class Override(_Frozen):
    """Options that hold in the cells that match `when`; of several that set one option the last wins."""

    when: Annotated[Pattern, BeforeValidator(_pattern)] = Field(default_factory=dict)
    components: Components


class Report(_Frozen):
    """How `retbench report` lays the rows out, and what it puts beside them: shipped names, or paths of one's own."""

    layout: Annotated[tuple[str, ...], Axis, Field(min_length=1)] = ("long",)
    claims: str = Field("", description="the published numbers that the tables stand beside; none without")


class Suite(_Frozen):
    """The content of a suite file, with its profile and the changes of the command line applied."""

    suite: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    description: str = ""
    matrix: Matrix
    components: Components = Field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    protocol: Protocol = Protocol()
    report: Report = Report()
    shard: int = Field(50, ge=1, description="queries in one resumable piece of an attack or a purification")
