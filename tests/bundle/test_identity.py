"""A row is named after what its score was made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retbench.bundle import Bundle, open_bundle
from retbench.bundle.bundle import name_cell
from retbench.bundle.identity import Ancestry
from tests.bundle.conftest import Make, disagreements, edit_json, verified

MATRIX = {
    "attack": ["none", "toy"],
    "defense": ["none", "toy", "toy-hardening", ["toy-hardening", "toy"]],
    "threat": ["oblivious", "adaptive"],
}


@pytest.fixture
def path(make: Make) -> Path:
    return make("toys.zip", MATRIX)


def at(rows: Any, **axes: str) -> Any:
    """Return the only row at some axes, oblivious unless they say otherwise."""
    axes = {"threat": "oblivious", **axes}
    (row,) = [row for row in rows if all(row[axis] == value for axis, value in axes.items())]
    return row


def test_every_combination_agrees(path: Path) -> None:
    found = verified(path)
    assert found.disagreed == ()
    assert len(open_bundle(path).done) == 16


def test_a_surrogate_agrees(make: Make) -> None:
    path = make("toys.zip", {"attack": "toy", "surrogate": ["none", "toy"], "defense": ["none", "toy-hardening"]})
    assert verified(path).disagreed == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"attack": "toy", "defense": "none"}, {"attack": "toy", "defense": "toy"}),
        ({"attack": "toy", "defense": "none"}, {"attack": "toy", "defense": "toy-hardening"}),
        ({"attack": "none", "defense": "none"}, {"attack": "none", "defense": "toy"}),
        ({"attack": "toy", "defense": "toy"}, {"attack": "toy", "defense": "toy-hardening+toy"}),
    ],
    ids=str,
)
def test_rows_that_changed_their_numbers_are_caught(path: Path, one: dict[str, str], other: dict[str, str]) -> None:
    def change(rows: Any) -> None:
        left, right = at(rows, **one), at(rows, **other)
        for name in ("key", "metrics", "tie_ranges", "steps"):
            left[name], right[name] = right[name], left[name]

    found = verified(edit_json(path, "rows.json", change))
    wrong = {each.where for each in found.disagreed if each.field == "defense"}
    assert wrong == {name_cell(row) for row in open_bundle(path).done if row.threat == "oblivious"} & wrong
    assert len(wrong) == 2


def test_a_threat_that_changed_its_numbers_is_caught(path: Path) -> None:
    def change(rows: Any) -> None:
        left, right = (at(rows, attack="toy", defense="toy", threat=threat) for threat in ("oblivious", "adaptive"))
        for name in ("key", "metrics", "tie_ranges", "steps"):
            left[name], right[name] = right[name], left[name]

    assert disagreements(edit_json(path, "rows.json", change)) == {("recipe", "threat")}


def put(*names: str, value: Any) -> Callable[[Any], None]:
    """Return what sets a field of a row."""

    def change(row: Any) -> None:
        for name in names[:-1]:
            row = row[name]
        row[names[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("attack", value="super"), "attack"),
        (put("defense", value="super"), "defense"),
        (put("surrogate", value="toy"), "options.surrogate"),
        (put("seed", value=7), "seed"),
        (put("budget", "eps", value=0.5), "budget.eps"),
        (put("budget", "goal", value="untargeted"), "targeted"),
        (put("options", "attack", "eps", value=0.5), "options.attack.eps"),
        (put("options", "hasher", value={}), "options.hasher"),
        (put("options", "defense", value={}), "options.defense"),
        (put("options", "bogus", value=1), "options.bogus"),
        (put("protocol", "quantize", value=True), "quantize of steps"),
        (put("steps", value=[]), "steps left out"),
    ],
)
def test_a_row_that_says_something_else_is_caught(path: Path, change: Callable[[Any], None], told: str) -> None:
    found = disagreements(edit_json(path, "rows.json", lambda rows: change(at(rows, attack="toy", defense="toy"))))
    assert any(kind == "recipe" and field.startswith(told) for kind, field in found), found


def test_steps_of_other_rows_are_caught(path: Path) -> None:
    def change(rows: Any) -> None:
        row, other = at(rows, attack="none", defense="none"), at(rows, attack="toy", defense="toy")
        row["steps"] = [*other["steps"], row["key"]]

    assert ("recipe", "steps of others") in disagreements(edit_json(path, "rows.json", change))


def test_recipes_that_are_gone_are_caught(path: Path) -> None:
    def change(recipes: Any) -> None:
        recipes.clear()

    found = disagreements(edit_json(path, "recipes.json", change))
    assert {("recipe", "steps without recipe"), ("recipe", "hasher.stage"), ("recipe", "attack")} <= found


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, [[1]], {"weights": {"weights": 1}}])
def test_recipes_of_any_content_disagree_and_no_more(path: Path, junk: Any) -> None:
    def change(recipes: Any) -> None:
        for recipe in recipes.values():
            for name in recipe:
                if name != "stage":
                    recipe[name] = junk

    assert ("artifact", "digests") in disagreements(edit_json(path, "recipes.json", change))


@pytest.fixture
def bundle(make: Make) -> Bundle:
    return open_bundle(make("toys.zip", {"attack": ["none", "toy"], "defense": ["none", ["toy-hardening", "toy"]]}))


def test_it_has_the_steps_that_the_plan_had(bundle: Bundle) -> None:
    for row in bundle.done:
        past = Ancestry(bundle, row.key)
        assert sorted(past.keys) == sorted(row.steps)
        assert next(iter(past.keys)) == row.key


def test_it_finds_who_made_what(bundle: Bundle) -> None:
    past = {(row.attack, row.defense): Ancestry(bundle, row.key) for row in bundle.done}
    clean, whole = past["none", "none"], past["toy", "toy-hardening+toy"]
    assert (clean.hardening, clean.attacked, clean.draws) == ({}, [], [])
    assert whole.hardening["component"]["name"] == "toy-hardening"
    assert whole.fit["component"]["name"] == "toy"
    assert {recipe["attack"]["name"] for recipe in whole.attacks} == {"toy"}
    (draw,) = whole.draws
    assert [shard.source for shard in draw] == whole.attacked
    assert all([recipe["defense"]["name"] for recipe in shard.recipes] == ["toy"] for shard in draw)
    (unattacked,) = past["none", "toy-hardening+toy"].draws
    assert {shard.source for shard in unattacked} == {None}
    (undefended,) = past["toy", "none"].draws
    assert [shard.recipes for shard in undefended] == [()] * len(undefended)


def test_a_chain_that_bites_its_tail_ends(bundle: Bundle) -> None:
    loop = {"stage": "purify", "source": "a" * 64, "defense": {}}
    score = next(row.key for row in bundle.done)
    artifact = bundle.artifacts[score]
    forged = replace(artifact, meta={**artifact.meta, "recipe": {**artifact.recipe, "purified": [["a" * 64]]}})
    looped = replace(bundle, artifacts={**bundle.artifacts, score: forged}, recipes={"a" * 64: loop})
    ((shard,),) = Ancestry(looped, score).draws
    assert len(shard.recipes) == 1


def test_a_score_that_is_not_there_has_no_past(bundle: Bundle) -> None:
    past = Ancestry(bundle, "0" * 64)
    assert (past.score, past.attacked, past.draws, list(past.keys)) == ({}, [], [], ["0" * 64])
