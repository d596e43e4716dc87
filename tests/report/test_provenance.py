"""What a reader needs beside a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
import torch

from retbench.canon import Json
from retbench.contracts import Ball, Context, Facts, Protocol, State, TrainingData
from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.report import provenance
from retbench.results import collect
from retbench.store import Store
from retbench.testing.toys import ToyAttack, ToyHasher, ToyPurifier

Told = Callable[..., list[str]]


class Unbounded(ToyAttack):
    """Declares no ball."""

    name: ClassVar[str] = "unbounded"

    @property
    def ball(self) -> Ball | None:
        return None


class Doubtful(ToyHasher):
    """Has a caveat."""

    name: ClassVar[str] = "doubtful"

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        return (f"random weights of {facts.bits} bits",)


@pytest.fixture
def told(toy_plan: Callable[..., Plan], store: Store, executor: LocalExecutor) -> Told:
    """Plans and runs a matrix, and returns the lines under its tables."""

    def tell(*arguments: object, **rest: object) -> list[str]:
        plan = toy_plan(*arguments, **rest)
        assert executor.run(plan).failures == {}
        return provenance(collect(plan, store, Protocol()), plan, store, ["retbench 0"])

    return tell


def test_a_declared_ball_is_printed_in_grey_levels_once(told: Told) -> None:
    lines = told({"attack": ["none", "toy"], "defense": ["none", "toy"]})
    assert "Threat: toy on toy: targeted, oblivious, linf 51/255." in lines


def test_an_attack_without_a_ball_is_called_unbounded_and_its_change_is_printed(told: Told) -> None:
    (line,) = [line for line in told({"attack": "unbounded"}, Unbounded) if line.startswith("Threat")]
    assert line.startswith("Threat: unbounded on toy: targeted, oblivious, unbounded, measured root mean square ")
    assert 30 < float(line.split("square ")[1].split("/255")[0]) <= 51  # every pixel moves by 51, unless cut to [0, 1]


def test_goals_are_told(told: Told) -> None:
    assert any("toy-untargeted on toy: untargeted" in line for line in told({"attack": "toy-untargeted"}))


def test_caveats_are_printed_once_with_who_says_it(told: Told) -> None:
    lines = told({"hasher": "doubtful", "attack": ["none", "toy"]}, Doubtful)
    assert lines.count("Note: hasher doubtful: random weights of 8 bits.") == 1
    assert not any(line.startswith("Note") for line in told({}))


class Telling(ToyPurifier):
    """Records something that its options led to."""

    name: ClassVar[str] = "telling"

    strength: float = 0.5

    def details(self, facts: Facts) -> dict[str, Json]:
        return {"start_level": round(10 * self.strength), "alpha_bar": 0.123456}


class Silent(Telling):
    """Records the same."""

    name: ClassVar[str] = "silent"


def test_what_components_recorded_is_told_once_with_all_who_did(told: Told) -> None:
    swept = {"telling": {"sweep": {"strength": [0.1, 0.2]}}}
    lines = told({"attack": ["none", "toy"], "defense": ["none", "telling", swept, "silent"]}, Telling, Silent)
    found = [line for line in lines if "start level" in line]
    assert found == [
        "telling, silent: start level 5, alpha bar 0.1235.",
        "telling strength=0.1: start level 1, alpha bar 0.1235.",
        "telling strength=0.2: start level 2, alpha bar 0.1235.",
    ]


def test_it_says_what_asks_and_what_is_searched(told: Told) -> None:
    assert "10 queries, image to text;" in told({"task": "i2t"})[0]
    assert "10 queries, image to image, text to text;" in told({"task": ["i2i", "t2t"]})[0]


def test_a_report_of_an_unfinished_run_says_so_first(toy_plan: Callable[..., Plan], store: Store) -> None:
    plan = toy_plan({"task": ["i2i", "i2t"]})
    lines = provenance(collect(plan, store, Protocol()), plan, store, ["retbench 0"])
    assert lines[0] == "Unfinished: 2 of 2 cells have not run yet; the same `retbench run` goes on."


class Flat(ToyHasher):
    """Gives every image the same code."""

    name: ClassVar[str] = "flat"

    def fit(self, data: TrainingData, ctx: Context) -> State:
        state = super().fit(data, ctx)
        return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


def test_a_hasher_that_has_collapsed_is_named(told: Told) -> None:
    assert "Collapsed: flat has 1 distinct codes for 40 images." in told({"hasher": "flat"}, Flat)
    assert not any(line.startswith("Collapsed") for line in told({"bits": 32}))
