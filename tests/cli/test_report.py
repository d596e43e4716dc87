"""`retbench report` and `retbench results`: what a run left, as tables and as rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from retbench.store import Store

from .conftest import Retbench


def test_the_last_suite_is_reported_by_default(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    out = retbench("report").out
    assert "### Attacked queries, image to image (layout of RetPur, Table 1)" in out
    assert "### Clean queries behind a defense, image to image (layout of RetPur, Table 7)" in out
    assert "| T-MAP" in out
    assert "- **protocol**: image to image; 10 queries, MAP full, ties stable, " in out


def test_a_report_is_written_where_it_is_asked_for(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    ended = retbench("report", "toy.yaml", "--out", "tables", "--no-pictures")
    names = [f"tables/toy.{suffix}" for suffix in ("md", "html", "tex", "csv", "json")]
    assert ended.out.splitlines() == [f"wrote {name}" for name in names]
    assert sorted(path.name for path in (toys / "tables").iterdir()) == sorted(Path(name).name for name in names)
    assert (toys / "tables/toy.md").read_text().startswith("# toy\n")


@pytest.mark.parametrize(
    ("form", "start", "held"),
    [
        ("markdown", "# toy\n", "| MAP "),
        ("latex", "% toy\n\\documentclass", "\\begin{tabular}"),
        ("html", "<!doctype html>", "<table"),
        ("csv", "table,block,row,column,value,low,high,unit,", ",MAP,original,toy / toy,"),
        ("json", "{", '"label": "original"'),
        ("console", "toy\n", "original"),
    ],
)
def test_a_report_is_printed_in_the_format_that_is_asked_for(
    retbench: Retbench, form: str, start: str, held: str
) -> None:
    retbench("run", "toy.yaml")
    ended = retbench("report", "--format", form, "--no-pictures")
    assert ended.code == 0
    assert ended.out.lstrip().lower().startswith(start)
    assert held in ended.out


def test_an_unknown_format_names_those_there_are(retbench: Retbench) -> None:
    ended = retbench("report", "toy.yaml", "--format", "word")
    assert ended.code == 2
    assert "'console', 'markdown', 'latex', 'html', 'csv', 'json'" in ended.err


def test_one_suite_is_reported_at_a_time(retbench: Retbench) -> None:
    for words, told in (
        (("toy.yaml", "other.yaml"), "report: it takes one suite at a time: got toy.yaml other.yaml"),
        (("toy.yaml", "other.zip"), "report: it takes a suite, or bundles: got toy.yaml other.zip"),
    ):
        ended = retbench("report", *words)
        assert (ended.code, told in ended.err) == (2, True), ended.err


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
    assert set(row["metrics"]) == {"map", "t_map", "perceptibility", "purified_rmse", "ssim"}
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
    assert "\u2020 invalid: invalid: attack faulty" in out
    assert "; log: " in out


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
    wrote = retbench("report", "--out", "tables").out.split()[1::2]
    assert wrote[:7] == [
        *(f"tables/toy.{suffix}" for suffix in ("md", "html", "tex", "csv", "json")),
        "tables/toy-strength.png",
        "tables/toy-strength.pdf",
    ]
    assert sorted(wrote) == sorted(f"tables/{path.name}" for path in (toys / "tables").iterdir())
    text = (toys / "tables/toy.md").read_text()
    assert "![Strength: MAP over share; toy, toy-toy, clean](toy-strength.png)" in text
    assert (toys / "tables/toy-strength.png").read_bytes().startswith(b"\x89PNG")
    assert (toys / "tables/toy-strength.pdf").read_bytes().startswith(b"%PDF")


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
    assert list(told) == ["title", "description", "tables", "pictures", "provenance"]
    first = told["tables"][0]["rows"][0]
    row = json.loads(retbench("results", "--json").out)[0]
    assert (first["block"], first["label"]) == ("MAP", "original")
    assert first["values"][0]["interval"] == row["metrics"]["map"]
    assert ["key", row["key"][:16]] in first["values"][0]["details"]
    assert {"suite", "computed on", "versions", "wall time"} <= {label for label, _ in told["provenance"]}
    assert told["pictures"] == []


LEDGER = """\
claims: mine
paper: Mine
title: My paper
authors: me
source: my drawer
cells: {hasher: toy, bits: 16, task: i2i}
facts:
  - {when: {attack: none}, says: {protocol.map: full}}
  - {when: {attack: toy}, says: {protocol.map: top-k}}
tables:
  - table: 3
    title: All of it
    across: [dataset]
    columns: [[toy]]
    rows:
      - {metric: map, printed: original, values: [12.5]}
      - {metric: map, attack: toy, printed: Toy, values: [25]}
"""


def test_published_numbers_stand_beside_those_measured(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    (toys / "mine.yaml").write_text(LEDGER)
    table = json.loads(retbench("report", "--against", "mine.yaml", "--json").out)["tables"][0]
    values = {(line["block"], line["label"]): line["values"][0] for line in table["rows"]}
    original, attacked = values["MAP", "original"], values["MAP", "toy"]
    measured = 100 * original["interval"]["value"]
    assert original["published"] == {
        "values": [12.5],
        "difference": pytest.approx(measured - 12.5),
        "verdict": "differs",
        "source": "Mine, Table 3",
    }
    assert (attacked["published"]["verdict"], attacked["published"]["difference"]) == ("not comparable", None)
    notes = dict(table["footnotes"])
    assert [notes[mark] for mark in attacked["notes"]] == [
        "not comparable because MAP rule differs: full, published top-k"
    ]
    assert values["T-MAP", "original"]["published"] is None
    assert "published 12.50" in retbench("report", "--against", "mine.yaml").out
    assert "published" not in retbench("report").out


def test_a_suite_may_name_the_ledger_itself(retbench: Retbench, change: Callable[[str, str], None], toys: Path) -> None:
    (toys / "mine.yaml").write_text(LEDGER)
    change("retpur-table-7]}", "retpur-table-7], claims: mine.yaml}")
    retbench("run", "toy.yaml")
    assert "published 12.50" in retbench("report").out


def test_a_paper_without_such_a_cell_changes_nothing(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    plain = json.loads(retbench("report", "--json").out)["tables"]
    assert json.loads(retbench("report", "--against", "retpur", "--json").out)["tables"] == plain


def test_an_unknown_ledger_names_the_nearest(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    ended = retbench("report", "--against", "retpurr")
    assert ended.code == 2
    assert "got 'retpurr'" in ended.err
    assert "nearest: retpur" in ended.err


def test_a_mixture_is_refused_where_all_must_be_uniform(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    assert retbench("report", "--uniform").code == 0
    store, key = Store(toys / ".retbench"), json.loads(retbench("results", "--json").out)[0]["key"]
    scored, meta = store.get(key), store.meta(key)
    store.discard(key)
    store.put(replace(scored, meta={**meta, "environment": {**meta["environment"], "versions": {"retbench": "0.0"}}}))
    ended = retbench("report", "--uniform")
    assert (ended.code, retbench("report").code) == (2, 0), ended.err
    assert "it mixes versions: got retbench " in ended.err
    assert "and retbench 0.0, torch" in ended.err


@pytest.mark.parametrize(
    ("setting", "code", "told"),
    [
        ("matrix.task=t2i", 0, "every cell is skipped; `retbench plan toy.yaml` shows why"),
        ("matrix.attack=faulty", 1, "no cell is done; `retbench results toy.yaml` shows what failed"),
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
