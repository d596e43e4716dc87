"""What a table says beyond its numbers: emphasis, seeds, pairs, what is published, what it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from retbench.errors import UserError
from retbench.metrics import Interval, compare_pairs, detectable_difference
from retbench.report import Layout, Table, pivot, read_layout
from retbench.report.tables.pivot import DAGGER
from retbench.report.tables.table import Judgment, Published
from retbench.results import Evidence, Row, StepRecord

Rows = Callable[..., Row]
Gather = Callable[..., Evidence]
MAP = ({"name": "map", "label": "MAP", "better": "higher"},)
GUIDANCE = read_layout("guidance-effect", Path())
BASE = torch.rand(30, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 2


def layout(**changes: Any) -> Layout:
    return Layout(**{"title": "t", "columns": ("hasher",), "metrics": MAP, **changes})


def only(evidence: Evidence, by: Layout, judge: Any = None) -> Table:
    (table,) = pivot(evidence, by, judge)
    return table


def near(shift: float, seed: int) -> list[float]:
    """Return the base of all queries shifted, each with a little of its own."""
    own = torch.randn(30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (BASE + shift + (own - own.mean()) / 20).tolist()


@pytest.fixture
def rivals(scored: Rows) -> list[Row]:
    """An attack without a defense and behind two, one of them far better."""
    return [
        scored("p2p", name, near(shift, at))
        for at, (name, shift) in enumerate((("none", 0), ("ddpm", 0.1), ("retpur", 0.3)))
    ]


def test_the_best_of_each_attack_and_column_is_set_off_and_the_caption_says_how(
    rivals: list[Row], evidence: Gather
) -> None:
    table = only(evidence(rivals), layout(caption="Percent."))
    assert [line.values[0].emphasis for line in table.rows] == ["", "", "best"]
    scores = evidence(rivals).scores
    test = compare_pairs(*(scores(row.key)["map"] for row in rivals[1:]))
    points = 100 * detectable_difference(test.error, test.freedom)
    assert table.caption == (
        "Percent. Bold is the best defense among cells that differ in nothing else, if separated from every other "
        "(paired t-tests over queries, Holm over 1 comparison, 5 %); else it and those it cannot be told from are "
        f"underlined. A paired difference of {points:.2f} points of MAP would be found 80 times in 100 at Holm's first "
        "step (median of the pairs)."
    )


def test_several_comparisons_are_counted_and_share_their_level(rivals: list[Row], evidence: Gather) -> None:
    table = only(evidence(rivals), layout(contest={"without": []}))
    assert "Holm over 3 comparisons, 5 %" in table.caption
    tests = [
        compare_pairs(*(evidence(rivals).scores(row.key)["map"] for row in two)) for two in combinations(rivals, 2)
    ]
    points = 100 * median(detectable_difference(test.error, test.freedom, level=0.05 / 3) for test in tests)
    assert f"A paired difference of {points:.2f} points of MAP" in table.caption


def test_a_caption_names_what_competes(scored: Rows, evidence: Gather) -> None:
    rows = [scored(name, "none", near(shift, at)) for at, (name, shift) in enumerate((("p2p", 0), ("dhta", 0.3)))]
    caption = only(evidence(rows), layout(contest={"axis": "attack"})).caption
    assert caption.startswith("Bold is the best attack among cells that differ in nothing else, ")


def test_a_caption_without_a_contest_says_nothing_of_bold(rivals: list[Row], evidence: Gather) -> None:
    table = only(evidence(rivals), layout(contest=None))
    assert table.caption.startswith("A paired difference of ")
    assert table.caption.endswith(
        " points of MAP would be found 80 times in 100 by a single test at 5 % (median of neighboring rows)."
    )


def test_a_score_that_two_cells_share_is_the_best_of_its_own_contest_only(scored: Rows, evidence: Gather) -> None:
    oblivious = [scored("p2p", "atrdh", near(0.2, 0)), scored("p2p", "retpur", near(0.4, 1))]
    adaptive = [replace(oblivious[0], threat="adaptive"), scored("p2p", "retpur", near(0.0, 2), threat="adaptive")]
    table = only(evidence([*oblivious, *adaptive]), layout(columns=("threat",)))
    assert [[value.emphasis for value in line.values] for line in table.rows] == [["", "best"], ["best", ""]]


def test_seeds_are_pooled_unless_the_layout_lays_them_out(scored: Rows, evidence: Gather) -> None:
    rows = [scored("p2p", "none", [value, value + 0.1], seed=seed) for seed, value in enumerate((0.2, 0.6))]
    (line,) = only(evidence(rows), layout()).rows
    assert line.values[0].interval is not None
    assert line.values[0].interval.value == pytest.approx(0.45)
    assert dict(line.values[0].details)["keys of 2 seeds"]
    apart = only(evidence(rows), layout(columns=("seed",)))
    assert apart.columns == (("0",), ("1",))
    assert [value.interval for value in apart.rows[0].values] == [row.metrics["map"] for row in rows]
    one = only(evidence(rows), layout(select=[{"seed": 1}]))
    assert one.rows[0].values[0].interval == rows[1].metrics["map"]


def test_a_cell_without_its_first_seed_stays_beside_the_others(scored: Rows, evidence: Gather) -> None:
    rows = [
        scored("p2p", name, near(shift, seed), seed=seed)
        for name, shift in (("ddpm", 0.0), ("retpur", 0.3))
        for seed in (0, 1)
    ]
    rows[0] = replace(rows[0], status="failed", reason="NaN", metrics={})
    table = only(evidence(rows), layout())
    assert [line.label for line in table.rows] == ["DDPM-P2P", "RetPur-P2P"]


def test_a_number_that_lacks_a_seed_says_so(scored: Rows, evidence: Gather) -> None:
    rows = [scored("p2p", name, near(0.1 * seed, seed), seed=seed) for name in ("ddpm", "retpur") for seed in range(3)]
    rows[1] = replace(rows[1], status="failed", reason="NaN", metrics={})
    rows[2] = replace(rows[2], status="missing", reason="damaged", metrics={})
    table = only(evidence(rows), layout())
    (lacking,), (whole,) = (line.values for line in table.rows)
    assert lacking.interval is not None
    assert (lacking.mark, lacking.interval.value) == ("", pytest.approx(rows[0].metrics["map"].value))
    assert (whole.notes, lacking.notes) == ((), (DAGGER, f"{DAGGER}2"))
    told = dict(table.footnotes)
    assert [told[mark] for mark in lacking.notes] == ["without seed 1, failed: NaN", "without seed 2, missing: damaged"]


def test_pairs_are_differences_with_neither_emphasis_nor_costs(scored: Rows, evidence: Gather) -> None:
    cost = {"attack_seconds_per_query": 1.0, "attack_peak_memory": 1}
    rows = [
        replace(scored("dhta", name, {"map": values, "t_map": values}), cost=cost)
        for name, values in (("retpur", [0.9, 0.5, 0.7]), ("ddpm", [0.8, 0.6, 0.1]))
    ]
    table = only(evidence(rows), GUIDANCE)
    assert [line.label for line in table.rows] == ["DHTA", "DHTA"]
    values = [line.values[0] for line in table.rows]
    assert [value.interval.value for value in values if value.interval] == [pytest.approx(0.2)] * 2
    assert [value.emphasis for value in values] == ["", ""]
    assert table.costs == ()


def test_a_paired_layout_without_a_pair_is_no_table(scored: Rows, evidence: Gather) -> None:
    rows = [scored("dhta", "retpur", [0.5]), scored("p2p", "ddpm", [0.5])]
    assert pivot(evidence(rows), GUIDANCE) == []


@pytest.mark.parametrize(
    ("status", "reason", "mark", "told"),
    [
        ("failed", "NaN", DAGGER, {DAGGER: "failed: NaN"}),
        ("skipped", "no weights", "a", {"a": "skipped: no weights"}),
        ("missing", "", "missing", {}),
    ],
)
def test_a_pair_that_lacks_a_side_says_why(
    scored: Rows, evidence: Gather, status: Any, reason: str, mark: str, told: dict[str, str]
) -> None:
    rows = [scored("dhta", name, {"map": near(0.0, 1), "t_map": near(0.0, 2)}) for name in ("retpur", "ddpm")]
    rows[1] = replace(rows[1], status=status, reason=reason, metrics={})
    table = only(evidence(rows), GUIDANCE)
    assert [(line.label, value.mark) for line in table.rows for value in line.values] == [("DHTA", mark)] * 2
    assert dict(table.footnotes) == told


def printed(row: Row, metric: str, interval: Interval) -> Judgment | None:
    """Stands for a ledger: what a paper prints of MAP."""
    if metric != "map":
        return None
    published = Published((50.0,), 100 * interval.value - 50.0, "differs", f"Paper, {row.attack}")
    return Judgment(published, ("not stated how", f"of {row.attack}"))


def test_what_a_paper_printed_stands_beside_its_number_with_footnotes(row: Rows, evidence: Gather) -> None:
    metrics = ({"name": "map", "label": "MAP"}, {"name": "t_map", "label": "T-MAP"})
    table = only(evidence([row("p2p", "none", 0.5), row("dhta", "none", 0.75)]), layout(metrics=metrics), printed)
    values = [line.values[0] for line in table.rows]
    assert [value.published for value in values] == [
        Published((50.0,), 0.0, "differs", "Paper, p2p"),
        Published((50.0,), 25.0, "differs", "Paper, dhta"),
        None,
        None,
    ]
    assert [value.notes for value in values] == [("a", "b"), ("a", "c"), (), ()]
    assert table.footnotes == (("a", "not stated how"), ("b", "of p2p"), ("c", "of dhta"))


def test_what_a_paper_printed_does_not_stand_beside_differences_and_shares(scored: Rows, evidence: Gather) -> None:
    values = [0.9, 0.5, 0.7]
    rows = [scored("dhta", name, {"map": values, "t_map": values}) for name in ("retpur", "ddpm")]
    shares = layout(metrics=({"name": "map", "label": "at least half", "at": 0.5},))
    for by in (GUIDANCE, shares):
        table = only(evidence(rows), by, printed)
        assert [value.published for line in table.rows for value in line.values] == [None] * 2


def test_each_number_and_each_table_tell_what_they_rest_on(rivals: list[Row], evidence: Gather) -> None:
    tables = pivot(evidence([*rivals, replace(rivals[0], bits=16)]), layout())
    assert ("key", rivals[0].key[:16]) in tables[0].rows[0].values[0].details
    assert [label for label, _ in tables[0].provenance][:2] == ["suite", "protocol"]


def test_tables_are_refused_that_mix_what_must_be_uniform_and_others_are_not(
    row: Rows, evidence: Gather, step: Callable[..., StepRecord]
) -> None:
    def rows(bits: int) -> list[Row]:
        made = {"fast": row("p2p", "none", 0.5, bits=16), "slow": row("dhta", "none", 0.5, bits=bits)}
        return [replace(each, steps=(name,)) for name, each in made.items()]

    steps = {"fast": step(), "slow": step(device="cuda", device_name="H200")}
    with pytest.raises(UserError, match=r"report --uniform: t: it mixes devices: got cpu .* and cuda"):
        pivot(evidence(rows(16), steps), layout(), uniform=True)
    assert len(pivot(evidence(rows(16), steps), layout())) == 1
    assert len(pivot(evidence(rows(32), steps), layout(), uniform=True)) == 2  # a page each
