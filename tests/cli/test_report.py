"""`retbench report` and `retbench results`: the tables and rows of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from retbench.store import Store
from tests.report.pixels import without_pdf

from .conftest import RunCommand


def test_the_last_suite_is_reported_by_default(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    out = retbench("report").out
    assert "### Attacked queries, image to image (layout of RetPur, Table 1)" in out
    assert "### Clean queries behind a defense, image to image (layout of RetPur, Table 7)" in out
    assert "| T-MAP" in out
    assert "- **protocol**: image to image; 10 queries, MAP rule full, tie-breaking stable, " in out


def test_a_report_is_written_to_a_folder(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    result = retbench("report", "toy.yaml", "--out", "tables", "--no-pictures")
    names = [f"tables/toy.{suffix}" for suffix in ("md", "html", "tex", "csv", "json")]
    assert result.out.splitlines() == [f"wrote {name}" for name in names]
    assert sorted(path.name for path in (toys / "tables").iterdir()) == sorted(Path(name).name for name in names)
    assert (toys / "tables/toy.md").read_text().startswith("# toy\n")


@pytest.mark.parametrize(
    ("form", "start", "content"),
    [
        ("markdown", "# toy\n", "| MAP "),
        ("latex", "% toy\n\\documentclass", "\\begin{tabular}"),
        ("html", "<!doctype html>", "<table"),
        ("csv", "table,block,row,column,value,low,high,unit,", ",MAP,original,toy / toy,"),
        ("json", "{", '"label": "original"'),
        ("console", "toy\n", "original"),
    ],
)
def test_a_report_is_printed_in_every_format(retbench: RunCommand, form: str, start: str, content: str) -> None:
    retbench("run", "toy.yaml")
    result = retbench("report", "--format", form, "--no-pictures")
    assert result.code == 0
    assert result.out.lstrip().lower().startswith(start)
    assert content in result.out


def test_an_unknown_format_names_the_known_ones(retbench: RunCommand) -> None:
    result = retbench("report", "toy.yaml", "--format", "word")
    assert result.code == 2
    assert "'console', 'markdown', 'latex', 'html', 'csv', 'json'" in result.err


def test_one_suite_is_reported_at_a_time(retbench: RunCommand) -> None:
    for words, message in (
        (("toy.yaml", "other.yaml"), "report: expected one suite: got toy.yaml other.yaml"),
        (("toy.yaml", "other.zip"), "report: expected one suite, or bundles (.zip) only: got toy.yaml other.zip"),
    ):
        result = retbench("report", *words)
        assert (result.code, message in result.err) == (2, True), result.err


def test_a_report_before_a_run_names_the_command_to_run(retbench: RunCommand) -> None:
    result = retbench("report", "toy.yaml")
    assert result.code == 2
    assert "run it first: retbench run" in result.err


@pytest.mark.parametrize("command", ["report", "results", "why"])
def test_a_command_without_a_suite_is_refused_in_an_empty_store(retbench: RunCommand, command: str) -> None:
    result = retbench(*([command, "some/cell"] if command == "why" else [command]))
    assert result.code == 2
    assert "no suite was run in it; run one first: `retbench run unimodal`" in result.err


def test_a_row_has_axes_confidence_intervals_and_protocol(retbench: RunCommand) -> None:
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


def test_rows_before_a_run_have_the_status_missing(retbench: RunCommand) -> None:
    rows = json.loads(retbench("results", "toy.yaml", "--json").out)
    assert {row["status"] for row in rows} == {"missing"}
    assert all(not row["metrics"] for row in rows)


def test_a_failed_cell_has_a_footnote(retbench: RunCommand, change: Callable[[str, str], None]) -> None:
    change("attack: [none, toy]", "attack: [none, faulty]")
    retbench("run", "toy.yaml")
    out = retbench("report").out
    assert "\u2020 invalid: attack faulty" in out
    assert "; log: " in out


def test_a_suite_may_have_its_own_layout(retbench: RunCommand, change: Callable[[str, str], None], toys: Path) -> None:
    (toys / "mine.yaml").write_text("title: Mine\ncolumns: [bits]\nmetrics: [{name: map, label: mAP}]\n")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    assert "### Mine" in retbench("report").out


SWEEP = "{toy: {sweep: {strength: [0.75, 0.25, 0.5]}}}"
CURVE_LAYOUT = """\
title: Strength
columns: [dataset]
rows: [attack, defense, variant]
metrics: [{name: map, label: MAP}]
curve: {option: strength, label: share, reference: [{label: clean, attack: none, defense: none}]}
"""


def test_a_curve_over_a_swept_option_is_written_with_the_report(
    retbench: RunCommand, change: Callable[[str, str], None], toys: Path
) -> None:
    (toys / "mine.yaml").write_text(CURVE_LAYOUT)
    change("defense: [none, toy]", f"defense: [none, {SWEEP}]")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    assert "Curve over share: `retbench report --out DIR` draws it." in retbench("report").out
    with without_pdf():
        written = retbench("report", "--out", "tables").out.split()[1::2]
    assert written[:7] == [
        *(f"tables/toy.{suffix}" for suffix in ("md", "html", "tex", "csv", "json")),
        "tables/toy-strength.png",
        "tables/toy-strength.pdf",
    ]
    assert sorted(written) == sorted(f"tables/{path.name}" for path in (toys / "tables").iterdir())
    text = (toys / "tables/toy.md").read_text()
    assert "![Strength: MAP over share; toy, toy-toy, clean](toy-strength.png)" in text
    assert (toys / "tables/toy-strength.png").read_bytes().startswith(b"\x89PNG")
    assert (toys / "tables/toy-strength.pdf").read_bytes().startswith(b"%PDF")


def test_a_terminal_prints_how_to_draw_a_curve(
    retbench: RunCommand, change: Callable[[str, str], None], toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toys / "mine.yaml").write_text(CURVE_LAYOUT)
    change("defense: [none, toy]", f"defense: [none, {SWEEP}]")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    out = retbench("report").out
    assert "Curve over share: `retbench report --out DIR` draws it." in " ".join(out.split())
    assert "###" not in out


def test_a_curve_over_an_option_that_is_not_swept_names_the_swept_ones(
    retbench: RunCommand, change: Callable[[str, str], None], toys: Path
) -> None:
    (toys / "mine.yaml").write_text(CURVE_LAYOUT.replace("option: strength", "option: strenght"))
    change("defense: [none, toy]", f"defense: [none, {SWEEP}]")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    result = retbench("report")
    assert result.code == 2
    assert "got 'strenght', expected one of strength" in result.err


def test_a_layout_with_an_unknown_metric_names_the_known_ones(
    retbench: RunCommand, change: Callable[[str, str], None], toys: Path
) -> None:
    (toys / "mine.yaml").write_text("title: Mine\ncolumns: [bits]\nmetrics: [{name: mapp, label: mAP}]\n")
    change("[retpur-table-1, retpur-table-7]", "mine.yaml")
    retbench("run", "toy.yaml")
    result = retbench("report")
    assert result.code == 2
    assert "got 'mapp', expected one of" in result.err


def test_the_json_of_a_report_has_the_numbers_of_its_tables(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    report = json.loads(retbench("report", "--json").out)
    assert list(report) == ["title", "description", "tables", "pictures", "provenance"]
    first = report["tables"][0]["rows"][0]
    row = json.loads(retbench("results", "--json").out)[0]
    assert (first["block"], first["label"]) == ("MAP", "original")
    assert first["values"][0]["interval"] == row["metrics"]["map"]
    assert ["key", row["key"][:16]] in first["values"][0]["details"]
    assert {"suite", "computed on", "versions", "wall time"} <= {label for label, _ in report["provenance"]}
    assert report["pictures"] == []


LEDGER = """\
claims: mine
paper: Mine
title: My paper
authors: me
source: my drawer
cells: {hasher: toy, bits: 16, task: i2i}
conditions:
  - {when: {attack: none}, values: {protocol.map: full}}
  - {when: {attack: toy}, values: {protocol.map: top-k}}
tables:
  - table: 3
    title: All of it
    across: [dataset]
    columns: [[toy]]
    rows:
      - {metric: map, printed: original, values: [12.5]}
      - {metric: map, attack: toy, printed: Toy, values: [25]}
"""


def test_published_numbers_are_compared_with_measured_ones(retbench: RunCommand, toys: Path) -> None:
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
        "not comparable because MAP rule differs: measured full, published top-k"
    ]
    assert values["T-MAP", "original"]["published"] is None
    assert "published 12.50" in retbench("report", "--against", "mine.yaml").out
    assert "published" not in retbench("report").out


def test_a_suite_may_name_published_numbers(
    retbench: RunCommand, change: Callable[[str, str], None], toys: Path
) -> None:
    (toys / "mine.yaml").write_text(LEDGER)
    change("retpur-table-7]}", "retpur-table-7], claims: mine.yaml}")
    retbench("run", "toy.yaml")
    assert "published 12.50" in retbench("report").out


def test_published_numbers_of_other_cells_change_nothing(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    tables = json.loads(retbench("report", "--json").out)["tables"]
    assert json.loads(retbench("report", "--against", "retpur", "--json").out)["tables"] == tables


def test_an_unknown_name_of_published_numbers_suggests_the_nearest(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    result = retbench("report", "--against", "retpurr")
    assert result.code == 2
    assert "got 'retpurr'" in result.err
    assert "nearest: retpur" in result.err


def test_uniform_refuses_tables_that_mix_versions(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    assert retbench("report", "--uniform").code == 0
    store, key = Store(toys / ".retbench"), json.loads(retbench("results", "--json").out)[0]["key"]
    score, meta = store.get(key), store.meta(key)
    store.discard(key)
    store.put(replace(score, meta={**meta, "environment": {**meta["environment"], "versions": {"retbench": "0.0"}}}))
    result = retbench("report", "--uniform")
    assert (result.code, retbench("report").code) == (2, 0), result.err
    assert "it mixes versions: got retbench " in result.err
    assert "and retbench 0.0, torch" in result.err


@pytest.mark.parametrize(
    ("setting", "code", "advice"),
    [
        (
            "matrix.task=t2i",
            0,
            "every cell is skipped; `retbench plan toy.yaml --set matrix.task=t2i --only defense=toy "
            "--only attack=toy` shows why",
        ),
        (
            "matrix.attack=faulty",
            1,
            "every cell failed or is skipped; `retbench results toy.yaml --set matrix.attack=faulty` shows the reasons",
        ),
    ],
)
def test_a_report_of_skipped_or_failed_cells_names_the_command_with_the_reasons(
    retbench: RunCommand, setting: str, code: int, advice: str
) -> None:
    only = ("--only", "defense=toy", "--only", "attack=toy") if "t2i" in setting else ()
    narrowed = ("--set", setting, *only)
    assert retbench("run", "toy.yaml", *narrowed).code == code
    result = retbench("report", "toy.yaml", *narrowed)
    assert (result.code, advice in result.err) == (2, True), result.err


BLACK_BOX = """\
suite: black-box
matrix:
  dataset: toy
  hasher: toy
  bits: 4
  attack: [none, toy, toy-score, toy-decision]
  defense: [none, toy]
  threat: [oblivious, adaptive]
components:
  attack: {toy-decision: {query_budget: 30, eps: 0.6}}
shard: 4
report: {layout: [mine.yaml]}
"""
LAYOUT = """\
title: Black box
columns: [dataset]
rows: [attack, defense]
metrics: [{name: t_map, label: T-MAP}, {name: attack_queries, label: mean, unit: queries}]
"""


def test_black_box_attacks_are_planned_run_and_reported_with_access_and_queries(
    retbench: RunCommand, toys: Path
) -> None:
    (toys / "black.yaml").write_text(BLACK_BOX)
    (toys / "mine.yaml").write_text(LAYOUT)
    assert "16 cells: 16 to run" in retbench("plan", "black.yaml").out
    assert retbench("run", "black.yaml").code == 0
    assert "20.0 [20.0, 20.0]" in retbench("results").out
    out = retbench("report").out
    assert (
        "| Cost per image | attack (s) | defense (s) | peak memory (MiB) | change (gray levels) | access | queries |"
        in " ".join(out.split())
    )
    threats = [line for line in out.splitlines() if line.startswith("- **threat**")]
    assert threats[0] == "- **threat**: toy on toy, targeted, oblivious: linf 51/255"
    assert sum("score access, at most 20 queries a query image, mean used 20.0" in line for line in threats) == 2
    assert sum("decision access, at most 30 queries a query image, mean used" in line for line in threats) == 2
    rows = json.loads(retbench("results", "--json").out)
    assert {row["budget"].get("access", row["attack"]) for row in rows} == {"none", "toy", "score", "decision"}
    used = {row["threat"]: row["metrics"]["attack_queries"]["value"] for row in rows if row["attack"] == "toy-decision"}
    assert 1 <= min(used.values()) <= max(used.values()) <= 30
    retbench("report", "--out", "tables", "--no-pictures")
    for suffix in ("md", "html", "tex", "csv", "json"):
        assert "decision" in (toys / f"tables/black-box.{suffix}").read_text()
    assert "16 stored" in retbench("plan", "black.yaml").out
