"""`retbench report` and `retbench results`: what a run left, as tables and as rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Retbench


def test_the_last_suite_is_reported_by_default(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    out = retbench("report").out
    assert "### Attacked queries, image to image (layout of RetPur, Table 1)" in out
    assert "### Clean queries behind a defense, image to image (layout of RetPur, Table 7)" in out
    assert "| T-MAP" in out
    assert "Protocol: 10 queries, image to image; MAP full, ties stable" in out


def test_a_report_is_written_where_it_is_asked_for(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    ended = retbench("report", "toy.yaml", "--out", "tables")
    assert ended.out.strip() == "wrote tables/toy.md"
    assert (toys / "tables/toy.md").read_text().startswith("# toy\n")


def test_a_report_of_nothing_says_what_to_run(retbench: Retbench) -> None:
    ended = retbench("report", "toy.yaml")
    assert ended.code == 2
    assert "run it first: retbench run" in ended.err


@pytest.mark.parametrize("command", ["report", "results", "why"])
def test_an_empty_store_says_that_no_suite_was_run(retbench: Retbench, command: str) -> None:
    ended = retbench(*([command, "some/cell"] if command == "why" else [command]))
    assert ended.code == 2
    assert "no suite has been run in it" in ended.err


def test_results_are_rows_with_axes_intervals_and_protocol(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    rows = json.loads(retbench("results", "--json").out)
    row = rows[-1]
    assert [row[axis] for axis in ("dataset", "hasher", "bits", "task", "attack", "defense", "threat", "seed")] == [
        "toy",
        "toy",
        16,
        "i2i",
        "toy",
        "toy",
        "oblivious",
        0,
    ]
    assert row["status"] == "done"
    assert set(row["metrics"]) == {"map", "t_map", "perceptibility", "visibility", "ssim"}
    for interval in row["metrics"].values():
        assert 0 <= interval["low"] <= interval["value"] <= interval["high"] <= 1
    assert row["protocol"]["map"] == "full"
    assert row["cost"]["attack_seconds_per_query"] > 0
    assert len(row["key"]) == 64


def test_results_before_a_run_are_missing_not_wrong(retbench: Retbench) -> None:
    rows = json.loads(retbench("results", "toy.yaml", "--json").out)
    assert {row["status"] for row in rows} == {"missing"}
    assert all(not row["metrics"] for row in rows)


def test_a_failed_cell_has_a_footnote(retbench: Retbench, change: Callable[[str, str], None]) -> None:
    change("attack: [none, toy]", "attack: [none, faulty]")
    retbench("run", "toy.yaml")
    out = retbench("report").out
    assert "(a) invalid: invalid: attack faulty" in out


def test_a_suite_may_bring_its_own_layout(retbench: Retbench, change: Callable[[str, str], None], toys: Path) -> None:
    (toys / "mine.yaml").write_text("title: Mine\ncolumns: [bits]\nmetrics: [{name: map, label: mAP}]\n")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    assert "### Mine" in retbench("report").out


SWEPT = "{toy: {sweep: {strength: [0.75, 0.25, 0.5]}}}"
CURVED = """\
title: Strength
columns: [dataset]
rows: [attack, defense, variant]
metrics: [{name: map, label: MAP}]
curve: {option: strength, label: share, reference: [{label: clean, attack: none, defense: none}]}
"""


def test_a_curve_over_a_swept_option_is_written_beside_the_report(
    retbench: Retbench, change: Callable[[str, str], None], toys: Path
) -> None:
    (toys / "mine.yaml").write_text(CURVED)
    change("defense: [none, toy]", f"defense: [none, {SWEPT}]")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    assert "Curve over share: `retbench report --out DIR` draws it." in retbench("report").out
    assert retbench("report", "--out", "tables").out.split() == [
        "wrote",
        "tables/toy.md",
        "wrote",
        "tables/toy-strength.png",
    ]
    assert "![Strength: MAP over share; toy, toy-toy, clean](toy-strength.png)" in (toys / "tables/toy.md").read_text()
    assert (toys / "tables/toy-strength.png").read_bytes().startswith(b"\x89PNG")
    assert set(json.loads(retbench("report", "--json").out)["tables"][0]) == {
        "title",
        "columns",
        "rows",
        "footnotes",
        "caption",
    }


def test_a_terminal_is_told_how_to_get_a_curve(
    retbench: Retbench, change: Callable[[str, str], None], toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toys / "mine.yaml").write_text(CURVED)
    change("defense: [none, toy]", f"defense: [none, {SWEPT}]")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    out = retbench("report").out
    assert "Curve over share: `retbench report --out DIR` draws it." in " ".join(out.split())
    assert "###" not in out


def test_a_curve_over_what_is_not_swept_names_what_is(
    retbench: Retbench, change: Callable[[str, str], None], toys: Path
) -> None:
    (toys / "mine.yaml").write_text(CURVED.replace("option: strength", "option: strenght"))
    change("defense: [none, toy]", f"defense: [none, {SWEPT}]")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    ended = retbench("report")
    assert ended.code == 2
    assert "got 'strenght', expected one of strength" in ended.err


def test_a_layout_with_an_unknown_metric_names_those_there_are(
    retbench: Retbench, change: Callable[[str, str], None], toys: Path
) -> None:
    (toys / "mine.yaml").write_text("title: Mine\ncolumns: [bits]\nmetrics: [{name: mapp, label: mAP}]\n")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    ended = retbench("report")
    assert ended.code == 2
    assert "got 'mapp', expected one of" in ended.err


def test_the_json_of_a_report_holds_the_tables_numbers(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    told = json.loads(retbench("report", "--json").out)
    first = told["tables"][0]["rows"][0]
    row = json.loads(retbench("results", "--json").out)[0]
    assert (first["block"], first["label"]) == ("MAP", "original")
    assert first["values"][0] == row["metrics"]["map"]


@pytest.mark.parametrize(
    ("setting", "code", "told"),
    [
        ("matrix.task=t2i", 0, "every cell is skipped; `retbench plan toy.yaml` says why"),
        ("matrix.attack=faulty", 1, "no cell is done; `retbench results toy.yaml` says what failed"),
    ],
)
def test_a_report_of_nothing_but_skipped_or_failed_cells_says_where_to_look(
    retbench: Retbench, setting: str, code: int, told: str
) -> None:
    only = ("--only", "defense=toy", "--only", "attack=toy") if "t2i" in setting else ()
    narrowed = ("--set", setting, *only)
    assert retbench("run", "toy.yaml", *narrowed).code == code
    ended = retbench("report", "toy.yaml", *narrowed)
    assert (ended.code, told in ended.err) == (2, True), ended.err
