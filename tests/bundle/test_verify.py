"""Every number that follows from codes and labels is computed again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from retbench.bundle import Finding, basis, open_bundle
from retbench.bundle.archive import read_archive
from retbench.bundle.verify import CARRIED_ALWAYS, carried_by_row
from retbench.canon import canonical, digest
from retbench.testing.toys import ToyDataset
from tests.bundle.conftest import MATRIX, Make, Members, disagreements, edit, edit_json, verified


@pytest.fixture
def path(make: Make) -> Path:
    return make("toys.zip", {"attack": ["none", "toy"]})


def restored(members: Members, stage: str, change: Callable[[dict[str, torch.Tensor], Any, Any], None]) -> None:
    """Changes tensors, facts and recipe of the last artifact of a stage, and every digest of it, key included."""
    metas = [name for name in sorted(members) if name.endswith("/meta.json")]
    name = [each for each in metas if json.loads(members[each])["recipe"]["stage"] == stage][-1]
    folder, key = name.removesuffix("/meta.json"), name.split("/")[1]
    tensors, facts = load(members[f"{folder}/tensors.safetensors"]), json.loads(members[f"{folder}/summary.json"])
    meta = json.loads(members[name])
    change(tensors, facts, meta["recipe"])
    files = {"tensors.safetensors": save(tensors), "summary.json": canonical(facts).encode()}
    meta = {**meta, "payload": {file: sha256(data).hexdigest() for file, data in files.items()}}
    del meta["self"]
    files["meta.json"] = canonical({**meta, "self": digest(meta)}).encode()
    for file in files:
        del members[f"{folder}/{file}"]
    changed = digest(meta["recipe"])
    members |= {f"objects/{changed}/{file}": data for file, data in files.items()}
    if changed != key:
        for text in ("rows.json", "steps.json"):
            members[text] = members[text].replace(key.encode(), changed.encode())


def test_what_was_exported_agrees_whole(make: Make) -> None:
    found = verified(make("toys.zip", MATRIX))
    assert found.disagreed == ()
    assert found.ok
    assert {finding.kind for finding in found.agreed} == {
        "artifact",
        "targets",
        "recipe",
        "query",
        "summary",
        "row",
        "bundle",
    }
    rows = {finding.where for finding in found.agreed if finding.kind == "row"}
    assert len(rows) == 12


@pytest.mark.parametrize(
    "protocol",
    [
        {"queries": 4},
        {"map": "top-k", "depth": 5, "ties": "expected"},
        {"map": "top-k-skip", "depth": 2, "ties": "worst"},
        {"map": "first-k-relevant", "depth": 3, "quantize": True},
        {"targets": {"rule": "uniform", "seed": 4}, "confidence": 0.9, "resamples": 100},
    ],
    ids=str,
)
def test_it_agrees_under_every_protocol(make: Make, protocol: dict[str, Any]) -> None:
    matrix = {"attack": ["none", "toy"], "task": ["i2i", "t2i"], "defense": ["none", "toy"]}
    assert verified(make("toys.zip", matrix, protocol=protocol)).disagreed == ()


def test_targets_from_a_file_are_carried_but_their_rows_are_checked(make: Make, tmp_path: Path) -> None:
    (tmp_path / "targets.txt").write_text("1 0 0\n" * 10)
    protocol = {"targets": {"rule": "from-file", "file": str(tmp_path / "targets.txt")}}
    path = make("toys.zip", {"attack": "none"}, protocol=protocol)
    found = verified(path)
    assert found.ok
    assert "the file of target labels" in {finding.field for finding in found.carried}

    def change(tensors: dict[str, torch.Tensor], facts: Any, recipe: Any) -> None:
        tensors["rows"][:] = 1

    assert ("targets", "labels") in disagreements(edit(path, lambda members: restored(members, "targets", change)))


def test_a_suite_that_does_not_have_its_digest_is_caught(path: Path) -> None:
    changed = edit_json(path, "suite.json", lambda told: told["suite"].update(suite="else"))
    assert disagreements(changed) == {("bundle", "digest")}


def test_steps_that_a_row_names_must_be_told_of(path: Path) -> None:
    def change(steps: Any) -> None:
        for key in [key for key, step in steps.items() if step["stage"] == "attack"]:
            del steps[key]

    assert disagreements(edit_json(path, "steps.json", change)) == {("recipe", "steps not told of")}


@pytest.mark.parametrize(("field", "value"), [("stage", "purify"), ("precision", "bf16")])
def test_an_edited_step_is_caught_by_its_recipe(path: Path, field: str, value: str) -> None:
    def change(steps: Any) -> None:
        next(step for step in steps.values() if step["stage"] == "attack")[field] = value

    assert disagreements(edit_json(path, "steps.json", change)) == {("artifact", f"step.{field}")}


def test_an_edited_recipe_is_caught_by_its_key(path: Path) -> None:
    def change(recipes: Any) -> None:
        next(recipe for recipe in recipes.values() if recipe["stage"] == "attack")["precision"] = "float16"

    assert ("artifact", "digests") in disagreements(edit_json(path, "recipes.json", change))


@pytest.mark.parametrize("name", ["bogus", "certified_radius", "purified_rmse"])
def test_values_that_no_step_gave_are_caught(path: Path, name: str) -> None:
    row = open_bundle(path).done[0]

    def change(members: Members) -> None:
        at = f"objects/{row.key}/tensors.safetensors"
        tensors = load(members[at])
        members[at] = save({**tensors, name: torch.ones_like(tensors["map"])})

    assert ("query", "values") in disagreements(edit(path, change))


@pytest.mark.parametrize("name", ["map", "t_map", "map_best", "t_map_worst", "map_recall", "t_map_depth", "cluster"])
def test_an_edited_value_of_a_query_is_caught_whatever_digests_say(path: Path, name: str) -> None:
    def change(tensors: dict[str, torch.Tensor], facts: Any, recipe: Any) -> None:
        tensors[name].view(-1)[0] += 1

    assert disagreements(edit(path, lambda members: restored(members, "score", change))) == {("query", name)}


def test_an_edited_mean_of_a_score_is_caught(path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor], facts: Any, recipe: Any) -> None:
        facts["metrics"]["map"]["value"] = 1.0

    found = disagreements(edit(path, lambda members: restored(members, "score", change)))
    assert found == {("summary", "score.metrics.map.value")}


def test_edited_distances_of_images_move_a_mean_that_is_computed_again(path: Path) -> None:
    row = open_bundle(path).done[1]

    def change(members: Members) -> None:
        name = f"objects/{row.key}/tensors.safetensors"
        tensors = load(members[name])
        tensors["perceptibility"] *= 0.25
        members[name] = save(tensors)

    found = disagreements(edit(path, change))
    assert {("row", "metrics.perceptibility.value"), ("artifact", "digests")} <= found


def test_edited_codes_are_caught_by_the_ranking_that_they_give(path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor], facts: Any, recipe: Any) -> None:
        tensors["codes"] = ~tensors["codes"]

    found = disagreements(edit(path, lambda members: restored(members, "encode", change)))
    assert {("query", "map"), ("query", "t_map"), ("row", "metrics.map.value")} <= found


def test_codes_beyond_their_length_are_caught(make: Make) -> None:
    path = make("toys.zip", {"bits": 12})

    def change(tensors: dict[str, torch.Tensor], facts: Any, recipe: Any) -> None:
        tensors["codes"][0, -1] |= 1

    assert ("query", "codes") in disagreements(edit(path, lambda members: restored(members, "encode", change)))


def test_codes_of_another_number_of_queries_are_caught(path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor], facts: Any, recipe: Any) -> None:
        tensors["codes"] = tensors["codes"][1:].clone()

    assert ("query", "codes") in disagreements(edit(path, lambda members: restored(members, "encode", change)))


@pytest.mark.parametrize("name", ["labels", "rows"])
def test_edited_targets_are_caught_by_drawing_them_again(path: Path, name: str) -> None:
    def change(tensors: dict[str, torch.Tensor], facts: Any, recipe: Any) -> None:
        tensors[name][:] = tensors[name].flip(0)

    assert ("targets", name) in disagreements(edit(path, lambda members: restored(members, "targets", change)))


def test_edited_labels_are_caught(path: Path) -> None:
    def change(members: Members) -> None:
        name = next(name for name in members if name.startswith("labels/") and name.endswith(".safetensors"))
        tensors = load(members[name])
        tensors["database"] = 1 - tensors["database"]
        members[name] = save(tensors)

    assert ("query", "map") in disagreements(edit(path, change))


def test_labels_that_are_gone_are_caught(path: Path) -> None:
    def change(members: Members) -> None:
        for name in [name for name in members if name.startswith("labels/")]:
            del members[name]

    assert {("recipe", "dataset"), ("targets", "dataset")} <= disagreements(edit(path, change))


@pytest.mark.parametrize("file", ["tensors.safetensors", "summary.json", "meta.json"])
def test_bytes_that_do_not_have_their_digest_are_caught(path: Path, file: str) -> None:
    row = open_bundle(path).done[0]
    name = f"objects/{row.key}/{file}"

    def change(members: Members) -> None:
        if file == "tensors.safetensors":
            members[name] = save(dict(sorted(load(members[name]).items())), {"note": "x"})
        else:
            value = json.loads(members[name])
            members[name] = canonical({**value, "note": 1}).encode()

    assert ("artifact", "digests") in disagreements(edit(path, change))


def test_a_recipe_under_another_key_is_caught(path: Path) -> None:
    row = open_bundle(path).done[0]
    files = {name: data for name, data in read_archive(path).items() if name.startswith(f"objects/{row.key}")}

    def change(members: Members) -> None:
        for name, data in files.items():
            del members[name]
            members[name.replace(row.key, "0" * 64)] = data
        members["rows.json"] = members["rows.json"].replace(row.key.encode(), b"0" * 64)

    found = verified(edit(path, change))
    assert [each.got for each in found.disagreed if each.field == "digests"] == ["its recipe does not have this key"]


@pytest.mark.parametrize("role", ["codes", "database", "targets"])
def test_a_score_whose_inputs_are_not_there_is_caught(path: Path, role: str) -> None:
    bundle = open_bundle(path)
    gone = bundle.artifacts[bundle.done[0].key].recipe[role]

    def change(members: Members) -> None:
        for name in [name for name in members if gone in name]:
            del members[name]

    assert ("recipe", role) in disagreements(edit(path, change))


@pytest.mark.parametrize(("field", "value"), [("seconds", 0.5e9), ("label", "else"), ("precision", "bf16")])
def test_an_edited_step_is_caught_where_its_artifact_is_there(path: Path, field: str, value: Any) -> None:
    def change(steps: Any) -> None:
        next(step for step in steps.values() if step["stage"] == "encode")[field] = value

    assert disagreements(edit_json(path, "steps.json", change)) == {("artifact", f"step.{field}")}


def test_a_ranking_that_rows_share_is_computed_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rankings = make("toys.zip", {"attack": "none", "threat": ["oblivious", "adaptive"]}), []
    rank = basis.rank_queries
    monkeypatch.setattr(basis, "rank_queries", lambda *given, **how: rankings.append(1) or rank(*given, **how))
    assert verified(path).ok
    assert len(open_bundle(path).done) == 2
    assert len(rankings) == 1


def test_a_finding_is_flat() -> None:
    assert Finding("row", "x", "y")._asdict() == {"kind": "row", "where": "x", "field": "y", "got": "", "expected": ""}


def test_what_nothing_can_confirm_is_told_as_carried(path: Path) -> None:
    found = verified(path)
    assert {each.field for each in found.carried if each.kind == "query"} == {"perceptibility", "ssim", "purified_rmse"}
    assert {each.field for each in found.carried if each.kind == "row"} == {
        "cost",
        "budget.norm",
        "data.train",
        "data.image_size",
        "options.dataset",
        "protocol.quantize of clean queries",
        "threat without a purifier",
    }
    told = {each.field for each in found.carried if each.kind == "bundle"}
    assert told >= {*CARRIED_ALWAYS, "the texts of layouts"}
    assert not told & {"the texts of claims", "the gallery", "why rows have no numbers"}
    assert "step" in {each.kind for each in found.carried}


@pytest.mark.parametrize(
    ("member", "told"),
    [("gallery.json", "the gallery"), ("claims.json", "the texts of claims"), ("suite.json", "whose paths were cut")],
)
def test_what_belongs_to_no_row_is_told_as_carried(path: Path, member: str, told: str) -> None:
    def change(members: Members) -> None:
        if member == "suite.json":
            value = json.loads(members[member])
            value["suite"]["protocol"] = {"targets": {"file": "…/targets.txt"}}
            members[member] = canonical(value).encode()
        else:
            members[member] = b'{"x": "y"}'

    found = verified(edit(path, change))
    assert found.ok
    assert any(told in each.field for each in found.carried)


def test_a_row_tells_of_threat_and_rounding_only_where_no_step_does(path: Path) -> None:
    clean, attacked = open_bundle(path).done
    assert "threat without a purifier" in set(carried_by_row(attacked, ["attack"]))
    assert "threat without a purifier" not in set(carried_by_row(attacked, ["attack", "purify"]))
    assert "protocol.quantize of clean queries" in set(carried_by_row(clean, ["encode"]))
    assert "protocol.quantize of clean queries" not in set(carried_by_row(attacked, ["attack"]))


def test_variants_and_caveats_are_told_where_there_are_any(path: Path) -> None:
    row = open_bundle(path).done[1]
    assert not {"variant", "caveats"} & {*carried_by_row(row, [])}
    assert {"variant", "caveats"} <= {*carried_by_row(replace(row, variant="eps=0.1", caveats=("mind",)), [])}


def test_a_budget_that_no_option_tells_is_told(path: Path) -> None:
    row = open_bundle(path).done[1]
    assert "budget.eps" not in set(carried_by_row(row, []))
    assert "budget.eps" in set(carried_by_row(replace(row, options={"attack": {}}), []))


def test_a_dataset_that_no_plugin_offers_is_verified_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyDataset, "code", "ab" * 32)
    assert verified(make("local.zip", {"attack": ["none", "toy"]})).ok
