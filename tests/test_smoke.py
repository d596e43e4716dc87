"""The suite `smoke`: the installed plugins and every stage, on digits, through the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from retbench.cli.main import main


def test_the_smoke_suite_runs_once_and_reports(
    smoke_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)

    def retbench(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["retbench", *words, "--store", str(smoke_store)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 0
        return capsys.readouterr().out

    first = json.loads(smoke_store.with_suffix(".jsonl").read_text().splitlines()[-1])
    assert (first["failed"], first["skipped"]) == (0, 0)
    steps = json.loads(retbench("plan", "smoke", "--json"))["steps"]
    assert set(steps) >= {"fit_part", "fit", "targets", "encode", "attack", "purify", "score"}
    assert sum(count["stored"] for count in steps.values()) == first["executed"]
    rows = json.loads(retbench("results", "--json"))
    assert [(row["attack"], row["defense"], row["status"]) for row in rows] == [
        ("none", "none", "done"),
        ("none", "retpur", "done"),
        ("dhta", "none", "done"),
        ("dhta", "retpur", "done"),
    ]
    assert rows[2]["budget"]["eps"] == pytest.approx(32 / 255)
    assert "RetPur-DHTA" in retbench("report")
    assert json.loads(retbench("run", "smoke", "--json").splitlines()[-1])["executed"] == 0
