"""Exporting the results of a store to a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retbench.bundle import export_bundle, open_bundle, verify_bundle
from retbench.bundle.archive import read_archive
from retbench.bundle.export import shorten_paths
from retbench.canon import digest
from retbench.contracts import Protocol
from retbench.errors import BundleError
from retbench.plan import Plan
from retbench.results import read_row
from retbench.store.store import TENSORS
from tests.bundle.conftest import LAYOUTS, SUITE, CompletedSuite, MakeBundle, make_evidence, run_suite

Planner = Callable[..., Plan]


@pytest.fixture
def completed(toy_plan: Planner, tmp_path: Path) -> CompletedSuite:
    return run_suite(toy_plan, tmp_path / "store", {"attack": ["none", "toy"], "defense": ["none", "toy"]})


def export(completed: CompletedSuite, path: Path, **changes: Any) -> dict[str, bytes]:
    suite, attachments = changes.pop("suite", SUITE), changes.pop("attachments", LAYOUTS)
    evidence = replace(completed.evidence, **changes)
    assert export_bundle(path, evidence, completed.plan, completed.store, suite, "", attachments) == path.stat().st_size
    return read_archive(path)


def test_artifacts_are_byte_for_byte_those_of_the_store(completed: CompletedSuite, tmp_path: Path) -> None:
    members = export(completed, tmp_path / "run.zip")
    objects = {name: data for name, data in members.items() if name.startswith("objects/")}
    stages = set()
    for name, data in objects.items():
        _, key, file = name.split("/")
        assert (completed.store.root / "objects" / key[:2] / key / file).read_bytes() == data
        stages.add(completed.store.meta(key)["recipe"]["stage"])  # type: ignore[index, call-overload]  a recipe is a mapping
    assert stages == {"score", "encode", "targets"}
    assert {f"objects/{row.key}/{TENSORS}" for row in completed.evidence.rows} <= objects.keys()


def test_rows_and_steps_are_those_of_the_evidence(completed: CompletedSuite, tmp_path: Path) -> None:
    members = export(completed, tmp_path / "run.zip")
    assert [read_row(record) for record in json.loads(members["rows.json"])] == list(completed.evidence.rows)
    assert open_bundle(tmp_path / "run.zip").evidence.steps == completed.evidence.steps


def test_equal_results_give_equal_bytes(completed: CompletedSuite, tmp_path: Path) -> None:
    export(completed, tmp_path / "one.zip")
    export(completed, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_bundle_holds_no_path_of_this_machine(toy_plan: Planner, tmp_path: Path) -> None:
    targets = tmp_path / "targets of toy.txt"
    targets.write_text("1 0 0\n" * 10)
    protocol = {"targets": {"rule": "from-file", "file": str(targets)}}
    completed = run_suite(toy_plan, tmp_path / "a store", {"attack": ["none", "toy"]}, protocol=protocol)
    missing = replace(
        completed.evidence.rows[1], status="missing", reason=f"store {completed.store.root}: x; see {tmp_path}/y/z.log"
    )
    missing = replace(
        missing, protocol={**missing.protocol, "targets": {"file": str(targets)}}, metrics={}, tie_ranges={}
    )
    layouts, claims = ["/srv/layouts/own.yaml", "long", "/srv/more layouts/own.yaml"], "/srv/layouts/printed.yaml"
    suite = {**SUITE, "protocol": protocol, "report": {"layout": layouts, "claims": claims}}
    by_name = {name: f"title: {number}" for number, name in enumerate(layouts)}
    texts = {"layouts.json": json.dumps(by_name).encode(), "claims.json": json.dumps({claims: "name: x"}).encode()}
    members = export(
        completed, tmp_path / "run.zip", suite=suite, rows=(completed.evidence.rows[0], missing), attachments=texts
    )
    for path in (tmp_path, Path.home(), Path.cwd(), "/srv/"):
        assert [name for name, data in members.items() if str(path).encode() in data] == []
    assert json.loads(members["rows.json"])[1]["reason"].endswith("…/z.log")
    report = json.loads(members["suite.json"])["suite"]["report"]
    written = json.loads(members["layouts.json"])
    assert report["claims"] == "…/printed.yaml"
    assert json.loads(members["claims.json"]) == {"…/printed.yaml": "name: x"}
    assert report["layout"][:2] == ["…/own.yaml", "long"]
    assert [written[name] for name in report["layout"]] == ["title: 0", "title: 1", "title: 2"]


def test_two_layouts_with_one_file_name_get_different_names(completed: CompletedSuite, tmp_path: Path) -> None:
    layouts = ["/srv/a/own.yaml", "/srv/b/own.yaml"]
    texts = {"layouts.json": json.dumps(dict(zip(layouts, "ab", strict=True))).encode()}
    export(completed, tmp_path / "run.zip", suite={**SUITE, "report": {"layout": layouts}}, attachments=texts)
    bundle = open_bundle(tmp_path / "run.zip")
    assert bundle.layouts == {"…/own.yaml": "a", "…/own.yaml (2)": "b"}
    assert bundle.suites[0].suite["report"]["layout"] == ["…/own.yaml", "…/own.yaml (2)"]


def test_a_layout_missing_from_the_attachments_is_a_value_error(completed: CompletedSuite, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"layouts\.json: 'long' is missing"):
        export(completed, tmp_path / "run.zip", attachments={})


def test_the_recipe_of_every_step_is_exported_once(completed: CompletedSuite, tmp_path: Path) -> None:
    members = export(completed, tmp_path / "run.zip")
    recipes = json.loads(members["recipes.json"])
    objects = {name.split("/")[1] for name in members if name.startswith("objects/")}
    assert recipes.keys() | objects == {key for row in completed.evidence.rows for key in row.steps}
    assert not recipes.keys() & objects
    assert {recipe["stage"] for recipe in recipes.values()} >= {"attack", "purify", "fit"}
    for key, recipe in recipes.items():
        assert digest(recipe) == key
        assert recipe == completed.store.meta(key)["recipe"]


def test_a_step_missing_from_the_store_is_named(completed: CompletedSuite, tmp_path: Path) -> None:
    attack = next(key for key, step in completed.evidence.steps.items() if step.stage == "attack")
    completed.store.discard(attack)
    evidence = make_evidence(completed.plan, completed.store, Protocol())
    with pytest.raises(BundleError, match=rf"attack {attack[:12]} \(.*\) is damaged or missing in the store"):
        export(CompletedSuite(completed.plan, completed.store, evidence), tmp_path / "run.zip")


def test_attachments_are_exported_unchanged(completed: CompletedSuite, tmp_path: Path) -> None:
    attachments = {"layouts.json": b'{"long": "title: x\\n"}', "gallery.json": b'{"anything": 1}'}
    export(completed, tmp_path / "run.zip", attachments=attachments)
    bundle = open_bundle(tmp_path / "run.zip")
    assert bundle.layouts == {"long": "title: x\n"}
    assert bundle.claims == {}
    assert bundle.galleries == ({"anything": 1},)


def test_an_unknown_attachment_is_a_value_error(completed: CompletedSuite, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown attachment: got 'rows\.json'"):
        export(completed, tmp_path / "run.zip", attachments={"rows.json": b""})


def test_rows_without_results_are_exported(completed: CompletedSuite, tmp_path: Path) -> None:
    completed.store.discard(completed.evidence.rows[-1].key)
    evidence = make_evidence(completed.plan, completed.store, Protocol())
    export(CompletedSuite(completed.plan, completed.store, evidence), tmp_path / "run.zip")
    rows = open_bundle(tmp_path / "run.zip").evidence.rows
    assert [row.status for row in rows] == ["done", "done", "done", "missing"]
    verification = verify_bundle(open_bundle(tmp_path / "run.zip"))
    assert verification.disagreed == ()
    assert "why rows have no results" in {finding.field for finding in verification.unverifiable}


def test_a_suite_without_results_cannot_be_exported(
    toy_plan: Planner, completed: CompletedSuite, tmp_path: Path
) -> None:
    rows = tuple(replace(row, status="missing") for row in completed.evidence.rows)
    with pytest.raises(BundleError, match="nothing to export: no cell of toys has results"):
        export(completed, tmp_path / "run.zip", rows=rows)
    assert not (tmp_path / "run.zip").exists()


@pytest.mark.parametrize("file", ["tensors.safetensors", "summary.json", "meta.json"])
@pytest.mark.parametrize("damage", [None, b"{}"])
def test_a_damaged_artifact_is_refused_with_the_advice_to_run_again(
    completed: CompletedSuite, tmp_path: Path, file: str, damage: bytes | None
) -> None:
    key = completed.plan.steps[completed.evidence.rows[0].key].codes  # type: ignore[attr-defined]  the step is a Score
    path = completed.store.root / "objects" / key[:2] / key / file
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(BundleError, match=r"toy/toy/8/i2i/none.*; run the suite again$"):
        export(completed, tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()


def test_a_file_that_cannot_be_written_is_a_bundle_error(completed: CompletedSuite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written: "):
        export(completed, tmp_path / "file" / "run.zip")


def test_an_existing_file_is_kept_until_it_is_replaced(
    make_bundle: MakeBundle, completed: CompletedSuite, tmp_path: Path
) -> None:
    path = make_bundle("toys.zip", {"attack": "none"})
    before = path.read_bytes()
    with pytest.raises(BundleError):
        export(completed, path, rows=())
    assert path.read_bytes() == before
    export(completed, path)
    assert len(open_bundle(path).evidence.rows) == 4


@pytest.mark.parametrize(
    ("text", "shortened"),
    [
        ("/data/sets/flickr", "…/flickr"),
        ("no such file: got /data/sets/a.txt, expected it", "no such file: got …/a.txt, expected it"),
        ("(/a/b/c) and '/d/e'", "(…/c) and '…/e'"),
        ("store /mnt/x/.retbench: gone", "store …/.retbench: gone"),
        ("/one", "/one"),
        ("eps 8/255, 16/255", "eps 8/255, 16/255"),
        ("https://host.example/a/b/c", "https://host.example/a/b/c"),
        ("retbench/suites/a.yaml", "retbench/suites/a.yaml"),
        ("digits/dpsh/32/i2i", "digits/dpsh/32/i2i"),
    ],
)
def test_absolute_paths_are_shortened_to_their_last_name(text: str, shortened: str) -> None:
    assert shorten_paths(text) == shortened


def test_paths_are_shortened_in_keys_lists_and_nested_values() -> None:
    value = {"/a/b": ["/c/d", {"x": "/e/f"}], "n": 1, "none": None, "yes": True}
    assert shorten_paths(value) == {"…/b": ["…/d", {"x": "…/f"}], "n": 1, "none": None, "yes": True}


def test_known_folders_with_spaces_in_their_names_are_shortened() -> None:
    assert shorten_paths("in /srv/my data/run 1/a.txt", Path("/srv/my data/run 1")) == "in …/a.txt"
    assert shorten_paths(f"{Path.home()}/x y") == "…/x y"


def test_the_root_folder_shortens_nothing() -> None:
    assert shorten_paths("8/255", Path("/")) == "8/255"
