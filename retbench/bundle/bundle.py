"""Read a bundle: rows in one file with the codes and labels that their numbers can be computed from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor

from retbench.bundle.archive import MANIFEST, read_archive
from retbench.bundle.artifact import FILES, BundledArtifact, check_tensor, read_artifact, read_tensors
from retbench.bundle.dataset import Labels
from retbench.bundle.records import (
    Digest,
    LabelsRecord,
    ManifestRecord,
    RowJson,
    RowProtocol,
    StepJson,
    SuiteRecord,
    one_line,
    parse_record,
)
from retbench.canon import canonical
from retbench.contracts import Protocol
from retbench.contracts.threat import BlackBoxAccess
from retbench.errors import ArtifactMissing, BundleError
from retbench.results import Evidence, Row, StepRecord, read_row
from retbench.stages.scoring import CODE_FIELDS, QUERIES_USED
from retbench.store.store import TENSORS
from retbench.suite import AXES

T = TypeVar("T")
GALLERY = "gallery.json"
REQUIRED = frozenset({MANIFEST, "suite.json", "rows.json", "steps.json", "recipes.json", "layouts.json", "claims.json"})
"""Members of every bundle; further ones are labels, the files of artifacts and an optional gallery."""
_LABELS_NAME = re.compile(r"labels/[0-9a-f]{16}\.(json|safetensors)")
_ARTIFACT_NAME = re.compile(r"objects/([0-9a-f]{64})/([a-z.]+)")
_SIZES = ("query", "database", "image_size", "classes", *CODE_FIELDS)
_BUDGET = {"goal", "norm", "eps"}
_QUERY_VALUES = ("map", "t_map", "map_recall", "t_map_recall", "map_depth", "t_map_depth", "cluster", "depths")


@dataclass(frozen=True)
class Bundle:
    """Results of one file or several merged ones, with the artifacts and recipes behind them.

    Attributes:
        name: path of the file; paths of merged bundles are joined by ` + `.
        evidence: the rows and steps that a report is made from.
        suites: one suite for each file.
        layouts, claims: YAML texts by name, as they were when the bundle was written; not parsed here.
        galleries: the gallery of each file that has one, as JSON.
        labels: label vectors by the dataset's fingerprint.
        artifacts: scores, codes and targets by key.
        recipes: recipes of all other steps behind the scores, by key.
    """

    name: str
    evidence: Evidence
    suites: tuple[SuiteRecord, ...]
    layouts: Mapping[str, str]
    claims: Mapping[str, str]
    galleries: tuple[dict[str, Any], ...]
    labels: Mapping[str, Labels]
    artifacts: Mapping[str, BundledArtifact]
    recipes: Mapping[str, Mapping[str, Any]]

    @property
    def done_rows(self) -> tuple[Row, ...]:
        """The rows with results (status `done`)."""
        return tuple(row for row in self.evidence.rows if row.status == "done")

    def recipe(self, key: str) -> Mapping[str, Any]:
        """Return the recipe of a step; empty if the bundle has none for this key."""
        return self.artifacts[key].recipe if key in self.artifacts else self.recipes.get(key, {})


def name_cell(row: Row) -> str:
    """Return the axes of a row as one path, for example `digits/dpsh/32/i2i/dhta/none/retpur/oblivious/0`."""
    variant = f"[{row.variant}]" if row.variant else ""
    return "/".join(str(getattr(row, axis)) for axis in AXES) + variant


def read_protocol(row: Row) -> RowProtocol:
    """Return the protocol of a done row."""
    return RowProtocol.model_validate(dict(row.protocol))


def open_bundle(path: Path) -> Bundle:
    """Return the bundle in a file, every byte checked against the manifest and every member against its schema.

    The numbers themselves are checked by `verify_bundle`, not here.

    Raises:
        BundleError: see `read_archive`; or a member with the wrong content; or no done row.
    """
    members = read_archive(path)
    _check_members(path, members)
    reader = _Reader(path, members)
    manifest, suite = reader.read(MANIFEST, ManifestRecord), reader.read("suite.json", SuiteRecord)
    labels, artifacts = reader.labels(), reader.artifacts()
    rows = tuple(reader.row(record, artifacts) for record in reader.read("rows.json", list[RowJson]))
    _check_rows(path, rows)
    steps = {
        key: StepRecord(**step.model_dump(exclude_unset=True))
        for key, step in reader.read("steps.json", dict[str, StepJson]).items()
    }

    def scores(key: str) -> Mapping[str, Tensor]:
        if key not in artifacts:
            raise ArtifactMissing(f"{path}: no artifact {key[:12]}")
        return artifacts[key].tensors

    evidence = Evidence(manifest.title, suite.description, suite.digest, rows, steps, scores)
    layouts, claims = (reader.read(name, dict[str, str]) for name in ("layouts.json", "claims.json"))
    _check_report_files(path, suite, layouts, claims)
    recipes = reader.read("recipes.json", dict[Digest, dict[str, Any]])
    galleries = (reader.read(GALLERY, dict[str, Any]),) if GALLERY in members else ()
    return Bundle(str(path), evidence, (suite,), layouts, claims, galleries, labels, artifacts, recipes)


def _check_members(path: Path, members: Mapping[str, bytes]) -> None:
    """Raise BundleError for an unknown member: nobody reads it, so it could hold anything."""
    for name in members:
        if (
            name not in REQUIRED
            and name != GALLERY
            and not _LABELS_NAME.fullmatch(name)
            and not name.startswith("objects/")
        ):
            raise BundleError(f"{path}: {name}: unknown member: a bundle has none of this name")


def _check_report_files(path: Path, suite: SuiteRecord, layouts: Mapping[str, str], claims: Mapping[str, str]) -> None:
    """Raise BundleError if the suite names a layout or claims that the bundle does not hold."""
    report = suite.suite["report"]
    ledgers = [report["claims"]] if report.get("claims") else []
    for member, names, texts in (("layouts.json", report["layout"], layouts), ("claims.json", ledgers, claims)):
        if missing := [name for name in names if name not in texts]:
            raise BundleError(f"{path}: {member}: {str(missing[0])!r} is missing, but suite.json names it")


def _check_rows(path: Path, rows: tuple[Row, ...]) -> None:
    if not any(row.status == "done" for row in rows):
        raise BundleError(f"{path}: rows.json: no row has results: expected at least one with status done")
    name, count = Counter(name_cell(row) for row in rows).most_common(1)[0]
    if count > 1:
        raise BundleError(f"{path}: rows.json: two rows of one cell: got {one_line(name)} twice")


class _Reader:
    """Reads and checks the members of one file."""

    def __init__(self, path: Path, members: Mapping[str, bytes]) -> None:
        self.path, self.members = path, members

    def read(self, name: str, schema: type[T]) -> T:
        """Return the value of a JSON member, checked against a schema."""
        if name not in self.members:
            raise BundleError(f"{self.path}: {name}: missing")
        return parse_record(f"{self.path}: {name}", self.members[name], schema)

    def artifacts(self) -> dict[str, BundledArtifact]:
        """Return the artifacts by key."""
        files_by_key: dict[str, dict[str, bytes]] = {}
        for name, data in self.members.items():
            if name.startswith("objects/"):
                match = _ARTIFACT_NAME.fullmatch(name)
                if not match or match[2] not in FILES:
                    raise BundleError(f"{self.path}: {name}: not a file of an artifact: expected objects/KEY/FILE")
                files_by_key.setdefault(match[1], {})[match[2]] = data
        return {key: self._artifact(key, files) for key, files in files_by_key.items()}

    def _artifact(self, key: str, files: dict[str, bytes]) -> BundledArtifact:
        where = f"{self.path}: objects/{key}"
        for name in FILES:
            if name not in files:
                raise BundleError(f"{where}/{name}: missing")
        artifact = read_artifact(where, files)
        file, tensors = f"{where}/{TENSORS}", artifact.tensors
        if artifact.recipe.get("stage") == "encode":
            check_tensor(f"{file}: codes", tensors.get("codes"), torch.uint8, None, None)
        elif artifact.recipe.get("stage") == "targets":
            check_tensor(f"{file}: labels", tensors.get("labels"), torch.uint8, None, None)
            check_tensor(f"{file}: rows", tensors.get("rows"), torch.int64, len(tensors["labels"]))
        elif artifact.recipe.get("stage") == "score":
            _check_score(file, tensors)
        else:
            raise BundleError(
                f"{where}: unexpected stage: got {artifact.recipe.get('stage')!r}, expected encode, targets or score"
            )
        return artifact

    def labels(self) -> dict[str, Labels]:
        """Return the label vectors by the dataset's fingerprint."""
        names = [name for name in self.members if name.startswith("labels/") and name.endswith(".json")]
        datasets = [self._labels(name.removesuffix(".json")) for name in names]
        return {labels.record.fingerprint: labels for labels in datasets}

    def _labels(self, stem: str) -> Labels:
        record = self.read(f"{stem}.json", LabelsRecord)
        where, name = f"{self.path}: {stem}.safetensors", f"{stem}.safetensors"
        if name not in self.members:
            raise BundleError(f"{where}: missing")
        tensors = read_tensors(where, self.members[name])
        classes, queries = len(record.classes), len(record.queries)
        query = check_tensor(f"{where}: query", tensors.get("query"), torch.uint8, queries, classes)
        database = check_tensor(f"{where}: database", tensors.get("database"), torch.uint8, None, classes)
        if int(query.max() if query.numel() else 0) > 1 or int(database.max() if database.numel() else 0) > 1:
            raise BundleError(f"{where}: not multi-hot: expected zeros and ones")
        return Labels(record, query, database)

    def row(self, record: RowJson, artifacts: Mapping[str, BundledArtifact]) -> Row:
        """Return a row; a done one must have metrics, a protocol, sizes, a budget if attacked, and a score."""
        where = f"{self.path}: rows.json"
        try:
            row = read_row(record.model_dump())
        except (TypeError, KeyError) as error:
            raise BundleError(f"{where}: wrong confidence interval of a metric: {error}") from None
        _check_protocol(where, row)
        if row.status != "done":
            return row
        where = f"{where}: {one_line(name_cell(row))}"
        if row.key not in artifacts or artifacts[row.key].recipe["stage"] != "score":
            score = f"score {row.key[:12]}" if row.key else "key of the score"
            raise BundleError(f"{where}: the {score} is missing")
        _check_done(where, row)
        return row


def _check_score(where: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise BundleError unless these are the per-query values that `Evidence.scores` describes."""
    for name in _QUERY_VALUES:
        if name not in tensors:
            raise BundleError(f"{where}: {name}: missing")
    queries, depths = tensors["map"].numel(), tensors["depths"].numel()
    for name, tensor in tensors.items():
        if name in ("depths", "cluster"):
            check_tensor(f"{where}: {name}", tensor, torch.int64, depths if name == "depths" else queries)
        elif name.endswith(("_recall", "_depth")):
            columns = 21 if name.endswith("_recall") else depths
            check_tensor(f"{where}: {name}", tensor, torch.float32, queries, columns)
        else:
            check_tensor(f"{where}: {name!r}", tensor, torch.float64, queries)


def _check_protocol(where: str, row: Row) -> None:
    """Raise BundleError unless a row, done or not, has all fields of a suite's protocol."""
    suite = {name: value for name, value in row.protocol.items() if name in Protocol.model_fields}
    if missing := [name for name in Protocol.model_fields if name not in suite]:
        raise BundleError(f"{where}: {one_line(name_cell(row))}: protocol: {missing[0]} is missing")
    parse_record(f"{where}: {one_line(name_cell(row))}: protocol", canonical(suite).encode(), Protocol)


def _check_done(where: str, row: Row) -> None:
    if problem := _find_problem(row):
        raise BundleError(f"{where}: {problem}")
    parse_record(f"{where}: protocol", canonical(row.protocol).encode(), RowProtocol)


def _find_problem(row: Row) -> str:
    """Return the first field that a done row lacks; empty if it is complete."""
    if missing := [name for name in ("map", "t_map") if name not in row.metrics]:
        return f"metrics: {missing[0]} is missing"
    if missing := [name for name in _SIZES if name not in row.data]:
        return f"data: {missing[0]} is missing"
    required, optional = (_BUDGET, {"access"}) if row.attack != "none" else (set[str](), set[str]())
    if row.budget.keys() - optional != required:
        return f"budget: got the fields {sorted(row.budget)}, expected {sorted(required)} for attack {row.attack}"
    if row.budget.get("access", "score") not in get_args(BlackBoxAccess):
        expected = " or ".join(get_args(BlackBoxAccess))
        return f"budget.access: got {row.budget['access']!r}, expected {expected}, or no such field"
    if ("access" in row.budget) != (QUERIES_USED in row.metrics):
        return f"metrics: {QUERIES_USED} occurs with budget.access only, and always: expected both or neither"
    return ""
