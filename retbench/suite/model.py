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
"""The axes whose values are component names, with the kind of component."""
NONE = "none"

Options = dict[str, Any]
Pattern = dict[str, list[Any]]


class _FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_FrozenModel):
    """One value of a component axis: a name, several in a row, or one point of a sweep.

    Attributes:
        names: the components, in order; empty for `none`.
        options: the options that a sweep sets, by component name.
        variant: the label of the swept options (`t_p=5`); empty without a sweep.
        at: the index of its entry within the axis; empty where the axis is written without a list.
        objects: components given as Python objects, by name; the suite, profiles and sweeps leave their options alone.
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


def _parse_entry(entry: Any) -> list[Choice]:
    """Return the choices of one entry of an axis: a name, a list of names, or `{name: {sweep: {option: [values]}}}`."""
    if isinstance(entry, Choice):
        return [entry]
    if isinstance(entry, str):
        return [Choice(names=() if entry == NONE else (entry,))]
    if isinstance(entry, list) and entry and all(isinstance(name, str) for name in entry):
        return [Choice(names=tuple(entry))]
    if isinstance(entry, dict) and len(entry) == 1 and isinstance(name := next(iter(entry)), str):
        return _parse_sweep(name, entry[name])
    raise ValueError(f"expected a name, a list of names, or name: {{sweep: {{option: [values]}}}}: got {entry!r}")


def _parse_sweep(name: str, body: Any) -> list[Choice]:
    sweep = body.get("sweep") if isinstance(body, dict) and set(body) == {"sweep"} else None
    option, values = next(iter(sweep.items())) if isinstance(sweep, dict) and len(sweep) == 1 else (None, None)
    if not isinstance(option, str) or not isinstance(values, list) or not values:
        raise ValueError(
            f"expected {name}: {{sweep: {{option: [values]}}}} with one option and its values: got {body!r}"
        )
    return [Choice(names=(name,), options={name: {option: value}}, variant=f"{option}={value}") for value in values]


_ENTRIES: TypeAdapter[list[list[Choice]]] = TypeAdapter(list[Annotated[list[Choice], BeforeValidator(_parse_entry)]])


def _parse_choices(value: Any) -> list[Choice]:
    """Return the choices of an axis, each with the index of its entry; a bad entry is reported at its index."""
    entries = enumerate(_ENTRIES.validate_python(_as_list(value)))
    return [
        choice.model_copy(update={"at": (index,) if isinstance(value, list) else ()})
        for index, entry in entries
        for choice in entry
    ]


def _reject_combinations(choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
    for choice in choices:
        if len(choice.names) > 1:
            raise ValueError(f"only defenses may be combined: got {list(choice.names)}, expected one name")
    return choices


def _parse_pattern(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"expected a mapping of axes: got {value!r}")
    return {axis: _as_list(labels) for axis, labels in value.items()}


Choices = Annotated[tuple[Choice, ...], BeforeValidator(_parse_choices), Field(min_length=1)]
SingleChoices = Annotated[Choices, AfterValidator(_reject_combinations)]
AsList = BeforeValidator(_as_list)
Bits = Annotated[tuple[Annotated[int, Field(ge=1, le=4096, strict=True)], ...], AsList, Field(min_length=1)]
Tasks = Annotated[tuple[Task, ...], AsList, Field(min_length=1)]
Threats = Annotated[tuple[Threat, ...], AsList, Field(min_length=1)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, strict=True)], ...], AsList, Field(min_length=1)]
Patterns = tuple[Annotated[Pattern, BeforeValidator(_parse_pattern)], ...]


class Inclusion(_FrozenModel):
    """Cells added to the product of the axes; an axis that is left out has the first value of the matrix."""

    dataset: SingleChoices | None = None
    hasher: SingleChoices | None = None
    bits: Bits | None = None
    task: Tasks | None = None
    attack: SingleChoices | None = None
    surrogate: SingleChoices | None = None
    defense: Choices | None = None
    threat: Threats | None = None
    seed: Seeds | None = None


class Matrix(_FrozenModel):
    """The axes whose product is the matrix; every axis takes one value or a list.

    `exclude` drops the cells of the product that match one of its patterns; `include` then adds cells.
    """

    dataset: SingleChoices
    hasher: SingleChoices
    bits: Bits = (32,)
    task: Tasks = ("i2i",)
    attack: SingleChoices = (Choice(names=()),)
    surrogate: SingleChoices = (Choice(names=()),)
    defense: Choices = (Choice(names=()),)
    threat: Threats = ("oblivious",)
    seed: Seeds = (0,)
    exclude: Patterns = ()
    include: tuple[Inclusion, ...] = ()


Components = dict[Literal["dataset", "hasher", "attack", "defense"], dict[str, Options]]


class Override(_FrozenModel):
    """Options for the cells that match `when`; where several overrides set one option, the last wins."""

    when: Annotated[Pattern, BeforeValidator(_parse_pattern)] = Field(default_factory=dict)
    components: Components


class Report(_FrozenModel):
    """The layouts and the published numbers of `retbench report`, by shipped name or as paths to files of your own."""

    layout: Annotated[tuple[str, ...], AsList, Field(min_length=1)] = ("long",)
    claims: str = Field("", description="published numbers to compare with; empty for none")


class Suite(_FrozenModel):
    """The content of a suite file, with a profile and the `--set` changes applied."""

    suite: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    description: str = ""
    matrix: Matrix
    components: Components = Field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    protocol: Protocol = Protocol()
    report: Report = Report()
    shard: int = Field(50, ge=1, description="queries in one resumable piece of an attack or a purification")
