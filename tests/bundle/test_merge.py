"""Several bundles as one, or the reason why not."""

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
from tests.bundle.conftest import Make


def opened(path: Path) -> Bundle:
    """Return a bundle that is called by its file's name alone."""
    return replace(open_bundle(path), name=path.name)


@pytest.fixture
def one(make: Make) -> Bundle:
    return opened(make("one.zip", {"attack": ["none", "toy"]}))


@pytest.fixture
def other(make: Make) -> Bundle:
    return opened(make("other.zip", {"attack": ["toy", "toy-untargeted"], "bits": [8, 12]}))


def refused(*bundles: Bundle) -> str:
    with pytest.raises(BundleError) as caught:
        merge(bundles)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_rows(bundle: Bundle, **changes: Any) -> Bundle:
    """Return a bundle whose rows say something else."""
    rows = tuple(replace(row, **changes) for row in bundle.evidence.rows)
    return replace(bundle, evidence=replace(bundle.evidence, rows=rows))


def with_protocol(bundle: Bundle, **changes: Any) -> Bundle:
    rows = tuple(replace(row, protocol={**row.protocol, **changes}) for row in bundle.evidence.rows)
    return replace(bundle, evidence=replace(bundle.evidence, rows=rows))


def test_rows_of_all_are_there_once_in_order(one: Bundle, other: Bundle) -> None:
    merged = merge([one, other])
    names = [name_cell(row) for row in merged.evidence.rows]
    both = [name_cell(row) for bundle in (one, other) for row in bundle.evidence.rows]
    assert names == list(dict.fromkeys(both))
    assert len(names) == 5 < len(both)
    assert merged.evidence.title == "toys"
    assert merged.name == "one.zip + other.zip"
    assert len(merged.suites) == 2


def test_what_rows_rest_on_comes_along(one: Bundle, other: Bundle) -> None:
    merged = merge([one, other])
    for row in merged.done:
        source = one if row.key in one.artifacts else other
        assert merged.evidence.scores(row.key) is source.evidence.scores(row.key)
        assert all(key in merged.evidence.steps for key in row.steps)
    assert merged.labels.keys() == one.labels.keys() == other.labels.keys()
    assert verify_bundle(merged).ok
    with pytest.raises(ArtifactMissing, match=r"one\.zip \+ other\.zip: no artifact"):
        merged.evidence.scores("0" * 64)


def test_texts_of_one_name_are_the_first_bundles(one: Bundle, other: Bundle) -> None:
    first = replace(one, layouts={"a": "1"}, claims={"x": "1"}, galleries=({"g": 1},))
    second = replace(other, layouts={"a": "2", "b": "2"}, galleries=({"g": 2},))
    merged = merge([first, second])
    assert merged.layouts == {"a": "1", "b": "2"}
    assert merged.claims == {"x": "1"}
    assert merged.galleries == ({"g": 1}, {"g": 2})


def test_one_bundle_is_itself_and_none_is_a_mistake(one: Bundle) -> None:
    assert merge([one]) is one
    with pytest.raises(ValueError, match="no bundles"):
        merge([])


def test_a_cell_with_two_numbers_is_refused_with_both(one: Bundle, other: Bundle) -> None:
    wrong = with_rows(one, metrics={**one.done[1].metrics, "map": Interval(0.5, 0.4, 0.6)})
    told = refused(one, replace(wrong, name="b.zip"))
    value = f"{one.done[0].metrics['map'].value:.6g}"
    assert told == f"{name_cell(one.done[0])} differs between one.zip and b.zip: MAP {value} and 0.5"


def test_a_cell_with_an_interval_of_its_own_is_refused(one: Bundle) -> None:
    interval = one.done[0].metrics["t_map"]
    wrong = with_rows(one, metrics={**one.done[0].metrics, "t_map": interval._replace(low=interval.low - 1e-6)})
    assert ": T-MAP " in refused(one, wrong)


def test_a_mean_over_nothing_equals_itself(one: Bundle) -> None:
    nothing = float("nan")
    same = with_rows(one, metrics={"map": Interval(nothing, nothing, nothing)})
    assert len(merge([same, same]).done) == 2


def test_a_metric_that_one_lacks_is_refused(one: Bundle) -> None:
    assert "SSIM none and 1" in refused(
        one, with_rows(one, metrics={**one.done[0].metrics, "ssim": Interval(1.0, 1.0, 1.0)})
    )


def test_another_precision_is_named(one: Bundle, make: Make) -> None:
    other = opened(make("bf16.zip", {"attack": ["none", "toy"]}, precision="bf16"))
    told = refused(one, other)
    assert told == (
        f"{name_cell(one.done[0])} differs between one.zip and bf16.zip: "
        "score.codes.precision: got float32 and bf16, expected the same (in encode: queries 1 to 10 of toy by toy)"
    )


def test_another_option_is_named(one: Bundle, make: Make) -> None:
    components = {"attack": {"toy": {"eps": 0.25}}}
    other = opened(make("eps.zip", {"attack": ["none", "toy"]}, components=components))
    assert "/toy/none/none/oblivious/0 differs between one.zip and eps.zip: options.attack.eps: got" in refused(
        one, other
    )


def test_other_data_of_one_name_are_refused(one: Bundle, make: Make) -> None:
    components = {"dataset": {"toy": {"database": 20}}}
    other = opened(make("less.zip", {"attack": "none", "bits": 12}, components=components))
    assert refused(one, other).startswith("fingerprint of dataset toy differs between one.zip and less.zip: got ")


@pytest.mark.parametrize(
    ("protocol", "told"),
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
def test_another_protocol_is_refused_with_both_values(
    one: Bundle, make: Make, protocol: dict[str, Any], told: str
) -> None:
    other = opened(make("b.zip", {"attack": "none", "bits": 12}, protocol=protocol))
    assert refused(one, other).startswith(told)


@pytest.mark.parametrize(("field", "value"), [("relevance", "else"), ("depth", 7)])
def test_every_field_that_must_agree_is_looked_at(one: Bundle, field: str, value: Any) -> None:
    assert f"protocol.{field} of dataset toy, task i2i differs" in refused(one, with_protocol(one, **{field: value}))


def test_another_sample_of_queries_is_refused_though_cells_differ(one: Bundle, make: Make) -> None:
    other = opened(make("b.zip", {"attack": "none", "bits": 12}, protocol={"queries": 5}))
    told = refused(one, other)
    assert told == (
        "protocol.ranked_queries of dataset toy differs between one.zip and b.zip: "
        "got 10 and 5, expected the same; report them apart"
    )


@pytest.mark.parametrize("field", ["ranked_queries", "scored_queries", "resamples"])
def test_every_count_that_must_agree_is_looked_at(one: Bundle, field: str) -> None:
    assert f"protocol.{field} of dataset toy" in refused(one, with_protocol(one, **{field: 7}))


def test_equally_many_but_other_queries_are_refused(one: Bundle, make: Make) -> None:
    other = opened(make("b.zip", {"attack": "none", "bits": 12}))
    (row,) = other.done
    score = other.artifacts[row.key]
    forged = replace(score, meta={**score.meta, "recipe": {**score.recipe, "queries": "0" * 64}})
    told = refused(one, replace(other, artifacts={**other.artifacts, row.key: forged}))
    assert told.startswith("sample of queries of dataset toy differs between one.zip and b.zip")


def test_protocols_may_differ_where_rows_never_share_a_table(one: Bundle, make: Make) -> None:
    other = opened(make("b.zip", {"attack": "none", "task": "t2i"}, protocol={"map": "top-k", "depth": 5}))
    assert len(merge([one, other]).done) == 3


def test_attacks_of_two_revisions_are_named_by_step_and_version(one: Bundle, make: Make) -> None:
    """The keys of shards lie in lists, which are followed item by item."""
    other = opened(make("b.zip", {"attack": ["none", "toy"]}))
    row = other.done[1]
    past = {**other.recipes, **{key: artifact.recipe for key, artifact in other.artifacts.items()}}
    swapped: dict[str, str] = {}
    for key in row.steps:  # inputs first: whatever hangs on an attack gets another key
        recipe = json.loads(json.dumps(past[key]))
        if recipe["stage"] == "attack":
            recipe["attack"]["revision"] += 1
        text = json.dumps(recipe)
        for old, new in swapped.items():
            text = text.replace(old, new)
        if json.loads(text) != past[key]:
            swapped[key] = digest(json.loads(text))
        past[swapped.get(key, key)] = json.loads(text)
    steps = dict(other.evidence.steps)
    for old, new in swapped.items():
        versions = {**steps[old].environment["versions"], "toys": "9"}  # type: ignore[dict-item]  versions are a mapping
        steps[new] = steps[old]._replace(environment={**steps[old].environment, "versions": versions})
    score = other.artifacts[row.key]
    score = replace(score, meta={**score.meta, "recipe": past[swapped[row.key]]})
    rows = (other.evidence.rows[0], replace(row, key=swapped[row.key]))
    evidence = replace(other.evidence, rows=rows, steps=steps)
    artifacts = {**other.artifacts, swapped[row.key]: score}
    told = refused(one, replace(other, evidence=evidence, artifacts=artifacts, recipes=past))
    assert ".attack.revision: got 1 and 2, expected the same (in attack: toy on toy, queries 1 to " in told
    assert told.endswith(", versions.toys null and 9)")


def test_one_recipe_under_two_keys_is_refused_with_both(one: Bundle) -> None:
    row = one.done[1]
    forged = replace(row, key="0" * 64)
    artifacts = {**one.artifacts, forged.key: one.artifacts[row.key]}
    evidence = replace(one.evidence, rows=(one.evidence.rows[0], forged))
    told = refused(one, replace(one, name="b.zip", evidence=evidence, artifacts=artifacts))
    assert f"differs between one.zip and b.zip: score: got {row.key} and {forged.key}, expected the same" in told


def test_other_shards_are_named_though_only_digests_differ(one: Bundle, make: Make) -> None:
    other = opened(make("b.zip", {"attack": ["none", "toy"]}, shard=4))
    assert ": score.codes.draws.0.1: got null and " in refused(one, other)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"budget": {"eps": 0.5}}, "budget.eps: got null and 0.5"),
        ({"options": {"hasher": {"depth": 3}}}, "options."),
        ({"data": {"train": 3}}, "data."),
        ({"caveats": ("mind it",)}, "caveats: got [] and [mind it]"),
        ({"steps": ()}, "steps: got"),
    ],
)
def test_one_score_with_two_facts_is_refused(one: Bundle, changes: dict[str, Any], told: str) -> None:
    found = refused(one, replace(with_rows(one, **changes), name="b.zip"))
    assert found.startswith(f"{name_cell(one.done[0])} differs between one.zip and b.zip: ")
    assert told.replace("[mind it]", '["mind it"]') in found


def test_only_what_a_score_cost_may_differ(one: Bundle) -> None:
    assert merge([one, with_rows(one, cost={"attack_seconds_per_query": 9.0})]).evidence.rows == one.evidence.rows


def test_a_cell_that_one_bundle_has_not_done_is_the_others(one: Bundle) -> None:
    waiting = with_rows(one, status="missing", metrics={}, key="")
    for order in ([one, waiting], [waiting, one]):
        assert merge(order).evidence.rows == one.evidence.rows
    assert merge([waiting, waiting]).evidence.rows == waiting.evidence.rows
