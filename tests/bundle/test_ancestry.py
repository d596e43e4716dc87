"""What a score follows from, by keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retbench.bundle import Bundle, open_bundle
from retbench.bundle.ancestry import Ancestry
from tests.bundle.conftest import Make


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
    forged = replace(artifact, meta={**artifact.meta, "recipe": {**artifact.recipe, "final": [["a" * 64]]}})
    looped = replace(bundle, artifacts={**bundle.artifacts, score: forged}, recipes={"a" * 64: loop})
    ((shard,),) = Ancestry(looped, score).draws
    assert len(shard.recipes) == 1


def test_a_score_that_is_not_there_has_no_past(bundle: Bundle) -> None:
    past = Ancestry(bundle, "0" * 64)
    assert (past.score, past.attacked, past.draws, list(past.keys)) == ({}, [], [], ["0" * 64])
