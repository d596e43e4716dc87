"""The schema of the JSON members of a bundle, which are checked against it whoever wrote them."""

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
LONGEST = 200
"""Characters of a problem in a message."""
DEEPEST = 32
"""Levels of nesting in JSON."""
CUT = "…/"
"""In a text, in place of the folders of the machine that wrote it."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MemberRecord(_Record):
    """Size and sha256 of a member."""

    sha256: Digest
    size: Annotated[int, Field(ge=0)]


class ManifestRecord(_Record):
    """`bundle.json`: the format, title and run of the bundle, and every other member."""

    format: int
    retbench: str
    title: str
    run: str
    members: dict[str, MemberRecord]


def _with_layouts(suite: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a suite; raises ValueError unless they name the layouts of its report."""
    report = suite["report"] if isinstance(suite.get("report"), dict) else {}
    names = report.get("layout")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("report.layout must be a list of names")
    if not isinstance(report.get("claims") or "", str):
        raise ValueError("report.claims must be a name")
    return suite


class SuiteRecord(_Record):
    """`suite.json`: the suite as it was read.

    Attributes:
        suite: its fields; paths of the machine that it was read on are cut to their last name.
        digest: of the fields as they were.
        profile, description: the suite's.
    """

    suite: Annotated[dict[str, Any], AfterValidator(_with_layouts)]
    digest: Digest
    profile: str
    description: str


class LabelsRecord(_Record):
    """`labels/….json`: the names of the columns and rows of labels: classes, and ids of the query split."""

    dataset: str
    fingerprint: str
    classes: Annotated[list[str], Field(min_length=1)]
    queries: list[str]


class EnvironmentJson(_Record):
    """Where a step ran; `versions` is unset where none were recorded."""

    model_config = ConfigDict(extra="allow")

    device: str
    device_name: str
    threads: int
    torch: str
    python: str
    versions: dict[str, str] = Field(default_factory=dict)


class StepJson(_Record):
    """One of `steps.json`; the fields of `StepRecord`."""

    stage: str
    label: str
    precision: str
    seconds: Number
    peak_memory: int
    environment: EnvironmentJson
    summary: dict[str, int | Number]


class RowProtocol(Protocol):
    """The protocol of a row that is done: the suite's, and the fields that its cell and its score add."""

    task: Task
    bits: Annotated[int, Field(ge=1, le=4096)]
    chance: dict[str, Number | None]
    scored_queries: int
    ranked_queries: int
    target_labels: int

    @property
    def suite(self) -> Protocol:
        """The part that is the suite's."""
        return Protocol(**{name: getattr(self, name) for name in Protocol.model_fields})


class RowJson(_Record):
    """One of `rows.json`; the fields of `Row.record()`."""

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
    data: dict[str, int | list[int]]
    budget: dict[str, str | Number | None]
    caveats: list[str]
    details: dict[str, dict[str, Any]]
    cost: dict[str, Number]
    key: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    members: Annotated[list[Digest], Field(max_length=0)]
    steps: list[Digest]


def parse_record(where: str, text: bytes, kind: type[T]) -> T:
    """Return a JSON text as a record of a kind; `where` names the member in messages.

    Raises:
        BundleError: not JSON, an infinite number, a control character, or not such a record.
    """
    read_json(where, text)
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BundleError(f"{where}: {place}: {first['msg']}"[: LONGEST + len(where)].rstrip(": ")) from None


def read_json(where: str, text: bytes) -> Any:
    """Return the value of a JSON text; raises BundleError for content that no member may have."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        _check(value, DEEPEST)
    except (ValueError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BundleError(f"{where}: not JSON as a bundle holds it: {problem[:LONGEST]}") from None
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"got the number {name}")


def _check(value: Any, depth: int) -> None:
    """Raise ValueError for numbers out of range, and for control characters, which a terminal would obey."""
    if depth == 0:
        raise ValueError(f"nested too deeply: expected at most {DEEPEST} levels")
    if isinstance(value, dict | list):
        for inner in (*value, *value.values()) if isinstance(value, dict) else value:
            _check(inner, depth - 1)
    elif isinstance(value, str) and (found := _CONTROL.search(value)):
        raise ValueError(f"got the control character #x{ord(found[0]):02x}")
    elif isinstance(value, int | float) and not abs(value) < 2**63:
        raise ValueError("got a number beyond 64 bits")
