"""A bundle of a toy suite, and ways to change one."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from retbench.bundle import Verification, export_bundle, open_bundle, verify_bundle
from retbench.bundle.archive import read_archive
from retbench.canon import Json, canonical, digest
from retbench.contracts import Protocol
from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.results import Evidence, collect, stored_scores, stored_steps
from retbench.store import Store

MATRIX = {"bits": [12, 8], "attack": ["none", "toy", "toy-untargeted"], "defense": ["none", "toy"]}
SUITE: dict[str, Json] = {"suite": "toys", "matrix": {"dataset": "toy"}, "report": {"layout": ["long"]}}
LAYOUTS = {"layouts.json": b'{"long": "title: toys"}'}


class Ran(NamedTuple):
    """A suite that was run."""

    plan: Plan
    store: Store
    evidence: Evidence


Members = dict[str, bytes]
Make = Callable[..., Path]


def evidence_of(plan: Plan, store: Store, protocol: Protocol) -> Evidence:
    rows = tuple(collect(plan, store, protocol))
    return Evidence("toys", "a toy suite", digest(SUITE), rows, stored_steps(plan, store), stored_scores(store))


def run_suite(planner: Callable[..., Plan], root: Path, matrix: Mapping[str, Any], **rest: Any) -> Ran:
    """Run a matrix in a store of its own."""
    store, plan = Store(root), planner(matrix, **rest)
    LocalExecutor(store, torch.device("cpu"), lambda event: None).run(plan)
    return Ran(plan, store, evidence_of(plan, store, Protocol(**rest.get("protocol", {}))))


@pytest.fixture
def make(toy_plan: Callable[..., Plan], tmp_path: Path) -> Make:
    """Run a matrix in a store named as the bundle and exports it; returns the bundle's path."""

    def export(name: str = "toys.zip", matrix: Mapping[str, Any] = MATRIX, **rest: Any) -> Path:
        ran = run_suite(toy_plan, tmp_path / name.removesuffix(".zip"), matrix, **rest)
        export_bundle(tmp_path / name, ran.evidence, ran.plan, ran.store, SUITE, "", LAYOUTS)
        return tmp_path / name

    return export


def zip_members(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write members to a zip file as they are."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    path.write_bytes(stream.getvalue())
    return path


def sealed(members: Mapping[str, bytes], **about: Any) -> Members:
    """Return the members with a manifest that fits them: what a forger who knows the format would write."""
    kept = {name: data for name, data in members.items() if name != "bundle.json"}
    known = {"format": 1, "retbench": "0.1.0", "title": "toys", "run": "toys", **about}
    listing = {name: {"sha256": sha256(data).hexdigest(), "size": len(data)} for name, data in kept.items()}
    return {**kept, "bundle.json": json.dumps({**known, "members": listing}).encode()}


def edit(path: Path, change: Callable[[Members], None]) -> Path:
    """Changes the members of a bundle, and its manifest to match."""
    members = read_archive(path)
    change(members)
    return zip_members(path, sealed(members))


def edit_json(path: Path, name: str, change: Callable[[Any], None]) -> Path:
    """Changes a JSON member of a bundle, and its manifest to match."""

    def changed(members: Members) -> None:
        value = json.loads(members[name])
        change(value)
        members[name] = canonical(value).encode()

    return edit(path, changed)


def verified(path: Path) -> Verification:
    return verify_bundle(open_bundle(path))


def disagreements(path: Path) -> set[tuple[str, str]]:
    """Return kind and field of what disagrees."""
    found = verified(path)
    assert not found.ok
    return {(finding.kind, finding.field.split("[")[0]) for finding in found.disagreed}
