"""Verifying a bundle: every number that follows from codes and labels is computed again."""

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

from retbench.bundle import Finding, open_bundle, score_inputs
from retbench.bundle.archive import read_archive
from retbench.bundle.verify import ALWAYS_UNVERIFIABLE, list_unverifiable_fields
from retbench.canon import canonical, digest
from retbench.errors import BundleError
from retbench.testing.toys import ToyDataset
from tests.bundle.conftest import MATRIX, MakeBundle, Members, edit, edit_json, find_disagreements, verify


@pytest.fixture
def path(make_bundle: MakeBundle) -> Path:
    return make_bundle("toys.zip", {"attack": ["none", "toy"]})


def rewrite_artifact(members: Members, stage: str, change: Callable[[dict[str, torch.Tensor], Any], None]) -> None:
    """Change tensors and summary of the last artifact of a stage, and all its digests to match."""
    metas = [name for name in sorted(members) if name.endswith("/meta.json")]
    name = [meta for meta in metas if json.loads(members[meta])["recipe"]["stage"] == stage][-1]
    folder = name.removesuffix("/meta.json")
    tensors, summary = load(members[f"{folder}/tensors.safetensors"]), json.loads(members[f"{folder}/summary.json"])
    meta = json.loads(members[name])
    change(tensors, summary)
    files = {"tensors.safetensors": save(tensors), "summary.json": canonical(summary).encode()}
    meta = {**meta, "payload": {file: sha256(data).hexdigest() for file, data in files.items()}}
    del meta["self"]
    files["meta.json"] = canonical({**meta, "self": digest(meta)}).encode()
    members |= {f"{folder}/{file}": data for file, data in files.items()}


def test_an_exported_bundle_agrees(make_bundle: MakeBundle) -> None:
    verification = verify(make_bundle("toys.zip", MATRIX))
    assert verification.disagreed == ()
    assert verification.ok
    assert {finding.kind for finding in verification.agreed} == {
        "artifact",
        "targets",
        "recipe",
        "query",
        "summary",
        "row",
        "bundle",
    }
    rows = {finding.where for finding in verification.agreed if finding.kind == "row"}
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
def test_a_bundle_agrees_under_every_protocol(make_bundle: MakeBundle, protocol: dict[str, Any]) -> None:
    matrix = {"attack": ["none", "toy"], "task": ["i2i", "t2i"], "defense": ["none", "toy"]}
    assert verify(make_bundle("toys.zip", matrix, protocol=protocol)).disagreed == ()


def test_a_target_file_is_unverifiable_but_its_labels_are_compared_with_the_database(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    (tmp_path / "targets.txt").write_text("1 0 0\n" * 10)
    protocol = {"targets": {"rule": "from-file", "file": str(tmp_path / "targets.txt")}}
    path = make_bundle("toys.zip", {"attack": "none"}, protocol=protocol)
    verification = verify(path)
    assert verification.ok
    assert "the file of target labels" in {finding.field for finding in verification.unverifiable}

    def change(tensors: dict[str, torch.Tensor], summary: Any) -> None:
        tensors["rows"][:] = 1

    assert ("targets", "labels") in find_disagreements(
        edit(path, lambda members: rewrite_artifact(members, "targets", change))
    )


def test_an_edited_suite_is_found_by_its_digest(path: Path) -> None:
    changed = edit_json(path, "suite.json", lambda record: record["suite"].update(suite="else"))
    assert find_disagreements(changed) == {("bundle", "digest")}


def test_a_step_missing_from_steps_json_is_found(path: Path) -> None:
    def change(steps: Any) -> None:
        for key in [key for key, step in steps.items() if step["stage"] == "attack"]:
            del steps[key]

    assert find_disagreements(edit_json(path, "steps.json", change)) == {("recipe", "steps missing from steps.json")}


@pytest.mark.parametrize(("field", "value"), [("stage", "purify"), ("precision", "bf16")])
def test_an_edited_step_is_found_by_its_recipe(path: Path, field: str, value: str) -> None:
    def change(steps: Any) -> None:
        next(step for step in steps.values() if step["stage"] == "attack")[field] = value

    assert find_disagreements(edit_json(path, "steps.json", change)) == {("artifact", f"step.{field}")}


def test_an_edited_recipe_is_found_by_its_key(path: Path) -> None:
    def change(recipes: Any) -> None:
        next(recipe for recipe in recipes.values() if recipe["stage"] == "attack")["precision"] = "float16"

    assert ("artifact", "digests") in find_disagreements(edit_json(path, "recipes.json", change))


@pytest.mark.parametrize("name", ["bogus", "certified_radius", "purified_rmse"])
def test_values_that_no_step_computes_are_found(path: Path, name: str) -> None:
    row = open_bundle(path).done_rows[0]

    def change(members: Members) -> None:
        file = f"objects/{row.key}/tensors.safetensors"
        tensors = load(members[file])
        members[file] = save({**tensors, name: torch.ones_like(tensors["map"])})

    assert ("query", "values") in find_disagreements(edit(path, change))


@pytest.mark.parametrize("name", ["map", "t_map", "map_best", "t_map_worst", "map_recall", "t_map_depth", "cluster"])
def test_an_edited_value_of_a_query_is_found_though_digests_match(path: Path, name: str) -> None:
    def change(tensors: dict[str, torch.Tensor], summary: Any) -> None:
        tensors[name].view(-1)[0] += 1

    assert find_disagreements(edit(path, lambda members: rewrite_artifact(members, "score", change))) == {
        ("query", name)
    }


def test_an_edited_mean_of_a_score_is_found(path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor], summary: Any) -> None:
        summary["metrics"]["map"]["value"] = 1.0

    disagreements = find_disagreements(edit(path, lambda members: rewrite_artifact(members, "score", change)))
    assert disagreements == {("summary", "score.metrics.map.value")}


def test_edited_image_distances_are_found_by_their_mean(path: Path) -> None:
    row = open_bundle(path).done_rows[1]

    def change(members: Members) -> None:
        name = f"objects/{row.key}/tensors.safetensors"
        tensors = load(members[name])
        tensors["perceptibility"] *= 0.25
        members[name] = save(tensors)

    disagreements = find_disagreements(edit(path, change))
    assert {("row", "metrics.perceptibility.value"), ("artifact", "digests")} <= disagreements


def test_edited_codes_are_found_by_their_ranking(path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor], summary: Any) -> None:
        tensors["codes"] = ~tensors["codes"]

    disagreements = find_disagreements(edit(path, lambda members: rewrite_artifact(members, "encode", change)))
    assert {("query", "map"), ("query", "t_map"), ("row", "metrics.map.value")} <= disagreements


def test_set_bits_beyond_the_code_length_are_found(make_bundle: MakeBundle) -> None:
    path = make_bundle("toys.zip", {"bits": 12})

    def change(tensors: dict[str, torch.Tensor], summary: Any) -> None:
        tensors["codes"][0, -1] |= 1

    assert ("query", "codes") in find_disagreements(
        edit(path, lambda members: rewrite_artifact(members, "encode", change))
    )


def test_a_wrong_number_of_query_codes_is_found(path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor], summary: Any) -> None:
        tensors["codes"] = tensors["codes"][1:].clone()

    assert ("query", "codes") in find_disagreements(
        edit(path, lambda members: rewrite_artifact(members, "encode", change))
    )


@pytest.mark.parametrize("name", ["labels", "rows"])
def test_edited_targets_are_found_by_drawing_them_again(path: Path, name: str) -> None:
    def change(tensors: dict[str, torch.Tensor], summary: Any) -> None:
        tensors[name][:] = tensors[name].flip(0)

    assert ("targets", name) in find_disagreements(
        edit(path, lambda members: rewrite_artifact(members, "targets", change))
    )


def test_edited_labels_are_found(path: Path) -> None:
    def change(members: Members) -> None:
        name = next(name for name in members if name.startswith("labels/") and name.endswith(".safetensors"))
        tensors = load(members[name])
        tensors["database"] = 1 - tensors["database"]
        members[name] = save(tensors)

    assert ("query", "map") in find_disagreements(edit(path, change))


def test_missing_labels_are_found(path: Path) -> None:
    def change(members: Members) -> None:
        for name in [name for name in members if name.startswith("labels/")]:
            del members[name]

    assert {("recipe", "dataset"), ("targets", "dataset")} <= find_disagreements(edit(path, change))


@pytest.mark.parametrize("file", ["tensors.safetensors", "summary.json", "meta.json"])
def test_a_file_that_does_not_match_its_digest_is_found(path: Path, file: str) -> None:
    row = open_bundle(path).done_rows[0]
    name = f"objects/{row.key}/{file}"

    def change(members: Members) -> None:
        if file == "tensors.safetensors":
            members[name] = save(dict(sorted(load(members[name]).items())), {"note": "x"})
        else:
            value = json.loads(members[name])
            members[name] = canonical({**value, "note": 1}).encode()

    assert ("artifact", "digests") in find_disagreements(edit(path, change))


def test_a_recipe_under_a_wrong_key_is_found(path: Path) -> None:
    row = open_bundle(path).done_rows[0]
    files = {name: data for name, data in read_archive(path).items() if name.startswith(f"objects/{row.key}")}

    def change(members: Members) -> None:
        for name, data in files.items():
            del members[name]
            members[name.replace(row.key, "0" * 64)] = data
        members["rows.json"] = members["rows.json"].replace(row.key.encode(), b"0" * 64)

    disagreed = verify(edit(path, change)).disagreed
    assert [finding.got for finding in disagreed if finding.field == "digests"] == ["its recipe does not have this key"]


@pytest.mark.parametrize("role", ["codes", "database", "targets"])
def test_missing_inputs_of_a_score_are_found(path: Path, role: str) -> None:
    bundle = open_bundle(path)
    removed = bundle.artifacts[bundle.done_rows[0].key].recipe[role]

    def change(members: Members) -> None:
        for name in [name for name in members if removed in name]:
            del members[name]

    assert ("recipe", role) in find_disagreements(edit(path, change))


@pytest.mark.parametrize(("field", "value"), [("seconds", 0.5e9), ("label", "else"), ("precision", "bf16")])
def test_an_edited_step_is_found_by_its_artifact(path: Path, field: str, value: Any) -> None:
    def change(steps: Any) -> None:
        next(step for step in steps.values() if step["stage"] == "encode")[field] = value

    assert find_disagreements(edit_json(path, "steps.json", change)) == {("artifact", f"step.{field}")}


def test_a_ranking_that_rows_share_is_computed_once(make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rankings = make_bundle("toys.zip", {"attack": "none", "threat": ["oblivious", "adaptive"]}), []
    rank = score_inputs.rank_queries
    monkeypatch.setattr(score_inputs, "rank_queries", lambda *args, **kw: rankings.append(1) or rank(*args, **kw))
    assert verify(path).ok
    assert len(open_bundle(path).done_rows) == 2
    assert len(rankings) == 1


def test_a_finding_is_a_flat_record() -> None:
    assert Finding("row", "x", "y")._asdict() == {"kind": "row", "where": "x", "field": "y", "got": "", "expected": ""}


def test_fields_that_nothing_can_confirm_are_unverifiable(path: Path) -> None:
    unverifiable = verify(path).unverifiable
    assert {finding.field for finding in unverifiable if finding.kind == "query"} == {
        "perceptibility",
        "ssim",
        "gradient",
        "purified_rmse",
    }
    assert {finding.field for finding in unverifiable if finding.kind == "row"} == {
        "cost",
        "budget.norm",
        "data.train",
        "data.image_size",
        "options.dataset",
        "protocol.quantize of clean queries",
        "threat without a purifier",
    }
    members = {finding.field for finding in unverifiable if finding.kind == "bundle"}
    assert members >= {*ALWAYS_UNVERIFIABLE, "the texts of layouts"}
    assert not members & {"the texts of claims", "the gallery", "why rows have no results"}
    assert "step" in {finding.kind for finding in unverifiable}


@pytest.mark.parametrize(
    ("member", "field"),
    [
        ("gallery.json", "the gallery"),
        ("claims.json", "the texts of claims"),
        ("suite.json", "the digest of a suite with shortened paths"),
    ],
)
def test_members_that_belong_to_no_row_are_unverifiable(path: Path, member: str, field: str) -> None:
    def change(members: Members) -> None:
        if member == "suite.json":
            value = json.loads(members[member])
            value["suite"]["protocol"] = {"targets": {"file": "…/targets.txt"}}
            members[member] = canonical(value).encode()
        else:
            members[member] = b'{"x": "y"}'

    verification = verify(edit(path, change))
    assert verification.ok
    assert field in {finding.field for finding in verification.unverifiable}


def test_threat_and_quantization_are_unverifiable_without_an_attack_or_a_purifier(path: Path) -> None:
    clean, attacked = open_bundle(path).done_rows
    assert "threat without a purifier" in set(list_unverifiable_fields(attacked, ["attack"]))
    assert "threat without a purifier" not in set(list_unverifiable_fields(attacked, ["attack", "purify"]))
    assert "protocol.quantize of clean queries" in set(list_unverifiable_fields(clean, ["encode"]))
    assert "protocol.quantize of clean queries" not in set(list_unverifiable_fields(attacked, ["attack"]))


def test_variants_and_caveats_are_unverifiable(path: Path) -> None:
    row = open_bundle(path).done_rows[1]
    assert not {"variant", "caveats"} & {*list_unverifiable_fields(row, [])}
    assert {"variant", "caveats"} <= {*list_unverifiable_fields(replace(row, variant="eps=0.1", caveats=("mind",)), [])}


def test_a_budget_is_unverifiable_without_an_option_eps(path: Path) -> None:
    row = open_bundle(path).done_rows[1]
    assert "budget.eps" not in set(list_unverifiable_fields(row, []))
    assert "budget.eps" in set(list_unverifiable_fields(replace(row, options={"attack": {}}), []))


def test_a_bundle_of_a_local_dataset_agrees(make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyDataset, "code", "ab" * 32)
    assert verify(make_bundle("local.zip", {"attack": ["none", "toy"]})).ok


@pytest.fixture
def black_box(make_bundle: MakeBundle) -> Path:
    """A bundle with two black-box attacks."""
    return make_bundle(matrix={"attack": ["none", "toy-score", "toy-decision"], "bits": 4})


def test_a_bundle_of_black_box_attacks_agrees(black_box: Path) -> None:
    verification = verify(black_box)
    assert verification.disagreed == ()
    agreed = {finding.field for finding in verification.agreed}
    assert {"metrics.attack_queries.value", "budget.access", "queries used outside the budget"} <= agreed


def test_another_access_is_found_by_the_recipe_of_the_attack(black_box: Path) -> None:
    def change(rows: Any) -> None:
        (row,) = (row for row in rows if row["attack"] == "toy-decision")
        row["budget"]["access"] = "score"

    assert find_disagreements(edit_json(black_box, "rows.json", change)) == {("recipe", "budget.access")}


@pytest.mark.parametrize(
    ("access", "problem"),
    [
        ("gradient", "budget.access: got 'gradient', expected score or decision"),
        (None, "metrics: attack_queries occurs"),
    ],
)
def test_a_row_without_its_access_is_refused(black_box: Path, access: str | None, problem: str) -> None:
    def change(rows: Any) -> None:
        (row,) = (row for row in rows if row["attack"] == "toy-decision")
        del row["budget"]["access"]
        row["budget"] |= {"access": access} if access else {}

    with pytest.raises(BundleError, match=problem):
        open_bundle(edit_json(black_box, "rows.json", change))


def test_queries_beyond_the_budget_are_found(black_box: Path) -> None:
    (row,) = (row for row in open_bundle(black_box).done_rows if row.attack == "toy-score")

    def change(members: Members) -> None:
        name = f"objects/{row.key}/tensors.safetensors"
        tensors = load(members[name])
        tensors["attack_queries"][0] += 1
        members[name] = save(tensors)

    found = find_disagreements(edit(black_box, change))
    assert {("query", "queries used outside the budget"), ("row", "metrics.attack_queries.value")} <= found
