"""Merging bundles, and the differences that forbid it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retbench.bundle import Bundle, merge, open_bundle, verify_bundle
from retbench.bundle.bundle import name_cell
from retbench.canon import digest
from retbench.errors import ArtifactMissing, BundleError
from retbench.metrics import Interval
from tests.bundle.conftest import MakeBundle


def open_by_name(path: Path) -> Bundle:
    """Return a bundle that messages call by its file name, without folders."""
    return replace(open_bundle(path), name=path.name)


@pytest.fixture
def one(make_bundle: MakeBundle) -> Bundle:
    return open_by_name(make_bundle("one.zip", {"attack": ["none", "toy"]}))


@pytest.fixture
def other(make_bundle: MakeBundle) -> Bundle:
    return open_by_name(make_bundle("other.zip", {"attack": ["toy", "toy-untargeted"], "bits": [8, 12]}))


def merge_error(*bundles: Bundle) -> str:
    """Return the message that merging bundles fails with."""
    with pytest.raises(BundleError) as caught:
        merge(bundles)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_rows(bundle: Bundle, **changes: Any) -> Bundle:
    """Return a bundle with changed fields in all rows."""
    rows = tuple(replace(row, **changes) for row in bundle.evidence.rows)
    return replace(bundle, evidence=replace(bundle.evidence, rows=rows))


def with_protocol(bundle: Bundle, **changes: Any) -> Bundle:
    rows = tuple(replace(row, protocol={**row.protocol, **changes}) for row in bundle.evidence.rows)
    return replace(bundle, evidence=replace(bundle.evidence, rows=rows))


def test_a_merged_bundle_has_each_cell_once_in_order(one: Bundle, other: Bundle) -> None:
    merged = merge([one, other])
    names = [name_cell(row) for row in merged.evidence.rows]
    both = [name_cell(row) for bundle in (one, other) for row in bundle.evidence.rows]
    assert names == list(dict.fromkeys(both))
    assert len(names) == 5 < len(both)
    assert merged.evidence.title == "toys"
    assert merged.name == "one.zip + other.zip"
    assert len(merged.suites) == 2


def test_a_merged_bundle_has_the_scores_steps_and_labels_of_its_rows(one: Bundle, other: Bundle) -> None:
    merged = merge([one, other])
    for row in merged.done_rows:
        source = one if row.key in one.artifacts else other
        assert merged.evidence.scores(row.key) is source.evidence.scores(row.key)
        assert all(key in merged.evidence.steps for key in row.steps)
    assert merged.labels.keys() == one.labels.keys() == other.labels.keys()
    assert verify_bundle(merged).ok
    with pytest.raises(ArtifactMissing, match=r"one\.zip \+ other\.zip: no artifact"):
        merged.evidence.scores("0" * 64)


def test_layouts_and_claims_with_one_name_are_those_of_the_first_bundle(one: Bundle, other: Bundle) -> None:
    first = replace(one, layouts={"a": "1"}, claims={"x": "1"}, galleries=({"g": 1},))
    second = replace(other, layouts={"a": "2", "b": "2"}, galleries=({"g": 2},))
    merged = merge([first, second])
    assert merged.layouts == {"a": "1", "b": "2"}
    assert merged.claims == {"x": "1"}
    assert merged.galleries == ({"g": 1}, {"g": 2})


def test_merging_one_bundle_returns_it_and_merging_none_is_a_value_error(one: Bundle) -> None:
    assert merge([one]) is one
    with pytest.raises(ValueError, match="no bundles"):
        merge([])


def test_two_numbers_of_one_cell_are_refused(one: Bundle, other: Bundle) -> None:
    wrong = with_rows(one, metrics={**one.done_rows[1].metrics, "map": Interval(0.5, 0.4, 0.6)})
    value = f"{one.done_rows[0].metrics['map'].value:.6g}"
    assert merge_error(one, replace(wrong, name="b.zip")) == (
        f"{name_cell(one.done_rows[0])} differs between one.zip and b.zip: "
        f"MAP: got {value} and 0.5, expected the same value"
    )


def test_two_confidence_intervals_of_one_cell_are_refused(one: Bundle) -> None:
    interval = one.done_rows[0].metrics["t_map"]
    wrong = with_rows(one, metrics={**one.done_rows[0].metrics, "t_map": interval._replace(low=interval.low - 1e-6)})
    assert ": T-MAP: got " in merge_error(one, wrong)


def test_different_numbers_of_threads_are_named_where_numbers_differ(one: Bundle) -> None:
    metrics = {"map": Interval(0.5, 0.4, 0.6)}
    steps = {
        key: step._replace(environment={**step.environment, "device": "cpu", "threads": 3})
        for key, step in one.evidence.steps.items()
    }
    threads = {step.environment["threads"] for step in one.evidence.steps.values() if step.stage == "fit"}
    other = with_rows(one, metrics=metrics)
    assert "threads" not in merge_error(one, other)
    message = merge_error(one, replace(other, evidence=replace(other.evidence, steps=steps)))
    assert message.endswith(f"expected the same value (trained with {threads.pop()} and 3 threads)")


def test_nan_metrics_are_equal(one: Bundle) -> None:
    nan = float("nan")
    same = with_rows(one, metrics={"map": Interval(nan, nan, nan)})
    assert len(merge([same, same]).done_rows) == 2


def test_a_metric_that_only_one_row_has_is_refused(one: Bundle) -> None:
    assert "SSIM: got none and 1, expected the same value" in merge_error(
        one, with_rows(one, metrics={**one.done_rows[0].metrics, "ssim": Interval(1.0, 1.0, 1.0)})
    )


def test_a_different_precision_is_named(one: Bundle, make_bundle: MakeBundle) -> None:
    other = open_by_name(make_bundle("bf16.zip", {"attack": ["none", "toy"]}, precision="bf16"))
    message = merge_error(one, other)
    assert message == (
        f"{name_cell(one.done_rows[0])} differs between one.zip and bf16.zip: "
        "score.codes.precision: got float32 and bf16, expected the same value "
        "(in encode: queries 1 to 10 of toy by toy)"
    )


def test_a_different_option_is_named(one: Bundle, make_bundle: MakeBundle) -> None:
    components = {"attack": {"toy": {"eps": 0.25}}}
    other = open_by_name(make_bundle("eps.zip", {"attack": ["none", "toy"]}, components=components))
    assert "/toy/none/none/oblivious/0 differs between one.zip and eps.zip: options.attack.eps: got" in merge_error(
        one, other
    )


def test_different_data_of_one_dataset_are_refused(one: Bundle, make_bundle: MakeBundle) -> None:
    components = {"dataset": {"toy": {"database": 20}}}
    other = open_by_name(make_bundle("less.zip", {"attack": "none", "bits": 12}, components=components))
    assert merge_error(one, other).startswith("fingerprint of dataset toy differs between one.zip and less.zip: got ")


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (
            {"map": "top-k", "depth": 5},
            "protocol.map of dataset toy, task i2i differs between one.zip and b.zip: got full and top-k",
        ),
        (
            {"ties": "expected"},
            "protocol.ties of dataset toy, task i2i differs between one.zip and b.zip: got stable and expected",
        ),
        (
            {"quantize": True},
            "protocol.quantize of dataset toy, task i2i differs between one.zip and b.zip: got false and true",
        ),
        (
            {"confidence": 0.9},
            "protocol.confidence of dataset toy, task i2i differs between one.zip and b.zip: got 0.95 and 0.9",
        ),
        ({"targets": {"seed": 1}}, "protocol.targets of dataset toy differs between one.zip and b.zip: got"),
    ],
)
def test_a_different_protocol_is_refused_with_both_values(
    one: Bundle, make_bundle: MakeBundle, protocol: dict[str, Any], message: str
) -> None:
    other = open_by_name(make_bundle("b.zip", {"attack": "none", "bits": 12}, protocol=protocol))
    assert merge_error(one, other).startswith(message)


@pytest.mark.parametrize(("field", "value"), [("relevance", "else"), ("depth", 7)])
def test_every_protocol_field_that_must_match_is_compared(one: Bundle, field: str, value: Any) -> None:
    assert f"protocol.{field} of dataset toy, task i2i differs" in merge_error(
        one, with_protocol(one, **{field: value})
    )


def test_a_different_number_of_queries_is_refused(one: Bundle, make_bundle: MakeBundle) -> None:
    other = open_by_name(make_bundle("b.zip", {"attack": "none", "bits": 12}, protocol={"queries": 5}))
    message = merge_error(one, other)
    assert message == (
        "protocol.ranked_queries of dataset toy differs between one.zip and b.zip: "
        "got 10 and 5, expected the same value; report the bundles separately"
    )


@pytest.mark.parametrize("field", ["ranked_queries", "scored_queries", "resamples"])
def test_every_count_that_must_match_is_compared(one: Bundle, field: str) -> None:
    assert f"protocol.{field} of dataset toy" in merge_error(one, with_protocol(one, **{field: 7}))


def test_a_different_sample_of_queries_is_refused(one: Bundle, make_bundle: MakeBundle) -> None:
    other = open_by_name(make_bundle("b.zip", {"attack": "none", "bits": 12}))
    (row,) = other.done_rows
    score = other.artifacts[row.key]
    forged = replace(score, meta={**score.meta, "recipe": {**score.recipe, "queries": "0" * 64}})
    message = merge_error(one, replace(other, artifacts={**other.artifacts, row.key: forged}))
    assert message.startswith("sample of queries of dataset toy differs between one.zip and b.zip")


def test_protocols_of_different_tasks_may_differ(one: Bundle, make_bundle: MakeBundle) -> None:
    other = open_by_name(make_bundle("b.zip", {"attack": "none", "task": "t2i"}, protocol={"map": "top-k", "depth": 5}))
    assert len(merge([one, other]).done_rows) == 3


def test_different_revisions_of_an_attack_are_named_with_step_and_version(one: Bundle, make_bundle: MakeBundle) -> None:
    """The keys of shards are in lists, which are followed item by item."""
    other = open_by_name(make_bundle("b.zip", {"attack": ["none", "toy"]}))
    row = other.done_rows[1]
    recipes = {**other.recipes, **{key: artifact.recipe for key, artifact in other.artifacts.items()}}
    swapped: dict[str, str] = {}
    for key in row.steps:  # inputs first: every step that depends on an attack gets another key
        recipe = json.loads(json.dumps(recipes[key]))
        if recipe["stage"] == "attack":
            recipe["attack"]["revision"] += 1
        text = json.dumps(recipe)
        for old, new in swapped.items():
            text = text.replace(old, new)
        if json.loads(text) != recipes[key]:
            swapped[key] = digest(json.loads(text))
        recipes[swapped.get(key, key)] = json.loads(text)
    steps = dict(other.evidence.steps)
    for old, new in swapped.items():
        versions = {**steps[old].environment["versions"], "toys": "9"}  # type: ignore[dict-item]  versions are a mapping
        steps[new] = steps[old]._replace(environment={**steps[old].environment, "versions": versions})
    score = other.artifacts[row.key]
    score = replace(score, meta={**score.meta, "recipe": recipes[swapped[row.key]]})
    rows = (other.evidence.rows[0], replace(row, key=swapped[row.key]))
    evidence = replace(other.evidence, rows=rows, steps=steps)
    artifacts = {**other.artifacts, swapped[row.key]: score}
    message = merge_error(one, replace(other, evidence=evidence, artifacts=artifacts, recipes=recipes))
    assert ".attack.revision: got 1 and 2, expected the same value (in attack: toy on toy, queries 1 to " in message
    assert message.endswith(", versions.toys null and 9)")


def test_one_recipe_under_two_keys_is_refused_with_both_keys(one: Bundle) -> None:
    row = one.done_rows[1]
    forged = replace(row, key="0" * 64)
    artifacts = {**one.artifacts, forged.key: one.artifacts[row.key]}
    evidence = replace(one.evidence, rows=(one.evidence.rows[0], forged))
    message = merge_error(one, replace(one, name="b.zip", evidence=evidence, artifacts=artifacts))
    assert (
        f"differs between one.zip and b.zip: score: got {row.key} and {forged.key}, expected the same value" in message
    )


def test_different_shards_are_named_by_their_keys(one: Bundle, make_bundle: MakeBundle) -> None:
    other = open_by_name(make_bundle("b.zip", {"attack": ["none", "toy"]}, shard=4))
    assert ": score.codes.draws.0.1: got null and " in merge_error(one, other)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"budget": {"eps": 0.5}}, "budget.eps: got null and 0.5"),
        ({"options": {"hasher": {"depth": 3}}}, "options."),
        ({"data": {"train": 3}}, "data."),
        ({"caveats": ("mind it",)}, "caveats: got [] and [mind it]"),
        ({"steps": ()}, "steps: got"),
    ],
)
def test_rows_of_one_score_with_different_fields_are_refused(
    one: Bundle, changes: dict[str, Any], difference: str
) -> None:
    message = merge_error(one, replace(with_rows(one, **changes), name="b.zip"))
    assert message.startswith(f"{name_cell(one.done_rows[0])} differs between one.zip and b.zip: ")
    assert difference.replace("[mind it]", '["mind it"]') in message


def test_only_the_cost_of_a_score_may_differ(one: Bundle) -> None:
    assert merge([one, with_rows(one, cost={"attack_seconds_per_query": 9.0})]).evidence.rows == one.evidence.rows


def test_a_cell_without_results_in_one_bundle_is_taken_from_the_other(one: Bundle) -> None:
    missing = with_rows(one, status="missing", metrics={}, key="")
    for order in ([one, missing], [missing, one]):
        assert merge(order).evidence.rows == one.evidence.rows
    assert merge([missing, missing]).evidence.rows == missing.evidence.rows
