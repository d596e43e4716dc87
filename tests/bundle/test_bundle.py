"""Opening a bundle: its contents, and the files that are open_error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from retbench.bundle import open_bundle, verify_bundle
from retbench.bundle.archive import read_archive
from retbench.bundle.bundle import name_cell
from retbench.canon import digest
from retbench.errors import ArtifactMissing, BundleError
from tests.bundle.conftest import MakeBundle, Members, add_manifest, edit, edit_json, zip_members

MATRIX = {"attack": ["none", "toy"]}


@pytest.fixture
def path(make_bundle: MakeBundle) -> Path:
    return make_bundle("toys.zip", MATRIX)


def open_error(path: Path) -> str:
    """Return the message, without the path, that opening a bundle fails with."""
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_bundle_has_the_rows_and_values_of_its_store(path: Path) -> None:
    from retbench.store import Store

    bundle = open_bundle(path)
    assert bundle.name == str(path)
    assert (bundle.evidence.title, bundle.evidence.description) == ("toys", "a toy suite")
    assert [row.status for row in bundle.done_rows] == ["done", "done"]
    store = Store(path.with_suffix(""))
    for row in bundle.done_rows:
        expected = store.get(row.key).tensors
        scores = bundle.evidence.scores(row.key)
        assert scores.keys() == expected.keys()
        assert all(torch.equal(scores[name], expected[name]) for name in expected)
        assert row.metrics["map"].value == pytest.approx(float(scores["map"].mean()))


def test_a_missing_score_raises_the_same_error_as_in_a_store(path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="no artifact 000000000000"):
        open_bundle(path).evidence.scores("0" * 64)


def test_a_cell_has_the_same_name_as_in_its_suite(path: Path) -> None:
    assert [name_cell(row) for row in open_bundle(path).done_rows] == [
        f"toy/toy/8/i2i/{attack}/none/none/oblivious/0" for attack in ("none", "toy")
    ]


@pytest.mark.parametrize(
    "name", ["suite.json", "rows.json", "steps.json", "recipes.json", "layouts.json", "claims.json"]
)
def test_a_bundle_without_a_required_member_is_refused(path: Path, name: str) -> None:
    assert open_error(edit(path, lambda members: members.pop(name) and None)) == f"{name}: missing"


def remove(suffix: str) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        members.pop(next(name for name in sorted(members) if name.endswith(suffix) and "/" in name))

    return change


@pytest.mark.parametrize("suffix", ["/tensors.safetensors", "/summary.json", "/meta.json"])
def test_an_artifact_without_one_of_its_files_is_refused(path: Path, suffix: str) -> None:
    assert open_error(edit(path, remove(suffix))).endswith(f"{suffix}: missing")


def test_labels_without_their_tensors_are_refused(path: Path) -> None:
    labels = next(name for name in read_archive(path) if name.startswith("labels/") and name.endswith(".safetensors"))
    assert open_error(edit(path, lambda members: members.pop(labels) and None)) == f"{labels}: missing"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("bits", "8", "0.bits: Input should be a valid integer"),
        ("bits", True, "0.bits: Input should be a valid integer"),
        ("status", "excellent", "0.status: Input should be"),
        ("key", "../../x", "0.key: String should match pattern"),
        ("metrics", {"map": {"value": 0.5}}, "wrong confidence interval of a metric"),
        ("metrics", {"t_map": {"value": 0.5, "low": 0.5, "high": 0.5}}, "metrics: map is missing"),
        ("metrics", {"map": {"value": "x", "low": 0.5, "high": 0.5}}, "0.metrics.map.value"),
        ("metrics", [], "0.metrics"),
        ("tie_ranges", {"map": {"worst": 0.5}}, "wrong confidence interval"),
        ("protocol", {}, "protocol: queries is missing"),
        ("protocol", {"map": "best"}, "is missing"),
        ("budget", {"goal": "targeted"}, "budget: got the fields ['goal'], expected [] for attack none"),
        ("data", {}, "data: query is missing"),
        ("reason", "\x1b[2J", "control character #x1b"),
        ("dataset", None, "0.dataset"),
        ("surplus", 1, "0.surplus: Extra inputs are not permitted"),
        ("details", {"a": 10**30}, "beyond 64 bits"),
        ("key", "0" * 64, "the score 000000000000 is missing"),
    ],
)
def test_a_row_of_a_wrong_shape_is_refused(path: Path, field: str, value: Any, message: str) -> None:
    def change(rows: Any) -> None:
        rows[0][field] = value

    error = open_error(edit_json(path, "rows.json", change))
    assert error.startswith("rows.json: ")
    assert message in error


@pytest.mark.parametrize(
    ("field", "value"), [("map", "best"), ("depth", 5), ("task", "x"), ("ties", 1), ("chance", 1), ("targets", {})]
)
def test_an_invalid_protocol_is_refused(path: Path, field: str, value: Any) -> None:
    def change(rows: Any) -> None:
        rows[0]["protocol"][field] = value
        if field == "targets":
            rows[0]["protocol"]["targets"]["rule"] = "mine"

    assert ": protocol: " in open_error(edit_json(path, "rows.json", change))


@pytest.mark.parametrize("report", [None, {}, {"layout": "long"}, {"layout": [1]}])
def test_a_suite_that_names_no_layouts_is_refused(path: Path, report: Any) -> None:
    error = open_error(edit_json(path, "suite.json", lambda record: record["suite"].update(report=report)))
    assert "report.layout must be a list of names" in error


def test_a_name_with_a_line_break_is_refused_in_one_line(path: Path) -> None:
    error = open_error(edit_json(path, "claims.json", lambda claims: claims.update({"a\nb": None})))
    assert error == "claims.json: a b: Input should be a valid string"


def test_two_rows_of_one_cell_are_refused(path: Path) -> None:
    error = open_error(edit_json(path, "rows.json", lambda rows: rows.append(rows[0])))
    assert error == "rows.json: two rows of one cell: got toy/toy/8/i2i/none/none/none/oblivious/0 twice"


def test_a_bundle_without_results_is_refused(path: Path) -> None:
    def change(rows: Any) -> None:
        for row in rows:
            row["status"] = "missing"

    error = open_error(edit_json(path, "rows.json", change))
    assert error == "rows.json: no row has results: expected at least one with status done"


@pytest.mark.parametrize(
    ("stage", "name", "value", "message"),
    [
        ("score", "map", None, "map: missing"),
        ("score", "map", torch.zeros(10), "'map': wrong tensor: got torch.float32 (10,)"),
        ("score", "map_recall", torch.zeros(10, 20), "map_recall: wrong tensor"),
        ("score", "extra", torch.zeros(3, dtype=torch.float64), "'extra': wrong tensor"),
        ("encode", "codes", torch.zeros(3), "codes: wrong tensor: got torch.float32 (3,), expected torch.uint8"),
        ("encode", "codes", None, "codes: missing"),
        ("targets", "rows", torch.zeros(2, dtype=torch.int64), "rows: wrong tensor"),
    ],
)
def test_tensors_of_a_wrong_shape_are_refused(
    path: Path, stage: str, name: str, value: torch.Tensor | None, message: str
) -> None:
    def change(members: Members) -> None:
        metas = (member for member in sorted(members) if member.endswith("/meta.json"))
        meta = next(member for member in metas if json.loads(members[member])["recipe"]["stage"] == stage)
        file = meta.replace("meta.json", "tensors.safetensors")
        tensors = load(members[file])
        tensors.pop(name, None)
        members[file] = save({**tensors, **({name: value} if value is not None else {})})

    assert message in open_error(edit(path, change))


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x08\0\0\0\0\0\0\0{}      ", bytes(100)])
def test_bytes_that_are_no_tensors_are_refused(path: Path, data: bytes) -> None:
    def change(members: Members) -> None:
        for name in members:
            if name.endswith(".safetensors"):
                members[name] = data

    assert "safetensors: " in open_error(edit(path, change))


@pytest.mark.parametrize("value", [2, 255])
def test_labels_that_are_not_multi_hot_are_refused(path: Path, value: int) -> None:
    def change(members: Members) -> None:
        name = next(name for name in members if name.startswith("labels/") and name.endswith(".safetensors"))
        tensors = load(members[name])
        tensors["database"][0, 0] = value
        members[name] = save(tensors)

    assert "not multi-hot" in open_error(edit(path, change))


@pytest.mark.parametrize("name", ["evil.sh", "rows.json.bak", "labels/x.json", "labels/0123456789abcdef.sh", "a/b"])
def test_an_unknown_member_is_refused(path: Path, name: str) -> None:
    error = open_error(edit(path, lambda members: members.update({name: b"{}"})))
    assert error == f"{name}: unknown member: a bundle has none of this name"


@pytest.mark.parametrize(("member", "field"), [("layouts.json", "layout"), ("claims.json", "claims")])
def test_a_missing_layout_or_ledger_of_the_suite_is_refused(path: Path, member: str, field: str) -> None:
    value = ["long", "mine.yaml"] if field == "layout" else "mine.yaml"
    error = open_error(edit_json(path, "suite.json", lambda record: record["suite"]["report"].update({field: value})))
    assert error == f"{member}: 'mine.yaml' is missing, but suite.json names it"


@pytest.mark.parametrize("data", [b"not json", b"[]", b'{"a": NaN}', b'{"a": "\\u001b"}'])
def test_a_gallery_that_is_not_valid_json_is_refused(path: Path, data: bytes) -> None:
    assert open_error(edit(path, lambda members: members.update({"gallery.json": data}))).startswith("gallery.json: ")


@pytest.mark.parametrize("recipes", [[], {"x": {}}, {"0" * 64: []}])
def test_recipes_of_a_wrong_shape_are_refused(path: Path, recipes: Any) -> None:
    def change(members: Members) -> None:
        members["recipes.json"] = json.dumps(recipes).encode()

    assert open_error(edit(path, change)).startswith("recipes.json: ")


def test_recipes_are_found_with_and_without_an_artifact(path: Path) -> None:
    bundle = open_bundle(path)
    for row in bundle.done_rows:
        assert all(digest(dict(bundle.recipe(key))) == key for key in row.steps)
    assert bundle.recipe("0" * 64) == {}


def test_an_artifact_file_with_a_wrong_name_is_refused(path: Path) -> None:
    assert "objects/x/y: not a file of an artifact" in open_error(
        edit(path, lambda members: members.update({"objects/x/y": b""}))
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
def test_any_json_in_any_place_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "run.zip"
    members = dict(FUZZ_INPUT["members"])
    name = data.draw(
        st.sampled_from(sorted(name for name in members if name.endswith(".json") and name != "bundle.json"))
    )
    value = json.loads(members[name])
    parent, key, inner = None, None, value
    while isinstance(inner, dict | list) and inner and (parent is None or data.draw(st.booleans())):
        parent, key = inner, data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        inner = parent[key]
    if parent is None:
        value = data.draw(JSON)
    else:
        parent[key] = data.draw(JSON)
    zip_members(path, add_manifest({**members, name: json.dumps(value).encode()}))
    problem = ""
    try:
        verify_bundle(open_bundle(path))
    except BundleError as error:
        problem = str(error)
    assert "\n" not in problem


FUZZ_INPUT: dict[str, Members] = {}


@pytest.fixture(autouse=True)
def fuzz_input(request: pytest.FixtureRequest) -> None:
    """Make one bundle for all examples of the test above: hypothesis cannot request a fixture for each example."""
    if request.node.originalname.startswith("test_any_json") and not FUZZ_INPUT:
        FUZZ_INPUT["members"] = read_archive(request.getfixturevalue("path"))
