"""Emphasis, captions, seeds, pairs, published numbers and provenance of tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from retbench.errors import UserError
from retbench.metrics import Interval, compare_pairs, detectable_difference
from retbench.report import Layout, Table, pivot, read_layout
from retbench.report.tables.pivot import DAGGER
from retbench.report.tables.table import PublishedComparator, PublishedComparison, PublishedValue
from retbench.results import Evidence, Row, StepRecord

Rows = Callable[..., Row]
Gather = Callable[..., Evidence]
MAP = ({"name": "map", "label": "MAP", "better": "higher"},)
GUIDANCE = read_layout("guidance-effect", Path())
BASE = 0.3 + torch.rand(30, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 5


def layout(**changes: Any) -> Layout:
    return Layout(**{"title": "t", "columns": ("hasher",), "metrics": MAP, **changes})


def single_table(evidence: Evidence, by: Layout, comparator: PublishedComparator | None = None) -> Table:
    (table,) = pivot(evidence, by, comparator)
    return table


def noisy(shift: float, seed: int) -> list[float]:
    """Return the common base of all queries, shifted, with individual noise of mean 0."""
    noise = torch.randn(30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (BASE + shift + (noise - noise.mean()) / 20).clamp(0, 1).tolist()


@pytest.fixture
def defenses(scored: Rows) -> list[Row]:
    """An attack without a defense and behind two defenses, one of them far better."""
    return [
        scored("p2p", name, noisy(shift, at))
        for at, (name, shift) in enumerate((("none", 0), ("ddpm", 0.1), ("retpur", 0.3)))
    ]


def test_the_best_of_each_attack_and_column_is_bold_and_the_caption_explains_it(
    defenses: list[Row], evidence: Gather
) -> None:
    table = single_table(evidence(defenses), layout(caption="Percent."))
    assert [line.values[0].emphasis for line in table.rows] == ["", "", "best"]
    scores = evidence(defenses).scores
    test = compare_pairs(*(scores(row.key)["map"] for row in defenses[1:]))
    points = 100 * detectable_difference(test.standard_error, test.degrees_of_freedom)
    assert table.caption == (
        "Percent. Bold: the best defense among cells that differ only in defense, if significantly different from all "
        "others (paired t-tests over queries, Holm-adjusted over 1 comparison, 5 %). Underlined: otherwise, the best "
        "and those not significantly different from it. Paired differences that are detectable with a power of 80 % "
        f"(first step of Holm's adjustment): DDPM and RetPur {points:.2f} points of MAP."
    )


def test_the_caption_counts_comparisons_and_the_detectable_difference_uses_their_level(
    defenses: list[Row], evidence: Gather
) -> None:
    table = single_table(evidence(defenses), layout(contest={"without": []}))
    assert "Holm-adjusted over 3 comparisons, 5 %" in table.caption
    tests = [
        compare_pairs(*(evidence(defenses).scores(row.key)["map"] for row in two)) for two in combinations(defenses, 2)
    ]
    for test in tests:
        points = 100 * detectable_difference(test.standard_error, test.degrees_of_freedom, level=0.05 / 3)
        assert f" {points:.2f} points of MAP" in table.caption


def test_a_caption_names_the_axis_that_competes(scored: Rows, evidence: Gather) -> None:
    rows = [scored(name, "none", noisy(shift, at)) for at, (name, shift) in enumerate((("p2p", 0), ("dhta", 0.3)))]
    caption = single_table(evidence(rows), layout(contest={"axis": "attack"})).caption
    assert caption.startswith("Bold: the best attack among cells that differ only in attack, ")


def test_a_caption_without_a_contest_does_not_explain_bold(defenses: list[Row], evidence: Gather) -> None:
    table = single_table(evidence(defenses), layout(contest=None))
    start = (
        "Paired differences that are detectable with a power of 80 % (single test at 5 %, median): neighboring rows "
    )
    assert table.caption.startswith(start)
    assert table.caption.endswith(" points of MAP.")


def test_a_score_that_two_cells_share_is_emphasized_only_where_it_is_best(scored: Rows, evidence: Gather) -> None:
    oblivious = [scored("p2p", "atrdh", noisy(0.2, 0)), scored("p2p", "retpur", noisy(0.4, 1))]
    adaptive = [replace(oblivious[0], threat="adaptive"), scored("p2p", "retpur", noisy(0.0, 2), threat="adaptive")]
    table = single_table(evidence([*oblivious, *adaptive]), layout(columns=("threat",)))
    assert [[value.emphasis for value in line.values] for line in table.rows] == [["", "best"], ["best", ""]]


def test_seeds_are_pooled_unless_the_layout_has_an_axis_for_them(scored: Rows, evidence: Gather) -> None:
    rows = [scored("p2p", "none", [value, value + 0.1], seed=seed) for seed, value in enumerate((0.2, 0.6))]
    (line,) = single_table(evidence(rows), layout()).rows
    assert line.values[0].interval is not None
    assert line.values[0].interval.value == pytest.approx(0.45)
    assert dict(line.values[0].details)["keys of 2 seeds"]
    apart = single_table(evidence(rows), layout(columns=("seed",)))
    assert apart.columns == (("0",), ("1",))
    assert [value.interval for value in apart.rows[0].values] == [row.metrics["map"] for row in rows]
    one = single_table(evidence(rows), layout(select=[{"seed": 1}]))
    assert one.rows[0].values[0].interval == rows[1].metrics["map"]


def test_a_cell_without_its_first_seed_keeps_its_position(scored: Rows, evidence: Gather) -> None:
    rows = [
        scored("p2p", name, noisy(shift, seed), seed=seed)
        for name, shift in (("ddpm", 0.0), ("retpur", 0.3))
        for seed in (0, 1)
    ]
    rows[0] = replace(rows[0], status="failed", reason="NaN", metrics={})
    table = single_table(evidence(rows), layout())
    assert [line.label for line in table.rows] == ["DDPM-P2P", "RetPur-P2P"]


def test_a_number_without_some_seeds_has_footnotes(scored: Rows, evidence: Gather) -> None:
    rows = [scored("p2p", name, noisy(0.1 * seed, seed), seed=seed) for name in ("ddpm", "retpur") for seed in range(3)]
    rows[1] = replace(rows[1], status="failed", reason="NaN", metrics={})
    rows[2] = replace(rows[2], status="missing", reason="damaged", metrics={})
    table = single_table(evidence(rows), layout())
    (lacking,), (whole,) = (line.values for line in table.rows)
    assert lacking.interval is not None
    assert (lacking.mark, lacking.interval.value) == ("", pytest.approx(rows[0].metrics["map"].value))
    assert (whole.notes, lacking.notes) == ((), (DAGGER, f"{DAGGER}2"))
    footnotes = dict(table.footnotes)
    assert [footnotes[mark] for mark in lacking.notes] == [
        "without seed 1, failed: NaN",
        "without seed 2, missing: damaged",
    ]


def test_paired_differences_have_neither_emphasis_nor_costs(scored: Rows, evidence: Gather) -> None:
    cost = {"attack_seconds_per_query": 1.0, "attack_peak_memory": 1}
    rows = [
        replace(scored("dhta", name, {"map": values, "t_map": values}), cost=cost)
        for name, values in (("retpur", [0.9, 0.5, 0.7]), ("ddpm", [0.8, 0.6, 0.1]))
    ]
    table = single_table(evidence(rows), GUIDANCE)
    assert [line.label for line in table.rows] == ["DHTA", "DHTA"]
    values = [line.values[0] for line in table.rows]
    assert [value.interval.value for value in values if value.interval] == [pytest.approx(0.2)] * 2
    assert [value.emphasis for value in values] == ["", ""]
    assert table.costs == ()


def test_a_paired_layout_without_a_pair_gives_no_table(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", [0.5]), scored("p2p", "ddpm", [0.5])]
    assert pivot(evidence(rows), GUIDANCE) == []


@pytest.mark.parametrize(
    ("status", "reason", "mark", "footnotes"),
    [
        ("failed", "NaN", DAGGER, {DAGGER: "failed: NaN"}),
        ("skipped", "no weights", "a", {"a": "skipped: no weights"}),
        ("missing", "", "missing", {}),
    ],
)
def test_a_pair_with_a_cell_that_is_not_done_has_its_reason(
    scored: Rows, evidence: Gather, status: Any, reason: str, mark: str, footnotes: dict[str, str]
) -> None:
    rows = [scored("dhta", name, {"map": noisy(0.0, 1), "t_map": noisy(0.0, 2)}) for name in ("retpur", "ddpm")]
    rows[1] = replace(rows[1], status=status, reason=reason, metrics={})
    table = single_table(evidence(rows), GUIDANCE)
    assert [(line.label, value.mark) for line in table.rows for value in line.values] == [("DHTA", mark)] * 2
    assert dict(table.footnotes) == footnotes


def compare(row: Row, metric: str, interval: Interval) -> PublishedComparison | None:
    """Compare MAP with 50 %, in place of a ledger."""
    if metric != "map":
        return None
    published = PublishedValue((50.0,), 100 * interval.value - 50.0, "differs", f"Paper, {row.attack}")
    return PublishedComparison(published, ("not stated how", f"of {row.attack}"))


def test_numbers_have_their_published_values_and_footnotes(row: Rows, evidence: Gather) -> None:
    metrics = ({"name": "map", "label": "MAP"}, {"name": "t_map", "label": "T-MAP"})
    table = single_table(
        evidence([row("p2p", "none", 0.5), row("dhta", "none", 0.75)]), layout(metrics=metrics), compare
    )
    values = [line.values[0] for line in table.rows]
    assert [value.published for value in values] == [
        PublishedValue((50.0,), 0.0, "differs", "Paper, p2p"),
        PublishedValue((50.0,), 25.0, "differs", "Paper, dhta"),
        None,
        None,
    ]
    assert [value.notes for value in values] == [("a", "b"), ("a", "c"), (), ()]
    assert table.footnotes == (("a", "not stated how"), ("b", "of p2p"), ("c", "of dhta"))


def test_differences_and_shares_have_no_published_values(scored: Rows, evidence: Gather) -> None:
    values = [0.9, 0.5, 0.7]
    rows = [scored("dhta", name, {"map": values, "t_map": values}) for name in ("retpur", "ddpm")]
    shares = layout(metrics=({"name": "map", "label": "at least half", "at": 0.5},))
    for by in (GUIDANCE, shares):
        table = single_table(evidence(rows), by, compare)
        assert [value.published for line in table.rows for value in line.values] == [None] * 2


def test_numbers_have_details_and_tables_have_provenance(defenses: list[Row], evidence: Gather) -> None:
    tables = pivot(evidence([*defenses, replace(defenses[0], bits=16)]), layout())
    assert ("key", defenses[0].key[:16]) in tables[0].rows[0].values[0].details
    assert [label for label, _ in tables[0].provenance][:2] == ["suite", "protocol"]


def test_uniform_refuses_only_tables_that_mix_devices(
    row: Rows, evidence: Gather, step: Callable[..., StepRecord]
) -> None:
    def rows(bits: int) -> list[Row]:
        by_step = {"fast": row("p2p", "none", 0.5, bits=16), "slow": row("dhta", "none", 0.5, bits=bits)}
        return [replace(each, steps=(name,)) for name, each in by_step.items()]

    steps = {"fast": step(), "slow": step(device="cuda", device_name="H200")}
    with pytest.raises(UserError, match=r"report --uniform: t: it mixes devices: got cpu .* and cuda"):
        pivot(evidence(rows(16), steps), layout(), uniform=True)
    assert len(pivot(evidence(rows(16), steps), layout())) == 1
    assert len(pivot(evidence(rows(32), steps), layout(), uniform=True)) == 2  # a page each
