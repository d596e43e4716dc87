"""The names, options and steps of a row compared with the recipes behind its score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retbench.bundle import Bundle, open_bundle
from retbench.bundle.bundle import name_cell
from retbench.bundle.identity import ScoreRecipes
from tests.bundle.conftest import MakeBundle, edit_json, find_disagreements, verify

MATRIX = {
    "attack": ["none", "toy"],
    "defense": ["none", "toy", "toy-hardening", ["toy-hardening", "toy"]],
    "threat": ["oblivious", "adaptive"],
}


@pytest.fixture
def path(make_bundle: MakeBundle) -> Path:
    return make_bundle("toys.zip", MATRIX)


def find_row(rows: Any, **axes: str) -> Any:
    """Return the only row with these values of axes; the threat is oblivious by default."""
    axes = {"threat": "oblivious", **axes}
    (row,) = [row for row in rows if all(row[axis] == value for axis, value in axes.items())]
    return row


def test_every_combination_agrees(path: Path) -> None:
    assert verify(path).disagreed == ()
    assert len(open_bundle(path).done_rows) == 16


def test_a_surrogate_agrees(make_bundle: MakeBundle) -> None:
    path = make_bundle(
        "toys.zip", {"attack": "toy", "surrogate": ["none", "toy"], "defense": ["none", "toy-hardening"]}
    )
    assert verify(path).disagreed == ()


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
def test_rows_with_swapped_numbers_are_found(path: Path, one: dict[str, str], other: dict[str, str]) -> None:
    def change(rows: Any) -> None:
        left, right = find_row(rows, **one), find_row(rows, **other)
        for name in ("key", "metrics", "tie_ranges", "steps"):
            left[name], right[name] = right[name], left[name]

    verification = verify(edit_json(path, "rows.json", change))
    cells = {finding.where for finding in verification.disagreed if finding.field == "defense"}
    assert cells == {name_cell(row) for row in open_bundle(path).done_rows if row.threat == "oblivious"} & cells
    assert len(cells) == 2


def test_rows_with_swapped_threats_are_found(path: Path) -> None:
    def change(rows: Any) -> None:
        left, right = (
            find_row(rows, attack="toy", defense="toy", threat=threat) for threat in ("oblivious", "adaptive")
        )
        for name in ("key", "metrics", "tie_ranges", "steps"):
            left[name], right[name] = right[name], left[name]

    assert find_disagreements(edit_json(path, "rows.json", change)) == {("recipe", "threat")}


def set_field(*names: str, value: Any) -> Callable[[Any], None]:
    """Return a function that sets a field of a row."""

    def change(row: Any) -> None:
        for name in names[:-1]:
            row = row[name]
        row[names[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (set_field("attack", value="super"), "attack"),
        (set_field("defense", value="super"), "defense"),
        (set_field("surrogate", value="toy"), "options.surrogate"),
        (set_field("seed", value=7), "seed"),
        (set_field("budget", "eps", value=0.5), "budget.eps"),
        (set_field("budget", "goal", value="untargeted"), "targeted"),
        (set_field("options", "attack", "eps", value=0.5), "options.attack.eps"),
        (set_field("options", "hasher", value={}), "options.hasher"),
        (set_field("options", "defense", value={}), "options.defense"),
        (set_field("options", "bogus", value=1), "options.bogus"),
        (set_field("protocol", "quantize", value=True), "quantize of steps"),
        (set_field("steps", value=[]), "steps of the score missing from the row"),
    ],
)
def test_an_edited_name_option_or_step_of_a_row_is_found(path: Path, change: Callable[[Any], None], field: str) -> None:
    def change_row(rows: Any) -> None:
        change(find_row(rows, attack="toy", defense="toy"))

    disagreements = find_disagreements(edit_json(path, "rows.json", change_row))
    assert any(kind == "recipe" and name.startswith(field) for kind, name in disagreements), disagreements


def test_steps_of_another_row_are_found(path: Path) -> None:
    def change(rows: Any) -> None:
        row, other = find_row(rows, attack="none", defense="none"), find_row(rows, attack="toy", defense="toy")
        row["steps"] = [*other["steps"], row["key"]]

    assert ("recipe", "steps of the row not behind its score") in find_disagreements(
        edit_json(path, "rows.json", change)
    )


def test_missing_recipes_are_found(path: Path) -> None:
    def change(recipes: Any) -> None:
        recipes.clear()

    disagreements = find_disagreements(edit_json(path, "recipes.json", change))
    assert {("recipe", "steps without recipe"), ("recipe", "hasher.stage"), ("recipe", "attack")} <= disagreements


@pytest.mark.parametrize("malformed", [None, 1, "x", [], {}, [[1]], {"weights": {"weights": 1}}])
def test_recipes_with_malformed_fields_disagree_without_an_exception(path: Path, malformed: Any) -> None:
    def change(recipes: Any) -> None:
        for recipe in recipes.values():
            for name in recipe:
                if name != "stage":
                    recipe[name] = malformed

    assert ("artifact", "digests") in find_disagreements(edit_json(path, "recipes.json", change))


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    return open_bundle(
        make_bundle("toys.zip", {"attack": ["none", "toy"], "defense": ["none", ["toy-hardening", "toy"]]})
    )


def test_the_keys_of_a_score_are_the_steps_of_its_plan(bundle: Bundle) -> None:
    for row in bundle.done_rows:
        keys = ScoreRecipes(bundle, row.key).keys
        assert sorted(keys) == sorted(row.steps)
        assert next(iter(keys)) == row.key


def test_fit_hardening_attacks_and_purifiers_are_found(bundle: Bundle) -> None:
    recipes = {(row.attack, row.defense): ScoreRecipes(bundle, row.key) for row in bundle.done_rows}
    clean, whole = recipes["none", "none"], recipes["toy", "toy-hardening+toy"]
    assert (clean.hardening, clean.attacked, clean.draws) == ({}, [], [])
    assert whole.hardening["component"]["name"] == "toy-hardening"
    assert whole.fit["component"]["name"] == "toy"
    assert {recipe["attack"]["name"] for recipe in whole.attacks} == {"toy"}
    (draw,) = whole.draws
    assert [shard.source for shard in draw] == whole.attacked
    assert all([recipe["defense"]["name"] for recipe in shard.recipes] == ["toy"] for shard in draw)
    (unattacked,) = recipes["none", "toy-hardening+toy"].draws
    assert {shard.source for shard in unattacked} == {None}
    (undefended,) = recipes["toy", "none"].draws
    assert [shard.recipes for shard in undefended] == [()] * len(undefended)


def test_a_recipe_that_is_its_own_source_is_followed_once(bundle: Bundle) -> None:
    loop = {"stage": "purify", "source": "a" * 64, "defense": {}}
    score = next(row.key for row in bundle.done_rows)
    artifact = bundle.artifacts[score]
    forged = replace(artifact, meta={**artifact.meta, "recipe": {**artifact.recipe, "purified": [["a" * 64]]}})
    looped = replace(bundle, artifacts={**bundle.artifacts, score: forged}, recipes={"a" * 64: loop})
    ((shard,),) = ScoreRecipes(looped, score).draws
    assert len(shard.recipes) == 1


def test_an_unknown_score_has_no_recipes(bundle: Bundle) -> None:
    recipes = ScoreRecipes(bundle, "0" * 64)
    assert (recipes.score, recipes.attacked, recipes.draws, list(recipes.keys)) == ({}, [], [], ["0" * 64])
