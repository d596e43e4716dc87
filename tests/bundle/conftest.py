"""A bundle of a toy suite, and functions that change one."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from retbench.bundle import Verification, export_bundle, open_bundle, verify_bundle
from retbench.bundle.archive import FORMAT, read_archive
from retbench.canon import Json, canonical, digest
from retbench.contracts import Protocol
from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.results import Evidence, collect, make_score_reader, read_step_records
from retbench.store import Store

MATRIX = {"bits": [12, 8], "attack": ["none", "toy", "toy-untargeted"], "defense": ["none", "toy"]}
SUITE: dict[str, Json] = {"suite": "toys", "matrix": {"dataset": "toy"}, "report": {"layout": ["long"]}}
LAYOUTS = {"layouts.json": b'{"long": "title: toys"}'}


class CompletedSuite(NamedTuple):
    """A suite that was run."""

    plan: Plan
    store: Store
    evidence: Evidence


Members = dict[str, bytes]
MakeBundle = Callable[..., Path]


def make_evidence(plan: Plan, store: Store, protocol: Protocol) -> Evidence:
    rows = tuple(collect(plan, store, protocol))
    return Evidence(
        "toys", "a toy suite", digest(SUITE), rows, read_step_records(plan, store), make_score_reader(store)
    )


def run_suite(planner: Callable[..., Plan], root: Path, matrix: Mapping[str, Any], **fields: Any) -> CompletedSuite:
    """Run a matrix in a new store; `fields` are further fields of the suite."""
    store, plan = Store(root), planner(matrix, **fields)
    LocalExecutor(store, torch.device("cpu"), lambda event: None).run(plan)
    return CompletedSuite(plan, store, make_evidence(plan, store, Protocol(**fields.get("protocol", {}))))


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the bundles that were made, each with the store that it was exported from."""
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture
def make_bundle(toy_plan: Callable[..., Plan], bundles: Path, tmp_path: Path) -> MakeBundle:
    """A function that runs a matrix in a store named like the bundle, exports it and returns the bundle's path.

    A matrix that ran before, with the same recipes, is copied.
    """

    def make(name: str = "toys.zip", matrix: Mapping[str, Any] = MATRIX, **fields: Any) -> Path:
        folder = bundles / digest([matrix, fields, sorted(toy_plan(matrix, **fields).steps)])
        if not (folder / "toys.zip").exists():
            completed = run_suite(toy_plan, folder / "store", matrix, **fields)
            export_bundle(folder / "toys.zip", completed.evidence, completed.plan, completed.store, SUITE, "", LAYOUTS)
        shutil.copytree(folder / "store", tmp_path / name.removesuffix(".zip"))
        return shutil.copyfile(folder / "toys.zip", tmp_path / name)

    return make


def zip_members(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write members to a zip file as they are."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    path.write_bytes(stream.getvalue())
    return path


def add_manifest(members: Mapping[str, bytes], **fields: Any) -> Members:
    """Return the members with a matching manifest, as somebody who knows the format could forge it."""
    others = {name: data for name, data in members.items() if name != "bundle.json"}
    manifest = {"format": FORMAT, "retbench": "0.1.0", "title": "toys", "run": "toys", **fields}
    listing = {name: {"sha256": sha256(data).hexdigest(), "size": len(data)} for name, data in others.items()}
    return {**others, "bundle.json": json.dumps({**manifest, "members": listing}).encode()}


def edit(path: Path, change: Callable[[Members], None]) -> Path:
    """Change the members of a bundle, and its manifest to match."""
    members = read_archive(path)
    change(members)
    return zip_members(path, add_manifest(members))


def edit_json(path: Path, name: str, change: Callable[[Any], None]) -> Path:
    """Change a JSON member of a bundle, and its manifest to match."""

    def change_member(members: Members) -> None:
        value = json.loads(members[name])
        change(value)
        members[name] = canonical(value).encode()

    return edit(path, change_member)


def verify(path: Path) -> Verification:
    return verify_bundle(open_bundle(path))


def find_disagreements(path: Path) -> set[tuple[str, str]]:
    """Return the kind and field of every finding that disagrees; there must be one."""
    verification = verify(path)
    assert not verification.ok
    return {(finding.kind, finding.field.split("[")[0]) for finding in verification.disagreed}
