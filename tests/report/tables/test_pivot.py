"""Tables from rows: order, names, pages, blocks, footnotes, metrics, tie ranges and costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retbench.errors import LayoutError
from retbench.metrics import Interval
from retbench.report import Layout, Table, pivot, read_layout
from retbench.report.tables.pivot import DAGGER
from retbench.results import Evidence, Row, TieRange

Rows = Callable[..., Row]
Gather = Callable[..., Evidence]
TABLE_1 = read_layout("retpur-table-1", Path())
MAP = ({"name": "map", "label": "MAP"},)


@pytest.fixture
def rows(row: Rows) -> list[Row]:
    """Every attack behind every defense, at one MAP."""
    return [row(attack, defense, 0.5) for attack in ("none", "dhta", "p2p") for defense in ("none", "retpur", "ddpm")]


def layout(**changes: Any) -> Layout:
    return Layout(**{"title": "t", "columns": ("hasher",), "metrics": MAP, **changes})


def single_table(evidence: Evidence, by: Layout) -> Table:
    (table,) = pivot(evidence, by)
    return table


def labels(table: Table, block: str) -> list[str]:
    return [line.label for line in table.rows if line.block == block]


def test_rows_are_named_and_ordered_as_in_the_paper(rows: list[Row], evidence: Gather) -> None:
    assert labels(single_table(evidence(rows), TABLE_1), "MAP") == [
        "original",
        "P2P",
        "DDPM-P2P",
        "RetPur-P2P",
        "DHTA",
        "DDPM-DHTA",
        "RetPur-DHTA",
    ]


def test_table_7_has_clean_queries_behind_a_defense(rows: list[Row], evidence: Gather) -> None:
    table = single_table(evidence(rows), read_layout("retpur-table-7", Path()))
    assert labels(table, "T-MAP") == ["original", "DDPM", "RetPur"]


def test_without_compound_names_rows_of_one_attack_are_named_by_the_defense(row: Rows, evidence: Gather) -> None:
    plain = layout(compound=False)
    one = [row(attack, defense, 0.5) for attack, defense in (("none", "none"), ("p2p", "none"), ("p2p", "retpur"))]
    assert labels(single_table(evidence(one), plain), "MAP") == ["original", "P2P", "RetPur"]
    several = [*one, row("dhta", "retpur", 0.5)]
    assert labels(single_table(evidence(several), plain), "MAP") == ["original", "P2P", "RetPur-P2P", "RetPur-DHTA"]


def test_columns_are_grouped_by_dataset_then_hasher(row: Rows, evidence: Gather) -> None:
    rows = [row("none", "none", 0.5, dataset=d, hasher=h) for d in ("scenes", "flickr25k") for h in ("dph", "dpsh")]
    table = single_table(evidence(rows), TABLE_1)
    assert table.columns == (("FLICKR-25K", "DPSH"), ("FLICKR-25K", "DPH"), ("scenes", "DPSH"), ("scenes", "DPH"))


def test_an_attack_may_have_another_name_inside_a_compound_name(row: Rows, evidence: Gather) -> None:
    rows = [row("prosgan", defense, 0.5) for defense in ("none", "retpur", "ddpm")]
    assert labels(single_table(evidence(rows), TABLE_1), "MAP") == ["ProS-GAN", "DDPM-ProS", "RetPur-ProS"]


CROSS_MODAL = ["WIKI", "IAPR", "FLICKR-25K", "MS-COCO", "NUS-WIDE"]


@pytest.mark.parametrize(
    ("number", "axes", "names"),
    [
        *((number, {"task": "i2i"}, CROSS_MODAL[2:]) for number in (1, 7)),
        *((number, {"task": "i2i"}, CROSS_MODAL) for number in (2, 8)),
        *((number, {"task": "i2t"}, CROSS_MODAL) for number in (3, 9)),
    ],
)
def test_datasets_are_ordered_and_named_as_in_the_paper(
    row: Rows, evidence: Gather, number: int, axes: dict[str, str], names: list[str]
) -> None:
    datasets = ("nuswide", "mscoco", "flickr25k", "iapr-tc12", "wikipedia")[: len(names)]
    rows = [row("none", "none", 0.5, dataset=dataset, **axes) for dataset in datasets]
    table = single_table(evidence(rows), read_layout(f"retpur-table-{number}", Path()))
    assert [dataset for dataset, _ in table.columns] == names


def test_an_axis_that_varies_outside_rows_and_columns_makes_pages(row: Rows, evidence: Gather) -> None:
    tables = pivot(evidence([row("none", "none", 0.5, bits=bits) for bits in (16, 32)]), TABLE_1)
    assert [table.title.split("(")[-1] for table in tables] == ["bits 16)", "bits 32)"]


@pytest.mark.parametrize(("log", "suffix"), [("", ""), ("store/logs/suite.log", "; log: store/logs/suite.log")])
def test_missing_skipped_and_failed_cells_have_marks_and_footnotes(
    row: Rows, evidence: Gather, log: str, suffix: str
) -> None:
    rows = [
        row("none", "none", 0.5),
        replace(row("dhta", "none", 0.5), status="skipped", reason="no weights", metrics={}),
        replace(row("dhta", "ddpm", 0.5), status="missing", metrics={}),
        replace(row("dhta", "retpur", 0.5), status="failed", reason="NaN", metrics={}),
        replace(row("p2p", "none", 0.5), status="invalid", reason="too far", metrics={}),
        replace(row("p2p", "ddpm", 0.5), status="missing", reason="damaged", metrics={}),
    ]
    table = single_table(evidence(rows, log=log), TABLE_1)
    marks = {line.label: line.values[0].mark for line in table.rows if line.block == "MAP"}
    assert [marks[name] for name in ("original", "DDPM-DHTA")] == ["", "missing"]
    assert {marks["RetPur-DHTA"], marks["P2P"]} == {DAGGER, f"{DAGGER}2"}
    letters = [marks["DHTA"], marks["DDPM-P2P"]]
    assert sorted(letters) == ["a", "b"]
    notes = dict(table.footnotes)
    assert [notes.pop(letter) for letter in letters] == ["skipped: no weights", "missing: damaged"]
    assert set(notes.values()) == {f"failed: NaN{suffix}", f"invalid: too far{suffix}"}


def test_a_layout_that_selects_nothing_is_an_error(row: Rows, evidence: Gather) -> None:
    with pytest.raises(LayoutError, match="selects none of the 1 rows"):
        pivot(evidence([row("none", "ddpm", 0.5)]), TABLE_1)


def test_a_metric_that_no_row_has_is_an_error(rows: list[Row], evidence: Gather) -> None:
    with pytest.raises(LayoutError, match=r"got 'mapp', expected one of attack_seconds, .*; nearest: map"):
        pivot(evidence(rows), layout(metrics=({"name": "mapp", "label": "m"},)))


@pytest.mark.parametrize("name", ["certified_radius", "map_recall", "depths"])
def test_a_share_of_a_metric_without_one_value_per_query_is_an_error(scored: Rows, evidence: Gather, name: str) -> None:
    row = scored("none", "none", {"map": [0.5, 0.5, 0.75], "map_recall": [[0.5] * 3] * 21, "depths": [1, 5]})
    with pytest.raises(LayoutError, match=f"no row has this per-query value: got '{name}', expected one that"):
        pivot(evidence([row]), layout(metrics=({"name": name, "label": "m", "at": 0.5},)))


def test_a_metric_with_several_values_per_query_has_no_number(scored: Rows, evidence: Gather) -> None:
    values = {"map": [0.5, 0.5, 0.75], "map_recall": [[0.5] * 21] * 3}
    rows = [scored("p2p", name, values) for name in ("none", "ddpm", "retpur")]
    rows = [replace(each, metrics={"map": each.metrics["map"]}) for each in rows]
    rows.append(replace(rows[0], attack="dhta", status="missing", metrics={}))
    table = single_table(evidence(rows), layout(metrics=({"name": "map_recall", "label": "m"},)))
    assert {value.mark for line in table.rows for value in line.values} == {"missing"}


def test_metrics_across_are_the_innermost_headers_without_blocks(row: Rows, evidence: Gather) -> None:
    rows = [
        row(a, "retpur", v, variant=f"metric={m}") for m, v in (("ssim", 0.4), ("mse", 0.3)) for a in ("p2p", "dhta")
    ]
    by = layout(
        columns=("attack",),
        rows=("variant",),
        metrics=({"name": "map", "label": "MAP"}, {"name": "t_map", "label": "RMS", "unit": "gray"}),
        across=True,
        names={"variant": {"metric=ssim": "SSIM", "metric=mse": "MSE"}},
        order={"attack": ("dhta", "p2p")},
    )
    table = single_table(evidence(rows), by)
    headers = (("DHTA", "MAP"), ("DHTA", "RMS (gray levels)"), ("P2P", "MAP"), ("P2P", "RMS (gray levels)"))
    assert table.columns == headers
    assert [(line.block, line.label) for line in table.rows] == [("", "SSIM"), ("", "MSE")]
    assert [value.unit for value in table.rows[0].values] == ["percent", "gray"] * 2
    assert [value.interval for value in table.rows[1].values] == [rows[3].metrics[n] for n in ("map", "t_map")] * 2


def test_an_axis_may_head_the_blocks_and_is_not_repeated_in_labels(row: Rows, evidence: Gather) -> None:
    rows = [row(attack, defense, 0.5) for attack in ("none", "p2p") for defense in ("ddpm", "retpur")]
    table = single_table(evidence(rows), layout(blocks="defense", order={"defense": ("retpur", "ddpm")}))
    assert [(line.block, line.label) for line in table.rows] == [
        ("RetPur", "original"),
        ("RetPur", "P2P"),
        ("DDPM", "original"),
        ("DDPM", "P2P"),
    ]


def test_a_block_shows_only_the_rows_that_it_selects(row: Rows, evidence: Gather) -> None:
    rows = [row(attack, "none", 0.5) for attack in ("none", "hag", "p2p")]
    metrics = [
        {"name": "map", "label": "MAP", "select": [{"attack": ["none", "hag"]}]},
        {"name": "t_map", "label": "T-MAP", "select": [{"attack": "p2p"}]},
    ]
    table = single_table(evidence(rows), layout(metrics=metrics))
    assert [(line.block, line.label) for line in table.rows] == [("MAP", "original"), ("MAP", "HAG"), ("T-MAP", "P2P")]


@pytest.mark.parametrize("across", [False, True])
def test_a_cell_that_a_block_does_not_select_is_not_shown_in_it(row: Rows, evidence: Gather, across: bool) -> None:
    rows = [row("p2p", "none", 0.5, hasher=hasher) for hasher in ("dpsh", "dph")]
    metrics = [
        {"name": "map", "label": "MAP", "select": [{"hasher": "dpsh"}]},
        {"name": "t_map", "label": "T-MAP"},
    ]
    table = single_table(evidence(rows), layout(metrics=metrics, across=across))
    shown = [value.interval is not None for line in table.rows for value in line.values]
    assert shown == ([True, True, False, True] if across else [True, False, True, True])


def test_a_row_named_without_attack_and_defense_is_not_called_original(row: Rows, evidence: Gather) -> None:
    by = layout(columns=("attack",), rows=("surrogate", "variant"))
    table = single_table(evidence([row("dhta", "none", 0.5, variant=v) for v in ("", "t_p=5", "a=1,t_p=5")]), by)
    assert labels(table, "MAP") == ["none", "t_p=5", "a=1,t_p=5"]


@pytest.mark.parametrize(
    ("status", "mark"), [("missing", "missing"), ("failed", DAGGER), ("invalid", DAGGER), ("skipped", "a")]
)
@pytest.mark.parametrize("at", [None, 0.5])
def test_a_metric_that_unfinished_cells_may_bring_is_not_an_error(
    row: Rows, evidence: Gather, status: Any, mark: str, at: float | None
) -> None:
    by = layout(metrics=({"name": "perceptibility", "label": "change", "at": at},))
    done = row("none", "none", 0.9)
    with pytest.raises(LayoutError, match=r"no row has this .*: got 'perceptibility'"):
        pivot(evidence([done]), by)
    reason = "" if status == "missing" else "a reason"
    undone = replace(row("dhta", "none", 0.5), status=status, reason=reason, metrics={})
    table = single_table(evidence([done, undone]), by)
    assert [value.mark for line in table.rows for value in line.values] == ["missing", mark]


@pytest.mark.parametrize(
    ("worst", "best", "shown"), [(0.41, 0.54, False), (0.39, 0.5, True), (0.5, 0.6, True), (0.4, 0.55, False)]
)
def test_the_tie_range_is_shown_if_it_is_wider_than_the_interval(
    row: Rows, evidence: Gather, worst: float, best: float, shown: bool
) -> None:
    tied = replace(row("none", "none", 0.5), tie_ranges={"map": TieRange(worst, best)})
    tied = replace(tied, metrics={"map": Interval(0.5, 0.4, 0.55)})
    assert single_table(evidence([tied]), layout()).rows[0].values[0].tie_range == (
        TieRange(worst, best) if shown else None
    )


def test_certified_recall_is_the_share_of_queries_at_each_radius(scored: Rows, evidence: Gather) -> None:
    rows = [scored("none", "smooth", {"certified_radius": [-1.0, 0.1, 0.3, 0.6]})]
    table = single_table(evidence(rows), read_layout("certified-radius", Path()))
    by_radius = {
        headers[-1]: value.interval for headers, value in zip(table.columns, table.rows[0].values, strict=True)
    }
    assert {name: each and each.value for name, each in by_radius.items()} == {
        "Recall@1": 0.75,
        "at 0.1": 0.75,
        "at 0.25": 0.5,
        "at 0.5": 0.25,
        "at 1.0": 0.0,
    }
    assert all(value.tie_range is None and not value.emphasis for value in table.rows[0].values)


def test_a_block_may_show_costs(row: Rows, evidence: Gather) -> None:
    cost: dict[str, Any] = {"attack_seconds_per_query": 0.5, "attack_peak_memory": 2**20}
    rows = [replace(row("p2p", "none", 0.5), cost=cost), row("none", "none", 0.5)]
    by = layout(metrics=({"name": "attack_seconds", "label": "time", "unit": "seconds"},))
    table = single_table(evidence(rows), by)
    (known,), (unknown,) = (line.values for line in table.rows)
    assert [line.block for line in table.rows] == ["time (s)"] * 2
    assert known.interval is not None
    assert (known.interval.value, known.mark, known.unit) == (0.5, "", "seconds")
    assert math.isnan(known.interval.low)
    assert math.isnan(known.interval.high)
    assert (unknown.interval, unknown.mark) == (None, "missing")
    assert [line.label for line in table.costs] == ["P2P"]


def test_a_row_behind_a_shortened_hardening_says_so(row: Rows, evidence: Gather) -> None:
    rows = [row("p2p", "none", 0.5), replace(row("p2p", "atrdh", 0.5), data={"shortened": "2 of 100 epochs"})]
    assert [line.label for line in single_table(evidence(rows), layout()).rows] == ["P2P", "ATRDH-P2P, 2 of 100 epochs"]


def test_warnings_of_a_row_are_footnotes_of_its_numbers(row: Rows, evidence: Gather) -> None:
    rows = [replace(row("p2p", "none", 0.5), warnings=("first", "second")), row("p2p", "ddpm", 0.5)]
    table = single_table(evidence(rows), layout())
    assert [line.values[0].notes for line in table.rows] == [("a", "b"), ()]
    assert table.footnotes == (("a", "warning: first"), ("b", "warning: second"))
