"""From a store to a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retbench.bundle import export_bundle, open_bundle, verify_bundle
from retbench.bundle.archive import read_archive
from retbench.bundle.export import cut_paths
from retbench.canon import digest
from retbench.contracts import Protocol
from retbench.errors import BundleError
from retbench.plan import Plan
from retbench.results import read_row
from retbench.store.store import TENSORS
from tests.bundle.conftest import LAYOUTS, SUITE, Make, Ran, evidence_of, run_suite

Planner = Callable[..., Plan]


@pytest.fixture
def ran(toy_plan: Planner, tmp_path: Path) -> Ran:
    return run_suite(toy_plan, tmp_path / "store", {"attack": ["none", "toy"], "defense": ["none", "toy"]})


def export(ran: Ran, path: Path, **changes: Any) -> dict[str, bytes]:
    suite, attachments = changes.pop("suite", SUITE), changes.pop("attachments", LAYOUTS)
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
    lost = replace(lost, protocol={**lost.protocol, "targets": {"file": str(targets)}}, metrics={}, tie_ranges={})
    layouts, claims = ["/srv/layouts/own.yaml", "long", "/srv/more layouts/own.yaml"], "/srv/layouts/printed.yaml"
    suite = {**SUITE, "protocol": protocol, "report": {"layout": layouts, "claims": claims}}
    given = {name: f"title: {at}" for at, name in enumerate(layouts)}
    texts = {"layouts.json": json.dumps(given).encode(), "claims.json": json.dumps({claims: "name: x"}).encode()}
    members = export(ran, tmp_path / "run.zip", suite=suite, rows=(ran.evidence.rows[0], lost), attachments=texts)
    for path in (tmp_path, Path.home(), Path.cwd(), "/srv/"):
        assert [name for name, data in members.items() if str(path).encode() in data] == []
    assert json.loads(members["rows.json"])[1]["reason"].endswith("…/z.log")
    told, kept = json.loads(members["suite.json"])["suite"]["report"], json.loads(members["layouts.json"])
    assert told["claims"] == "…/printed.yaml"
    assert json.loads(members["claims.json"]) == {"…/printed.yaml": "name: x"}
    assert told["layout"][:2] == ["…/own.yaml", "long"]
    assert [kept[name] for name in told["layout"]] == ["title: 0", "title: 1", "title: 2"]


def test_layouts_of_one_name_in_two_folders_stay_two(ran: Ran, tmp_path: Path) -> None:
    layouts = ["/srv/a/own.yaml", "/srv/b/own.yaml"]
    texts = {"layouts.json": json.dumps(dict(zip(layouts, "ab", strict=True))).encode()}
    export(ran, tmp_path / "run.zip", suite={**SUITE, "report": {"layout": layouts}}, attachments=texts)
    bundle = open_bundle(tmp_path / "run.zip")
    assert bundle.layouts == {"…/own.yaml": "a", "…/own.yaml (2)": "b"}
    assert bundle.suites[0].suite["report"]["layout"] == ["…/own.yaml", "…/own.yaml (2)"]


def test_a_layout_without_its_text_is_a_mistake_of_the_callers(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"layouts\.json: 'long' is missing"):
        export(ran, tmp_path / "run.zip", attachments={})


def test_the_recipe_of_every_step_goes_along_once(ran: Ran, tmp_path: Path) -> None:
    members = export(ran, tmp_path / "run.zip")
    recipes = json.loads(members["recipes.json"])
    objects = {name.split("/")[1] for name in members if name.startswith("objects/")}
    assert recipes.keys() | objects == {key for row in ran.evidence.rows for key in row.steps}
    assert not recipes.keys() & objects
    assert {recipe["stage"] for recipe in recipes.values()} >= {"attack", "purify", "fit"}
    for key, recipe in recipes.items():
        assert digest(recipe) == key
        assert recipe == ran.store.meta(key)["recipe"]


def test_a_step_that_is_gone_is_named(ran: Ran, tmp_path: Path) -> None:
    gone = next(key for key, step in ran.evidence.steps.items() if step.stage == "attack")
    ran.store.discard(gone)
    evidence = evidence_of(ran.plan, ran.store, Protocol())
    with pytest.raises(BundleError, match=rf"attack {gone[:12]} \(.*\) is damaged or gone from the store"):
        export(Ran(ran.plan, ran.store, evidence), tmp_path / "run.zip")


def test_attachments_go_along_as_they_are(ran: Ran, tmp_path: Path) -> None:
    given = {"layouts.json": b'{"long": "title: x\\n"}', "gallery.json": b'{"anything": 1}'}
    export(ran, tmp_path / "run.zip", attachments=given)
    bundle = open_bundle(tmp_path / "run.zip")
    assert bundle.layouts == {"long": "title: x\n"}
    assert bundle.claims == {}
    assert bundle.galleries == ({"anything": 1},)


def test_an_attachment_of_another_name_is_a_mistake_of_the_callers(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown attachment: got 'rows\.json'"):
        export(ran, tmp_path / "run.zip", attachments={"rows.json": b""})


def test_rows_that_are_not_done_go_along(ran: Ran, tmp_path: Path) -> None:
    ran.store.discard(ran.evidence.rows[-1].key)
    evidence = evidence_of(ran.plan, ran.store, Protocol())
    export(Ran(ran.plan, ran.store, evidence), tmp_path / "run.zip")
    rows = open_bundle(tmp_path / "run.zip").evidence.rows
    assert [row.status for row in rows] == ["done", "done", "done", "missing"]
    found = verify_bundle(open_bundle(tmp_path / "run.zip"))
    assert found.disagreed == ()
    assert "why rows have no numbers" in {each.field for each in found.carried}


def test_nothing_done_is_nothing_to_export(toy_plan: Planner, ran: Ran, tmp_path: Path) -> None:
    rows = tuple(replace(row, status="missing") for row in ran.evidence.rows)
    with pytest.raises(BundleError, match="nothing to export: no row of toys is done"):
        export(ran, tmp_path / "run.zip", rows=rows)
    assert not (tmp_path / "run.zip").exists()


@pytest.mark.parametrize("file", ["tensors.safetensors", "summary.json", "meta.json"])
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


@pytest.mark.parametrize(
    ("text", "cut"),
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
def test_absolute_paths_are_cut_to_their_last_name(text: str, cut: str) -> None:
    assert cut_paths(text) == cut


def test_texts_are_cut_wherever_they_stand() -> None:
    value = {"/a/b": ["/c/d", {"x": "/e/f"}], "n": 1, "none": None, "yes": True}
    assert cut_paths(value) == {"…/b": ["…/d", {"x": "…/f"}], "n": 1, "none": None, "yes": True}


def test_known_folders_are_cut_though_their_names_have_spaces() -> None:
    assert cut_paths("in /srv/my data/run 1/a.txt", Path("/srv/my data/run 1")) == "in …/a.txt"
    assert cut_paths(f"{Path.home()}/x y") == "…/x y"


def test_a_root_of_everything_cuts_nothing() -> None:
    assert cut_paths("8/255", Path("/")) == "8/255"
