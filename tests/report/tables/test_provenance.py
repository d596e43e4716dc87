"""What a reader needs beside a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch

from retbench.canon import Json
from retbench.contracts import Ball, Context, Facts, Protocol, State, TrainingData
from retbench.errors import UserError
from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.report.tables.provenance import check_uniform, provenance, summary
from retbench.results import Evidence, Row, StepRecord, collect, stored_scores, stored_steps
from retbench.store import Store
from retbench.testing.toys import ToyAttack, ToyHasher, ToyPurifier

Lines = list[tuple[str, str]]
Rows = Callable[..., Row]
Told = Callable[..., Lines]


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


def lines_of(plan: Plan, store: Store) -> Lines:
    rows = tuple(collect(plan, store, Protocol()))
    evidence = Evidence("toys", "", "0123456789abcdef" * 4, rows, stored_steps(plan, store), stored_scores(store))
    return list(provenance(rows, evidence))


@pytest.fixture
def told(toy_plan: Callable[..., Plan], store: Store, executor: LocalExecutor) -> Told:
    """Plans and runs a matrix, and returns the lines under its tables."""
    executor.versions = {"retbench": "1.2", "retbench-toys": "0.1"}

    def tell(*arguments: object, **rest: object) -> Lines:
        plan = toy_plan(*arguments, **rest)
        assert executor.run(plan).failures == {}
        return lines_of(plan, store)

    return tell


def labeled(lines: Lines, label: str) -> list[str]:
    return [text for name, text in lines if name == label]


def test_it_starts_with_the_suite_and_tells_protocol_intervals_and_seeds(told: Told) -> None:
    lines = told({"attack": "toy"})
    assert [label for label, _ in lines[:4]] == ["suite", "protocol", "intervals", "seeds"]
    assert lines[0][1] == "toys, digest 0123456789abcdef"
    assert lines[1][1].startswith("image to image; 10 queries, MAP full, ties stable, ")
    assert lines[2][1].startswith("95 % bootstrap over queries; where a number hangs on the target, ")
    assert lines[3][1] == "0"


def test_the_draw_of_targets_is_told_by_its_address(
    toy_plan: Callable[..., Plan], store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({})
    executor.run(plan)
    (key,) = (key for key, step in plan.steps.items() if step.name == "targets")
    assert labeled(lines_of(plan, store), "targets") == [f"toy {key[:16]}"]


def test_the_chance_level_and_the_number_of_distinct_targets_are_those_of_the_score(
    toy_plan: Callable[..., Plan], store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({"attack": "toy"})
    executor.run(plan)
    facts: Any = store.summary(plan.cells[0].key or "")
    lines = lines_of(plan, store)
    chance = f"a random ranking has a T-MAP of about toy {100 * facts['chance']['t_map']:.2f} %"
    assert labeled(lines, "chance") == [chance]
    assert f"(toy {facts['target_labels']} distinct target labels)" in labeled(lines, "intervals")[0]


def test_plain_options_of_attacks_are_told(told: Told) -> None:
    lines = labeled(told({"attack": ["none", "toy"]}), "options")
    assert len(lines) == 1
    assert lines[0].startswith("toy on toy: ")
    assert "eps 0.2" in lines[0]


def test_machine_versions_and_cost_are_those_of_the_steps(told: Told) -> None:
    lines = told({"attack": "toy"})
    (machine,) = labeled(lines, "computed on")
    assert machine.startswith("cpu (")
    assert machine.endswith("; networks in float32")
    assert labeled(lines, "versions") == [f"retbench 1.2, retbench-toys 0.1, torch {torch.__version__}"]
    (cost,) = labeled(lines, "wall time")
    assert "attack 0 s" in cost
    assert cost.endswith("MiB of memory")


def test_a_declared_ball_is_printed_in_gray_levels_once(told: Told) -> None:
    lines = told({"attack": ["none", "toy"], "defense": ["none", "toy"]})
    assert labeled(lines, "threat") == ["toy on toy, targeted, oblivious: linf 51/255"]


def test_an_attack_without_a_ball_is_called_unbounded_and_its_change_is_printed(told: Told) -> None:
    (line,) = labeled(told({"attack": "unbounded"}, Unbounded), "threat")
    assert line.startswith("unbounded on toy, targeted, oblivious: unbounded, measured root mean square ")
    assert 30 < float(line.split("square ")[1].split("/255")[0]) <= 51  # every pixel moves by 51, unless cut to [0, 1]


def test_goals_are_told(told: Told) -> None:
    (line,) = labeled(told({"attack": "toy-untargeted"}), "threat")
    assert line.startswith("toy-untargeted on toy, untargeted, oblivious: ")


def test_caveats_are_printed_once_with_who_says_it(told: Told) -> None:
    lines = told({"hasher": "doubtful", "attack": ["none", "toy"]}, Doubtful)
    assert labeled(lines, "note") == ["hasher doubtful: random weights of 8 bits"]
    assert labeled(told({}), "note") == []


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
    assert labeled(lines, "details") == [
        "telling, silent: alpha bar 0.1235, start level 5",
        "telling strength=0.1: alpha bar 0.1235, start level 1",
        "telling strength=0.2: alpha bar 0.1235, start level 2",
    ]


def test_it_says_what_asks_and_what_is_searched(told: Told) -> None:
    assert labeled(told({"task": "i2t"}), "protocol")[0].startswith("image to text; 10 queries, ")
    assert labeled(told({"task": ["i2i", "t2t"]}), "protocol")[0].startswith("image to image, text to text; 10 queries")


def test_a_report_of_an_unfinished_run_says_so_first(toy_plan: Callable[..., Plan], store: Store) -> None:
    lines = lines_of(toy_plan({"task": ["i2i", "i2t"]}), store)
    assert lines[0] == ("unfinished", "2 of 2 cells have not run yet; the same `retbench run` goes on")
    assert not {"computed on", "versions", "wall time"} & {label for label, _ in lines}


class Flat(ToyHasher):
    """Gives every image the same code."""

    name: ClassVar[str] = "flat"

    def fit(self, data: TrainingData, ctx: Context) -> State:
        state = super().fit(data, ctx)
        return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


def test_a_hasher_that_has_collapsed_is_named(told: Told) -> None:
    lines = told({"hasher": "flat", "attack": ["none", "toy"]}, Flat)
    assert labeled(lines, "collapsed") == ["flat has 1 distinct codes for the 40 items of toy"]
    assert labeled(told({"bits": 32}), "collapsed") == []


@pytest.fixture
def resting(row: Callable[..., Row], evidence: Callable[..., Evidence]) -> Callable[..., Evidence]:
    """Make the evidence of two rows that rest on a step each."""

    def make(first: StepRecord, second: StepRecord) -> Evidence:
        rows = [replace(row("none", "none", 0.5, hasher=name), steps=(name,)) for name in ("dpsh", "dph")]
        return evidence(rows, {"dpsh": first, "dph": second})

    return make


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ({}, {"device": "cuda", "device_name": "H200"}, r"mixes devices: got cpu \(plain\) and cuda \(H200\)"),
        ({}, {"device_name": "fast"}, r"mixes devices: got cpu \(plain\) and cpu \(fast\)"),
        ({}, {"precision": "bf16"}, "mixes precisions: got bf16 and float32"),
        (
            {},
            {"versions": {"retbench": "1.1"}},
            "mixes versions: got retbench 1.0, torch 2.0 and retbench 1.1, torch 2.0",
        ),
        ({}, {"torch": "2.1"}, "mixes versions: .*torch 2.1"),
        ({}, {"versions": {}}, "mixes versions: .*retbench unrecorded"),
    ],
)
def test_numbers_of_several_devices_precisions_or_versions_are_refused_where_they_must_be_uniform(
    resting: Callable[..., Evidence], step: Callable[..., StepRecord], one: Any, other: Any, told: str
) -> None:
    mixed = resting(step(**one), step(**other))
    with pytest.raises(UserError, match=f"report --uniform: Table 1: it {told}.*, expected one; run the suite again"):
        check_uniform(mixed.rows, mixed, "Table 1")
    check_uniform(mixed.rows[:1], mixed, "Table 1")
    check_uniform(mixed.rows[1:], mixed, "Table 1")


def test_attacks_are_float32_under_every_precision_and_mix_nothing(
    resting: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    for first in (step("attack", "float32"), step("score", "")):
        alike = resting(first, step("encode", "bf16"))
        check_uniform(alike.rows, alike, "Table 1")
        (machine,) = labeled(list(provenance(alike.rows, alike)), "computed on")
        assert machine.endswith("networks in bf16")


def test_a_mixture_that_is_not_refused_is_told(
    resting: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    mixed = resting(step(seconds=40), step("purify", "bf16", 90, device="cuda", device_name="H200", torch="2.1"))
    lines = list(provenance(mixed.rows, mixed))
    assert labeled(lines, "computed on") == ["cpu (plain); cuda (H200), 2 threads; networks in bf16 and float32"]
    assert labeled(lines, "versions") == ["retbench 1.0, torch 2.0", "retbench 1.0, torch 2.1"]
    assert labeled(lines, "wall time") == ["2.2 minutes: purify 90 s, encode 40 s; at most 3 MiB of memory"]
    assert labeled(list(provenance(mixed.rows[:1], mixed)), "versions") == ["retbench 1.0, torch 2.0"]


def test_what_bf16_networks_change_of_codes_is_told(
    resting: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    steps = [step(precision="bf16")._replace(summary={"float32_agreement": share}) for share in (0.999, 0.9876)]
    mixed = resting(*steps)
    expected = "at least 98.76 % of the bits checked are those of float32 networks"
    assert labeled(list(provenance(mixed.rows, mixed)), "precision") == [expected]


def test_a_summary_tells_the_suite_who_computed_it_and_what_that_took(
    resting: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    told = resting(step(), step("purify", seconds=2))
    assert summary(told) == (
        ("suite", "suite, digest 0123456789abcdef"),
        ("computed on", "cpu (plain), 2 threads; networks in float32"),
        ("versions", "retbench 1.0, torch 2.0"),
        ("wall time", "3 s: purify 2 s, encode 1 s; at most 3 MiB of memory"),
    )


@pytest.mark.parametrize(
    ("pooled", "alone", "drawn", "told"),
    [
        ([2, 0], 1, "queries and seeds", "0, 1, 2; intervals over two seeds cannot reach beyond the two"),
        ([2, 0], 0, "queries and seeds", "0, 2; intervals over two seeds cannot reach beyond the two"),
        ([0, 1, 2], 0, "queries and seeds", "0, 1, 2"),
        ([], 1, "queries", "0, 1"),
    ],
)
def test_the_seeds_that_were_pooled_are_told(
    row: Rows, evidence: Callable[..., Evidence], pooled: list[int], alone: int, drawn: str, told: str
) -> None:
    first = row("none", "none", 0.5)
    both = replace(first, data={"seeds": pooled}, members=tuple(map(str, pooled)))
    rows = [both if pooled else first, row("p2p", "none", 0.5, seed=alone)]
    lines = list(provenance(rows, evidence(rows)))
    assert labeled(lines, "seeds") == [told]
    assert labeled(lines, "intervals")[0].startswith(f"95 % bootstrap over {drawn}; ")


def test_a_collapse_is_told_once_for_each_hasher_and_defense(row: Rows, evidence: Callable[..., Evidence]) -> None:
    data = {"distinct_codes": 2, "database": 40}
    cells = [("none", "none", "dph"), ("p2p", "none", "dph"), ("p2p", "atrdh", "dph"), ("p2p", "none", "dpsh")]
    rows = [replace(row(attack, defense, 0.5, hasher=hasher), data=data) for attack, defense, hasher in cells]
    assert labeled(list(provenance(rows, evidence(rows))), "collapsed") == [
        "dph has 2 distinct codes for the 40 items of digits",
        "dph behind atrdh has 2 distinct codes for the 40 items of digits",
        "dpsh has 2 distinct codes for the 40 items of digits",
    ]
