"""A bundle as it is opened, and what is refused of strangers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from retbench.bundle import open_bundle, verify_bundle
from retbench.bundle.archive import read_archive
from retbench.bundle.bundle import name_cell
from retbench.canon import digest
from retbench.errors import ArtifactMissing, BundleError
from tests.bundle.conftest import Make, Members, edit, edit_json, sealed, zip_members

SMALL = {"attack": ["none", "toy"]}


@pytest.fixture
def path(make: Make) -> Path:
    return make("toys.zip", SMALL)


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_bundle_has_the_rows_and_values_of_its_store(path: Path) -> None:
    from retbench.store import Store

    bundle = open_bundle(path)
    assert bundle.name == str(path)
    assert (bundle.evidence.title, bundle.evidence.description) == ("toys", "a toy suite")
    assert [row.status for row in bundle.done] == ["done", "done"]
    store = Store(path.with_suffix(""))
    for row in bundle.done:
        expected = store.get(row.key).tensors
        found = bundle.evidence.scores(row.key)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert row.metrics["map"].value == pytest.approx(float(found["map"].mean()))


def test_a_score_that_is_not_there_is_told_as_in_a_store(path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="no artifact 000000000000"):
        open_bundle(path).evidence.scores("0" * 64)


def test_a_cell_is_named_as_in_its_suite(path: Path) -> None:
    assert [name_cell(row) for row in open_bundle(path).done] == [
        f"toy/toy/8/i2i/{attack}/none/none/oblivious/0" for attack in ("none", "toy")
    ]


@pytest.mark.parametrize(
    "name", ["suite.json", "rows.json", "steps.json", "recipes.json", "layouts.json", "claims.json"]
)
def test_a_bundle_without_one_of_its_texts_is_refused(path: Path, name: str) -> None:
    assert refused(edit(path, lambda members: members.pop(name) and None)) == f"{name}: it is missing"


def remove(suffix: str) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        members.pop(next(name for name in sorted(members) if name.endswith(suffix) and "/" in name))

    return change


@pytest.mark.parametrize("suffix", ["/tensors.safetensors", "/summary.json", "/meta.json"])
def test_half_an_artifact_is_refused(path: Path, suffix: str) -> None:
    assert refused(edit(path, remove(suffix))).endswith(f"{suffix}: it is missing")


def test_labels_without_their_tensors_are_refused(path: Path) -> None:
    labels = next(name for name in read_archive(path) if name.startswith("labels/") and name.endswith(".safetensors"))
    assert refused(edit(path, lambda members: members.pop(labels) and None)) == f"{labels}: it is missing"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("bits", "8", "0.bits: Input should be a valid integer"),
        ("bits", True, "0.bits: Input should be a valid integer"),
        ("status", "excellent", "0.status: Input should be"),
        ("key", "../../x", "0.key: String should match pattern"),
        ("metrics", {"map": {"value": 0.5}}, "not the interval of a metric"),
        ("metrics", {"t_map": {"value": 0.5, "low": 0.5, "high": 0.5}}, "metrics: map is missing"),
        ("metrics", {"map": {"value": "x", "low": 0.5, "high": 0.5}}, "0.metrics.map.value"),
        ("metrics", [], "0.metrics"),
        ("tie_ranges", {"map": {"worst": 0.5}}, "not the interval"),
        ("protocol", {}, "protocol: queries is missing"),
        ("protocol", {"map": "best"}, "is missing"),
        ("budget", {"goal": "targeted"}, "budget: got ['goal']"),
        ("data", {}, "data: query is missing"),
        ("reason", "\x1b[2J", "control character #x1b"),
        ("dataset", None, "0.dataset"),
        ("surplus", 1, "0.surplus: Extra inputs are not permitted"),
        ("details", {"a": 10**30}, "beyond 64 bits"),
        ("key", "0" * 64, "its score 000000000000 is missing"),
    ],
)
def test_a_row_of_a_wrong_shape_is_refused(path: Path, field: str, value: Any, told: str) -> None:
    def change(rows: Any) -> None:
        rows[0][field] = value

    found = refused(edit_json(path, "rows.json", change))
    assert found.startswith("rows.json: ")
    assert told in found


@pytest.mark.parametrize(
    ("field", "value"), [("map", "best"), ("depth", 5), ("task", "x"), ("ties", 1), ("chance", 1), ("targets", {})]
)
def test_a_protocol_that_is_none_is_refused(path: Path, field: str, value: Any) -> None:
    def change(rows: Any) -> None:
        rows[0]["protocol"][field] = value
        if field == "targets":
            rows[0]["protocol"]["targets"]["rule"] = "mine"

    assert ": protocol: " in refused(edit_json(path, "rows.json", change))


@pytest.mark.parametrize("report", [None, {}, {"layout": "long"}, {"layout": [1]}])
def test_a_suite_that_names_no_layouts_is_refused(path: Path, report: Any) -> None:
    found = refused(edit_json(path, "suite.json", lambda told: told["suite"].update(report=report)))
    assert "report.layout must be a list of names" in found


def test_two_rows_of_one_cell_are_refused(path: Path) -> None:
    found = refused(edit_json(path, "rows.json", lambda rows: rows.append(rows[0])))
    assert found == "rows.json: two rows of one cell: got toy/toy/8/i2i/none/none/none/oblivious/0"


def test_a_bundle_without_a_number_is_refused(path: Path) -> None:
    def change(rows: Any) -> None:
        for row in rows:
            row["status"] = "missing"

    assert refused(edit_json(path, "rows.json", change)) == "rows.json: no row is done"


@pytest.mark.parametrize(
    ("stage", "name", "value", "told"),
    [
        ("score", "map", None, "map: it is missing"),
        ("score", "map", torch.zeros(10), "'map': wrong tensor: got torch.float32 (10,)"),
        ("score", "map_recall", torch.zeros(10, 20), "map_recall: wrong tensor"),
        ("score", "extra", torch.zeros(3, dtype=torch.float64), "'extra': wrong tensor"),
        ("encode", "codes", torch.zeros(3), "codes: wrong tensor: got torch.float32 (3,), expected torch.uint8"),
        ("encode", "codes", None, "codes: it is missing"),
        ("targets", "rows", torch.zeros(2, dtype=torch.int64), "rows: wrong tensor"),
    ],
)
def test_tensors_of_a_wrong_shape_are_refused(
    path: Path, stage: str, name: str, value: torch.Tensor | None, told: str
) -> None:
    def change(members: Members) -> None:
        metas = (each for each in sorted(members) if each.endswith("/meta.json"))
        meta = next(each for each in metas if json.loads(members[each])["recipe"]["stage"] == stage)
        at = meta.replace("meta.json", "tensors.safetensors")
        tensors = load(members[at])
        tensors.pop(name, None)
        members[at] = save({**tensors, **({name: value} if value is not None else {})})

    assert told in refused(edit(path, change))


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x08\0\0\0\0\0\0\0{}      ", bytes(100)])
def test_bytes_that_are_no_tensors_are_refused(path: Path, data: bytes) -> None:
    def change(members: Members) -> None:
        for name in members:
            if name.endswith(".safetensors"):
                members[name] = data

    assert "safetensors: " in refused(edit(path, change))


@pytest.mark.parametrize("value", [2, 255])
def test_labels_that_are_not_multi_hot_are_refused(path: Path, value: int) -> None:
    def change(members: Members) -> None:
        name = next(name for name in members if name.startswith("labels/") and name.endswith(".safetensors"))
        tensors = load(members[name])
        tensors["database"][0, 0] = value
        members[name] = save(tensors)

    assert "not multi-hot" in refused(edit(path, change))


@pytest.mark.parametrize("name", ["evil.sh", "rows.json.bak", "labels/x.json", "labels/0123456789abcdef.sh", "a/b"])
def test_a_member_that_no_bundle_has_is_refused(path: Path, name: str) -> None:
    found = refused(edit(path, lambda members: members.update({name: b"{}"})))
    assert found == f"{name}: no member of a bundle has this name"


@pytest.mark.parametrize(("member", "field"), [("layouts.json", "layout"), ("claims.json", "claims")])
def test_a_text_that_the_suite_names_must_be_there(path: Path, member: str, field: str) -> None:
    value = ["long", "mine.yaml"] if field == "layout" else "mine.yaml"
    found = refused(edit_json(path, "suite.json", lambda told: told["suite"]["report"].update({field: value})))
    assert found == f"{member}: 'mine.yaml' is missing: suite.json names it"


@pytest.mark.parametrize("data", [b"not json", b"[]", b'{"a": NaN}', b'{"a": "\\u001b"}'])
def test_a_gallery_that_is_no_json_is_refused(path: Path, data: bytes) -> None:
    assert refused(edit(path, lambda members: members.update({"gallery.json": data}))).startswith("gallery.json: ")


@pytest.mark.parametrize("recipes", [[], {"x": {}}, {"0" * 64: []}])
def test_recipes_of_a_wrong_shape_are_refused(path: Path, recipes: Any) -> None:
    def change(members: Members) -> None:
        members["recipes.json"] = json.dumps(recipes).encode()

    assert refused(edit(path, change)).startswith("recipes.json: ")


def test_a_recipe_is_found_beside_its_artifact_or_alone(path: Path) -> None:
    bundle = open_bundle(path)
    for row in bundle.done:
        assert all(digest(dict(bundle.recipe(key))) == key for key in row.steps)
    assert bundle.recipe("0" * 64) == {}


def test_an_object_of_another_name_is_refused(path: Path) -> None:
    assert "objects/x/y: not a file of an artifact" in refused(
        edit(path, lambda members: members.update({"objects/x/y": b""}))
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_json_in_any_place_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "run.zip"
    members = dict(FUZZED["members"])
    name = data.draw(
        st.sampled_from(sorted(name for name in members if name.endswith(".json") and name != "bundle.json"))
    )
    value = json.loads(members[name])
    parent, key, at = None, None, value
    while isinstance(at, dict | list) and at and (parent is None or data.draw(st.booleans())):
        parent, key = at, data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        at = parent[key]
    if parent is None:
        value = data.draw(JSON)
    else:
        parent[key] = data.draw(JSON)
    zip_members(path, sealed({**members, name: json.dumps(value).encode()}))
    problem = ""
    try:
        verify_bundle(open_bundle(path))
    except BundleError as error:
        problem = str(error)
    assert "\n" not in problem


FUZZED: dict[str, Members] = {}


@pytest.fixture(autouse=True)
def fuzzed(request: pytest.FixtureRequest) -> None:
    """Make one bundle for all examples of the test above: hypothesis cannot ask for a fresh one each time."""
    if request.node.originalname.startswith("test_any_json") and not FUZZED:
        FUZZED["members"] = read_archive(request.getfixturevalue("path"))
