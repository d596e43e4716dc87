"""The provenance of a table."""

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
from retbench.metrics import Interval
from retbench.plan import Plan
from retbench.report.tables.provenance import check_uniform, report_provenance, table_provenance
from retbench.results import Evidence, Row, StepRecord, collect, make_score_reader, read_step_records
from retbench.store import Store
from retbench.testing.toys import ToyAttack, ToyHasher, ToyPurifier

Lines = list[tuple[str, str]]
Rows = Callable[..., Row]
Report = Callable[..., Lines]


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
    evidence = Evidence(
        "toys", "", "0123456789abcdef" * 4, rows, read_step_records(plan, store), make_score_reader(store)
    )
    return list(table_provenance(rows, evidence))


@pytest.fixture
def provenance_of(toy_plan: Callable[..., Plan], store: Store, executor: LocalExecutor) -> Report:
    """Return the provenance of a matrix, after planning and running it."""
    executor.versions = {"retbench": "1.2", "retbench-toys": "0.1"}

    def run(*arguments: object, **rest: object) -> Lines:
        plan = toy_plan(*arguments, **rest)
        assert executor.run(plan).failures == {}
        return lines_of(plan, store)

    return run


def texts_of(lines: Lines, label: str) -> list[str]:
    return [text for name, text in lines if name == label]


def test_it_starts_with_suite_protocol_intervals_and_seeds(provenance_of: Report) -> None:
    lines = provenance_of({"attack": "toy"})
    assert [label for label, _ in lines[:4]] == ["suite", "protocol", "intervals", "seeds"]
    assert lines[0][1] == "toys, digest 0123456789abcdef"
    assert lines[1][1].startswith("image to image; 10 queries, MAP rule full, tie-breaking stable, ")
    assert lines[2][1].startswith("95 % over queries: of shares, MAP and T-MAP bounded intervals, ")
    assert lines[3][1] == "0"


def test_the_draw_of_targets_is_identified_by_its_key(
    toy_plan: Callable[..., Plan], store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({})
    executor.run(plan)
    (key,) = (key for key, step in plan.steps.items() if step.name == "targets")
    assert texts_of(lines_of(plan, store), "targets") == [f"drawn by step {key[:16]} (toy)"]


def test_the_number_of_distinct_targets_is_that_of_the_score(
    toy_plan: Callable[..., Plan], store: Store, executor: LocalExecutor
) -> None:
    plan = toy_plan({"attack": "toy"})
    executor.run(plan)
    summary: Any = store.summary(plan.cells[0].key or "")
    lines = lines_of(plan, store)
    assert f"(distinct target labels: toy {summary['target_labels']})" in texts_of(lines, "intervals")[0]


def test_plain_options_of_attacks_are_listed(provenance_of: Report) -> None:
    lines = texts_of(provenance_of({"attack": ["none", "toy"]}), "attack options")
    assert len(lines) == 1
    assert lines[0].startswith("toy on toy: ")
    assert "eps 0.2" in lines[0]


def test_machine_versions_and_cost_are_those_of_the_steps(provenance_of: Report) -> None:
    lines = provenance_of({"attack": "toy"})
    (machine,) = texts_of(lines, "computed on")
    assert machine.startswith("cpu (")
    assert machine.endswith("; networks in float32")
    assert texts_of(lines, "versions") == [f"retbench 1.2, retbench-toys 0.1, torch {torch.__version__}"]
    (cost,) = texts_of(lines, "wall time")
    assert "attack 0 s" in cost
    assert "; peak memory " in cost
    assert cost.endswith(" MiB")


def test_a_budget_is_printed_once_in_gray_levels(provenance_of: Report) -> None:
    lines = provenance_of({"attack": ["none", "toy"], "defense": ["none", "toy"]})
    assert texts_of(lines, "threat") == ["toy on toy, targeted, oblivious: linf 51/255"]


def test_an_attack_without_a_budget_is_called_unbounded_with_its_measured_change(provenance_of: Report) -> None:
    (line,) = texts_of(provenance_of({"attack": "unbounded"}, Unbounded), "threat")
    assert line.startswith("unbounded on toy, targeted, oblivious: unbounded, measured root mean square change ")
    assert 30 < float(line.split("change ")[1].split("/255")[0]) <= 51  # every pixel moves by 51, unless cut to [0, 1]


def test_the_threat_line_has_the_goal(provenance_of: Report) -> None:
    (line,) = texts_of(provenance_of({"attack": "toy-untargeted"}), "threat")
    assert line.startswith("toy-untargeted on toy, untargeted, oblivious: ")


def test_caveats_are_printed_once_with_their_component(provenance_of: Report) -> None:
    lines = provenance_of({"hasher": "doubtful", "attack": ["none", "toy"]}, Doubtful)
    assert texts_of(lines, "note") == ["hasher doubtful: random weights of 8 bits"]
    assert texts_of(provenance_of({}), "note") == []


class Detailed(ToyPurifier):
    """Records details."""

    name: ClassVar[str] = "detailed"

    strength: float = 0.5

    def details(self, facts: Facts) -> dict[str, Json]:
        return {"start_level": round(10 * self.strength), "alpha_bar": 0.123456}


class SameDetails(Detailed):
    """Records the same details under another name."""

    name: ClassVar[str] = "same-details"


def test_equal_details_are_printed_once_with_all_their_components(provenance_of: Report) -> None:
    swept = {"detailed": {"sweep": {"strength": [0.1, 0.2]}}}
    lines = provenance_of(
        {"attack": ["none", "toy"], "defense": ["none", "detailed", swept, "same-details"]}, Detailed, SameDetails
    )
    assert texts_of(lines, "derived values") == [
        "detailed, same-details: alpha bar 0.1235, start level 5",
        "detailed strength=0.1: alpha bar 0.1235, start level 1",
        "detailed strength=0.2: alpha bar 0.1235, start level 2",
    ]


def test_the_protocol_names_the_tasks(provenance_of: Report) -> None:
    assert texts_of(provenance_of({"task": "i2t"}), "protocol")[0].startswith("image to text; 10 queries, ")
    assert texts_of(provenance_of({"task": ["i2i", "t2t"]}), "protocol")[0].startswith(
        "image to image, text to text; 10 queries"
    )


def test_an_unfinished_run_is_reported_first(toy_plan: Callable[..., Plan], store: Store) -> None:
    lines = lines_of(toy_plan({"task": ["i2i", "i2t"]}), store)
    assert lines[0] == ("unfinished", "2 of 2 cells have not run yet; repeat `retbench run` to continue")
    assert not {"computed on", "versions", "wall time"} & {label for label, _ in lines}


class Flat(ToyHasher):
    """Gives every image the same code."""

    name: ClassVar[str] = "flat"

    def fit(self, data: TrainingData, ctx: Context) -> State:
        state = super().fit(data, ctx)
        return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


@pytest.fixture
def evidence_of(row: Callable[..., Row], evidence: Callable[..., Evidence]) -> Callable[..., Evidence]:
    """Make the evidence of two rows with one step each."""

    def make(first: StepRecord, second: StepRecord) -> Evidence:
        rows = [replace(row("none", "none", 0.5, hasher=name), steps=(name,)) for name in ("dpsh", "dph")]
        return evidence(rows, {"dpsh": first, "dph": second})

    return make


@pytest.mark.parametrize(
    ("one", "other", "message"),
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
def test_check_uniform_refuses_several_devices_precisions_or_versions(
    evidence_of: Callable[..., Evidence], step: Callable[..., StepRecord], one: Any, other: Any, message: str
) -> None:
    mixed = evidence_of(step(**one), step(**other))
    with pytest.raises(
        UserError, match=f"report --uniform: Table 1: it {message}.*, expected one; run the suite again"
    ):
        check_uniform(mixed.rows, mixed, "Table 1")
    check_uniform(mixed.rows[:1], mixed, "Table 1")
    check_uniform(mixed.rows[1:], mixed, "Table 1")


def test_trainings_with_different_numbers_of_threads_are_noted(
    evidence_of: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    mixed = evidence_of(step("fit_part", threads=1), step("fit", threads=2))
    (note,) = texts_of(list(table_provenance(mixed.rows, mixed)), "note")
    assert note.startswith("trained with different numbers of threads, which change MAP by rounding alone: 1 thread: ")
    assert "; 2 threads: " in note
    assert texts_of(list(report_provenance(mixed)), "note") == [note]
    assert texts_of(list(table_provenance(mixed.rows[1:], mixed)), "note") == []
    with pytest.raises(UserError, match="it mixes numbers of threads in training: got 1 thread and 2 threads, "):
        check_uniform(mixed.rows, mixed, "Table 1")
    check_uniform(mixed.rows[1:], mixed, "Table 1")


def test_threads_of_other_steps_and_devices_are_not_noted(
    evidence_of: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    for other in (step("score", threads=1), step("fit", threads=1, device="cuda", device_name="H200")):
        alike = evidence_of(step("fit", threads=2), other)
        assert texts_of(list(table_provenance(alike.rows, alike)), "note") == []


def test_check_uniform_ignores_the_precision_of_attacks(
    evidence_of: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    for first in (step("attack", "float32"), step("score", "")):
        uniform = evidence_of(first, step("encode", "bf16"))
        check_uniform(uniform.rows, uniform, "Table 1")
        (machine,) = texts_of(list(table_provenance(uniform.rows, uniform)), "computed on")
        assert machine.endswith("networks in bf16")


def test_provenance_lists_all_devices_precisions_and_versions(
    evidence_of: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    mixed = evidence_of(step(seconds=40), step("purify", "bf16", 90, device="cuda", device_name="H200", torch="2.1"))
    lines = list(table_provenance(mixed.rows, mixed))
    assert texts_of(lines, "computed on") == ["cpu (plain); cuda (H200), 2 threads; networks in bf16 and float32"]
    assert texts_of(lines, "versions") == ["retbench 1.0, torch 2.0", "retbench 1.0, torch 2.1"]
    assert texts_of(lines, "wall time") == ["2.2 minutes: purify 90 s, encode 40 s; peak memory 3 MiB"]
    assert texts_of(list(table_provenance(mixed.rows[:1], mixed)), "versions") == ["retbench 1.0, torch 2.0"]


def test_the_agreement_of_bf16_codes_with_float32_is_reported(
    evidence_of: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    steps = [step(precision="bf16")._replace(summary={"float32_agreement": share}) for share in (0.999, 0.9876)]
    mixed = evidence_of(*steps)
    expected = "at least 98.76 % of the checked code bits equal those of float32 networks"
    assert texts_of(list(table_provenance(mixed.rows, mixed)), "precision") == [expected]


def test_report_provenance_has_suite_machines_versions_and_cost(
    evidence_of: Callable[..., Evidence], step: Callable[..., StepRecord]
) -> None:
    evidence = evidence_of(step(), step("purify", seconds=2))
    assert report_provenance(evidence) == (
        ("suite", "suite, digest 0123456789abcdef"),
        ("computed on", "cpu (plain), 2 threads; networks in float32"),
        ("versions", "retbench 1.0, torch 2.0"),
        ("wall time", "3 s: purify 2 s, encode 1 s; peak memory 3 MiB"),
    )


@pytest.mark.parametrize(
    ("pooled", "alone", "resampled", "seeds"),
    [
        (
            [2, 0],
            1,
            "queries and seeds",
            "0, 1, 2; intervals over only two seeds understate the variation between seeds",
        ),
        ([2, 0], 0, "queries and seeds", "0, 2; intervals over only two seeds understate the variation between seeds"),
        ([0, 1, 2], 0, "queries and seeds", "0, 1, 2"),
        ([], 1, "queries", "0, 1"),
    ],
)
def test_pooled_seeds_are_listed(
    row: Rows, evidence: Callable[..., Evidence], pooled: list[int], alone: int, resampled: str, seeds: str
) -> None:
    first = row("none", "none", 0.5)
    both = replace(first, data={"seeds": pooled}, members=tuple(map(str, pooled)))
    rows = [both if pooled else first, row("p2p", "none", 0.5, seed=alone)]
    lines = list(table_provenance(rows, evidence(rows)))
    assert texts_of(lines, "seeds") == [seeds]
    assert texts_of(lines, "intervals")[0].startswith(f"95 % over {resampled}: ")


def test_attacks_without_a_budget_are_noted_beside_those_with_one(row: Rows, evidence: Callable[..., Evidence]) -> None:
    free, bounded = ({"goal": "targeted", "norm": norm, "eps": eps} for norm, eps in ((None, None), ("linf", 0.1)))
    rows = [replace(row("prosgan", "none", 0.5), budget=free), replace(row("p2p", "none", 0.5), budget=bounded)]
    rows = [replace(each, metrics={**each.metrics, "perceptibility": Interval(0.1, 0.1, 0.1)}) for each in rows]
    assert texts_of(list(table_provenance(rows, evidence(rows))), "note") == [
        "prosgan: no budget limits the change of an image, as it does for other attacks here"
    ]
    for alone in rows:
        assert texts_of(list(table_provenance([alone], evidence([alone]))), "note") == []


def test_the_threat_line_of_a_black_box_attack_has_its_access_and_queries(provenance_of: Report) -> None:
    lines = provenance_of({"attack": ["toy", "toy-score"]})
    assert texts_of(lines, "threat") == [
        "toy on toy, targeted, oblivious: linf 51/255",
        "toy-score on toy, targeted, oblivious: linf 51/255; "
        "score access, at most 20 queries a query image, mean used 20.0",
    ]


def test_swept_budgets_are_listed_with_the_range_of_their_queries(provenance_of: Report) -> None:
    lines = provenance_of({"attack": {"toy-score": {"sweep": {"query_budget": [2, 5]}}}})
    (line,) = texts_of(lines, "threat")
    assert line.endswith("; score access, at most 2 or 5 queries a query image, mean used 2.0 to 5.0")
