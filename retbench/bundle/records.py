"""Schemas of the JSON members of a bundle; every member is checked against its schema when a bundle is read."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from retbench.contracts import Protocol
from retbench.contracts.facts import Task
from retbench.errors import BundleError
from retbench.results import Status

T = TypeVar("T")
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MAX_MESSAGE = 200
"""Characters of a problem in a message."""
MAX_DEPTH = 32
"""Levels of nesting in JSON."""
FOLDERS = "…/"
"""Stands in a text for the folders of the machine that wrote it."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MemberRecord(_Record):
    """The size and sha256 of a member."""

    sha256: Digest
    size: Annotated[int, Field(ge=0)]


class ManifestRecord(_Record):
    """`bundle.json`: format version, versions of retbench, title and run name, and the list of all other members."""

    format: int
    retbench: str
    title: str
    run: str
    members: dict[str, MemberRecord]


def _check_report(suite: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a suite unchanged; raises ValueError unless `report` names layouts and claims."""
    report = suite["report"] if isinstance(suite.get("report"), dict) else {}
    names = report.get("layout")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("report.layout must be a list of names")
    if not isinstance(report.get("claims") or "", str):
        raise ValueError("report.claims must be a name")
    return suite


class SuiteRecord(_Record):
    """`suite.json`: the suite as it was run.

    Attributes:
        suite: its fields; absolute paths are shortened to their last name.
        digest: digest of the fields before paths were shortened.
        profile, description: of the suite.
    """

    suite: Annotated[dict[str, Any], AfterValidator(_check_report)]
    digest: Digest
    profile: str
    description: str


class LabelsRecord(_Record):
    """`labels/….json`: dataset name and fingerprint, names of the classes (columns), ids of the query split (rows)."""

    dataset: str
    fingerprint: str
    classes: Annotated[list[str], Field(min_length=1)]
    queries: list[str]


class EnvironmentJson(_Record):
    """The machine that a step ran on; `versions` is empty if none were recorded."""

    model_config = ConfigDict(extra="allow")

    device: str
    device_name: str
    threads: int
    torch: str
    python: str
    versions: dict[str, str] = Field(default_factory=dict)


class StepJson(_Record):
    """One entry of `steps.json`: the fields of `StepRecord`."""

    stage: str
    label: str
    precision: str
    seconds: Number
    peak_memory: int
    environment: EnvironmentJson
    summary: dict[str, int | Number]


class RowProtocol(Protocol):
    """The protocol of a done row: the suite's protocol, and the fields added by the cell and its score."""

    task: Task
    bits: Annotated[int, Field(ge=1, le=4096)]
    chance: dict[str, Number | None]
    scored_queries: int
    ranked_queries: int
    target_labels: int

    @property
    def suite(self) -> Protocol:
        """The protocol of the suite."""
        return Protocol(**{name: getattr(self, name) for name in Protocol.model_fields})


class RowJson(_Record):
    """One entry of `rows.json`: the fields of `Row.record()`."""

    dataset: str
    hasher: str
    bits: Annotated[int, Field(ge=1, le=4096)]
    task: str
    attack: str
    surrogate: str
    defense: str
    threat: str
    seed: int
    variant: str
    status: Status
    reason: str
    metrics: dict[str, dict[str, Number | None]]
    tie_ranges: dict[str, dict[str, Number | None]]
    protocol: dict[str, Any]
    options: dict[str, Any]
    data: dict[str, int | Number | str | list[int]]
    budget: dict[str, str | Number | None]
    caveats: list[str]
    warnings: list[str]
    details: dict[str, dict[str, Any]]
    cost: dict[str, Number]
    key: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    members: Annotated[list[Digest], Field(max_length=0)]
    steps: list[Digest]


def parse_record(where: str, text: bytes, schema: type[T]) -> T:
    """Return the value of a JSON text, checked against a schema.

    Args:
        where: names the member in messages.
        text: JSON.
        schema: a pydantic model, or any type that pydantic validates.

    Raises:
        BundleError: not JSON, an infinite number, a control character, or a value that does not fit the schema.
    """
    read_json(where, text)
    try:
        return TypeAdapter(schema).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = one_line(".".join(map(str, first["loc"])))
        raise BundleError(f"{where}: {field}: {first['msg']}"[: MAX_MESSAGE + len(where)].rstrip(": ")) from None


def read_json(where: str, text: bytes) -> Any:
    """Return the value of a JSON text; raises BundleError for invalid JSON and for values that no member may hold."""
    try:
        value = json.loads(text, parse_constant=_reject_constant)
        _check_value(value, MAX_DEPTH)
    except (ValueError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BundleError(f"{where}: invalid JSON: {problem[:MAX_MESSAGE]}") from None
    return value


def one_line(text: str) -> str:
    """Return a text from a bundle on one line, as messages show it."""
    return " ".join(text.split())


def _reject_constant(name: str) -> None:
    raise ValueError(f"got the number {name}, expected finite numbers")


def _check_value(value: Any, depth: int) -> None:
    """Raise ValueError for deep nesting, numbers out of range, and control characters, which a terminal would obey."""
    if depth == 0:
        raise ValueError(f"nested too deeply: expected at most {MAX_DEPTH} levels")
    if isinstance(value, dict | list):
        for inner in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_value(inner, depth - 1)
    elif isinstance(value, str) and (found := _CONTROL.search(value)):
        raise ValueError(f"got the control character #x{ord(found[0]):02x}")
    elif isinstance(value, int | float) and not abs(value) < 2**63:
        raise ValueError("got a number beyond 64 bits")
