"""Rows into tables: order, names, pages, footnotes, pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from retbench.errors import LayoutError
from retbench.metrics import Interval, paired_difference
from retbench.report import Layout, pair, pivot, read_layout
from retbench.results import Row
from retbench.store import Artifact, Store

PROTOCOL = {"map": "full", "confidence": 0.95, "resamples": 2000}


def row(attack: str, defense: str, value: float, **axes: str | int) -> Row:
    given: dict[str, object] = {"dataset": "digits", "hasher": "dpsh", "bits": 32, "seed": 0, "variant": "", **axes}
    fixed = {"task": "i2i", "surrogate": "none", "threat": "oblivious", "status": "done", "protocol": PROTOCOL}
    metrics = {"map": Interval(value, value - 0.1, value + 0.1), "t_map": Interval(1 - value, 0, 1)}
    return Row(**fixed, **given, attack=attack, defense=defense, metrics=metrics)  # type: ignore[arg-type]  # built from parts


TABLE_1 = read_layout("retpur-table-1", Path())
ROWS = [row(attack, defense, 0.5) for attack in ("none", "dhta", "p2p") for defense in ("none", "retpur", "ddpm")]


def test_rows_are_named_and_ordered_as_the_paper_has_them() -> None:
    (table,) = pivot(ROWS, TABLE_1)
    assert [line.label for line in table.rows if line.block == "MAP"] == [
        "original",
        "P2P",
        "DDPM-P2P",
        "RetPur-P2P",
        "DHTA",
        "DDPM-DHTA",
        "RetPur-DHTA",
    ]
    assert [line.label for line in table.rows if line.bold] == ["RetPur-P2P", "RetPur-DHTA"] * 2


def test_clean_queries_behind_a_defense_are_table_7() -> None:
    (table,) = pivot(ROWS, read_layout("retpur-table-7", Path()))
    assert [line.label for line in table.rows if line.block == "T-MAP"] == ["original", "DDPM", "RetPur"]


def test_columns_group_hashers_under_datasets() -> None:
    rows = [row("none", "none", 0.5, dataset=d, hasher=h) for d in ("scenes", "flickr25k") for h in ("dph", "dpsh")]
    (table,) = pivot(rows, TABLE_1)
    assert table.columns == (("scenes", "DPSH"), ("scenes", "DPH"), ("FLICKR-25K", "DPSH"), ("FLICKR-25K", "DPH"))


def test_an_axis_that_varies_and_is_not_laid_out_makes_pages() -> None:
    tables = pivot([row("none", "none", 0.5, bits=bits) for bits in (16, 32)], TABLE_1)
    assert [table.title.split("(")[-1] for table in tables] == ["bits 16)", "bits 32)"]


def test_missing_skipped_and_failed_cells_say_so() -> None:
    rows = [
        row("none", "none", 0.5),
        replace(row("dhta", "none", 0.5), status="skipped", reason="no weights", metrics={}),
        replace(row("dhta", "ddpm", 0.5), status="missing", metrics={}),
        replace(row("dhta", "retpur", 0.5), status="failed", reason="NaN", metrics={}),
    ]
    (table,) = pivot(rows, TABLE_1)
    assert [line.values[0].mark for line in table.rows if line.block == "MAP"] == ["", "a", "missing", "b"]
    assert table.footnotes == ("(a) skipped: no weights", "(b) failed: NaN")


def test_a_layout_that_selects_nothing_is_an_error() -> None:
    with pytest.raises(LayoutError, match="selects none of the 1 rows"):
        pivot([row("none", "ddpm", 0.5)], TABLE_1)


def test_a_metric_that_no_row_has_is_an_error() -> None:
    layout = Layout(title="t", columns=("dataset",), metrics=({"name": "mapp", "label": "m"},))
    with pytest.raises(LayoutError, match=r"got 'mapp', expected one of \['map', 't_map'\]"):
        pivot(ROWS, layout)


def test_metrics_across_are_the_innermost_headers_and_leave_no_blocks() -> None:
    rows = [
        row(a, "retpur", v, variant=f"metric={m}") for m, v in (("ssim", 0.4), ("mse", 0.3)) for a in ("p2p", "dhta")
    ]
    layout = Layout(
        title="t",
        columns=("attack",),
        rows=("variant",),
        metrics=({"name": "map", "label": "MAP"}, {"name": "t_map", "label": "RMS", "unit": "grey"}),
        across=True,
        names={"variant": {"metric=ssim": "SSIM", "metric=mse": "MSE"}},
        order={"attack": ("dhta", "p2p")},
    )
    (table,) = pivot(rows, layout)
    headers = (("DHTA", "MAP"), ("DHTA", "RMS (grey levels)"), ("P2P", "MAP"), ("P2P", "RMS (grey levels)"))
    assert table.columns == headers
    assert [(line.block, line.label) for line in table.rows] == [("", "SSIM"), ("", "MSE")]
    assert [value.unit for value in table.rows[0].values] == ["percent", "grey"] * 2
    assert [value.interval for value in table.rows[1].values] == [rows[3].metrics[n] for n in ("map", "t_map")] * 2


def test_a_row_named_by_other_axes_alone_is_not_called_original() -> None:
    layout = Layout(title="t", columns=("attack",), rows=("surrogate", "variant"), metrics=TABLE_1.metrics[:1])
    (table,) = pivot([row("dhta", "none", 0.5, variant=v) for v in ("", "t_p=5", "a=1,t_p=5")], layout)
    assert [line.label for line in table.rows] == ["none", "t_p=5", "a=1,t_p=5"]


def test_a_pair_is_the_mean_difference_over_the_same_queries(tmp_path: Path) -> None:
    store = Store(tmp_path)
    precisions = {
        "retpur": torch.tensor([0.9, 0.5, 0.7], dtype=torch.float64),
        "ddpm": torch.tensor([0.8, 0.6, 0.1], dtype=torch.float64),
    }
    for name, values in precisions.items():
        store.put(Artifact(name * 10, {"map": values, "t_map": values}, {}, {"recipe": {}}))
    rows = [replace(row("dhta", name, 0.5), key=name * 10) for name in precisions]
    layout = read_layout("guidance-effect", Path())
    (difference,) = pair([*rows, row("none", "retpur", 0.5)], layout, store)
    assert difference.metrics["map"] == paired_difference(precisions["retpur"], precisions["ddpm"])
    assert difference.metrics["map"].value == pytest.approx(0.2)
    (table,) = pivot([difference], layout)
    assert [line.label for line in table.rows] == ["DHTA", "DHTA"]


def test_a_metric_that_cells_not_yet_run_may_bring_is_waited_for() -> None:
    metrics = ({"name": "perceptibility", "label": "change"},)
    layout = Layout(title="Change", columns=("dataset",), metrics=metrics)
    done = row("none", "none", 0.9)
    with pytest.raises(LayoutError, match="no row has this metric: got 'perceptibility'"):
        pivot([done], layout)
    unfinished = replace(row("dhta", "none", 0.5), status="missing", metrics={})
    (table,) = pivot([done, unfinished], layout)
    assert [value.mark for line in table.rows for value in line.values] == ["missing", "missing"]
