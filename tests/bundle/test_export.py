"""From a store to a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retbench.bundle import export_bundle, open_bundle
from retbench.bundle.archive import read_archive
from retbench.contracts import Protocol
from retbench.errors import BundleError
from retbench.plan import Plan
from retbench.results import read_row
from retbench.store.store import TENSORS
from tests.bundle.conftest import SUITE, Make, Ran, evidence_of, run_suite

Planner = Callable[..., Plan]


@pytest.fixture
def ran(toy_plan: Planner, tmp_path: Path) -> Ran:
    return run_suite(toy_plan, tmp_path / "store", {"attack": ["none", "toy"], "defense": ["none", "toy"]})


def export(ran: Ran, path: Path, **changes: Any) -> dict[str, bytes]:
    suite, attachments = changes.pop("suite", SUITE), changes.pop("attachments", {})
    evidence = replace(ran.evidence, **changes)
    assert export_bundle(path, evidence, ran.plan, ran.store, suite, "", attachments) == path.stat().st_size
    return read_archive(path)


def test_artifacts_are_byte_for_byte_those_of_the_store(ran: Ran, tmp_path: Path) -> None:
    members = export(ran, tmp_path / "run.zip")
    objects = {name: data for name, data in members.items() if name.startswith("objects/")}
    stages = set()
    for name, data in objects.items():
        _, key, file = name.split("/")
        assert (ran.store.root / "objects" / key[:2] / key / file).read_bytes() == data
        stages.add(ran.store.meta(key)["recipe"]["stage"])  # type: ignore[index, call-overload]  a recipe is a mapping
    assert stages == {"score", "encode", "targets"}
    assert {f"objects/{row.key}/{TENSORS}" for row in ran.evidence.rows} <= objects.keys()


def test_rows_and_steps_are_those_of_the_evidence(ran: Ran, tmp_path: Path) -> None:
    members = export(ran, tmp_path / "run.zip")
    assert [read_row(record) for record in json.loads(members["rows.json"])] == list(ran.evidence.rows)
    assert open_bundle(tmp_path / "run.zip").evidence.steps == ran.evidence.steps


def test_equal_results_give_equal_bytes(ran: Ran, tmp_path: Path) -> None:
    export(ran, tmp_path / "one.zip")
    export(ran, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_no_path_of_this_machine_is_in_it(toy_plan: Planner, tmp_path: Path) -> None:
    targets = tmp_path / "targets of toy.txt"
    targets.write_text("1 0 0\n" * 10)
    protocol = {"targets": {"rule": "from-file", "file": str(targets)}}
    ran = run_suite(toy_plan, tmp_path / "a store", {"attack": ["none", "toy"]}, protocol=protocol)
    lost = replace(ran.evidence.rows[1], status="missing", reason=f"store {ran.store.root}: x; see {tmp_path}/y/z.log")
    lost = replace(lost, protocol={**lost.protocol, "targets": {"file": str(targets)}}, metrics={}, envelopes={})
    suite = {**SUITE, "protocol": protocol, "report": {"layout": ["/srv/layouts/own.yaml"]}}
    members = export(ran, tmp_path / "run.zip", suite=suite, rows=(ran.evidence.rows[0], lost))
    for path in (tmp_path, Path.home(), Path.cwd(), Path("/srv/layouts")):
        assert [name for name, data in members.items() if str(path).encode() in data] == []
    assert json.loads(members["rows.json"])[1]["reason"].endswith("…/z.log")


def test_attachments_go_along_as_they_are(ran: Ran, tmp_path: Path) -> None:
    given = {"layouts.json": b'{"a": "title: x\\n"}', "gallery.json": b"\x00 anything"}
    export(ran, tmp_path / "run.zip", attachments=given)
    bundle = open_bundle(tmp_path / "run.zip")
    assert bundle.layouts == {"a": "title: x\n"}
    assert bundle.claims == {}
    assert bundle.gallery == given["gallery.json"]


def test_an_attachment_of_another_name_is_a_mistake_of_the_callers(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown attachment: got 'rows\.json'"):
        export(ran, tmp_path / "run.zip", attachments={"rows.json": b""})


def test_rows_that_are_not_done_go_along(ran: Ran, tmp_path: Path) -> None:
    ran.store.discard(ran.evidence.rows[-1].key)
    evidence = evidence_of(ran.plan, ran.store, Protocol())
    export(Ran(ran.plan, ran.store, evidence), tmp_path / "run.zip")
    rows = open_bundle(tmp_path / "run.zip").evidence.rows
    assert [row.status for row in rows] == ["done", "done", "done", "missing"]


def test_nothing_done_is_nothing_to_export(toy_plan: Planner, ran: Ran, tmp_path: Path) -> None:
    rows = tuple(replace(row, status="missing") for row in ran.evidence.rows)
    with pytest.raises(BundleError, match="nothing to export: no row of toys is done"):
        export(ran, tmp_path / "run.zip", rows=rows)
    assert not (tmp_path / "run.zip").exists()


@pytest.mark.parametrize("file", ["tensors.safetensors", "facts.json", "meta.json"])
@pytest.mark.parametrize("damage", [None, b"{}"])
def test_a_damaged_artifact_says_to_run_again(ran: Ran, tmp_path: Path, file: str, damage: bytes | None) -> None:
    key = ran.plan.steps[ran.evidence.rows[0].key].codes  # type: ignore[attr-defined]  the step is a Score
    path = ran.store.root / "objects" / key[:2] / key / file
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(BundleError, match=r"toy/toy/8/i2i/none.*; run the suite again$"):
        export(ran, tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()


def test_a_file_that_cannot_be_written_is_one_line(ran: Ran, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written: "):
        export(ran, tmp_path / "file" / "run.zip")


def test_a_file_that_is_there_stays_whole_until_it_is_replaced(make: Make, ran: Ran, tmp_path: Path) -> None:
    path = make("toys.zip", {"attack": "none"})
    before = path.read_bytes()
    with pytest.raises(BundleError):
        export(ran, path, rows=())
    assert path.read_bytes() == before
    export(ran, path)
    assert len(open_bundle(path).evidence.rows) == 4
