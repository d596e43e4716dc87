"""`retbench results`: rows as text and JSON, and exported to a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from retbench.bundle import open_bundle, verify_bundle
from retbench.bundle.archive import read_archive
from retbench.report.tables.layout import shipped_layouts
from retbench.results import ROW_AXES
from tests.cli.conftest import RunCommand

EXPORT = ("results", "export", "toy.yaml", "run.zip")


def test_a_suite_is_listed_with_and_without_the_word_list(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    result = retbench("results")
    assert result.code == 0
    assert result.out.count("done") == 4
    for words in (("toy.yaml",), ("list",), ("list", "toy.yaml"), ("--only", "attack=none,toy")):
        assert retbench("results", *words).out == result.out
    rows = json.loads(retbench("results", "--json").out)
    assert json.loads(retbench("results", "toy.yaml", "--json").out) == rows
    assert json.loads(retbench("results", "list", "--json").out) == rows


def test_a_list_has_a_column_for_every_axis(retbench: RunCommand) -> None:
    headers = retbench("results", "toy.yaml").out.splitlines()[0].split()
    assert headers == [*ROW_AXES, "status"]


def test_help_names_both_commands(retbench: RunCommand) -> None:
    result = retbench("results", "--help")
    assert result.code == 0
    assert "export" in result.out
    assert "list" in result.out
    assert "--force" in retbench("results", "export", "-h").out


def test_an_unknown_suite_names_the_commands_too(retbench: RunCommand) -> None:
    result = retbench("results", "exprt")
    assert result.code == 2
    assert result.err.startswith("error: results: suite or command: unknown name: got 'exprt', expected one of ")
    assert result.err.endswith("; nearest: export\n")
    assert retbench("results", "list", "exprt").err.startswith("error: suite: unknown name: got 'exprt'")
    assert "suite: no such file" in retbench("results", "exprt.yaml").err


def test_an_export_can_be_opened_and_verified(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    result = retbench(*EXPORT)
    assert result.code == 0, result.err
    assert result.out == f"wrote run.zip: {(toys / 'run.zip').stat().st_size / 1e6:.1f} MB, 4 rows, 4 with results\n"
    bundle = open_bundle(toys / "run.zip")
    assert verify_bundle(bundle).ok
    assert [row.record() for row in bundle.evidence.rows] == json.loads(retbench("results", "--json").out)
    names = ("retpur-table-1", "retpur-table-7")
    assert bundle.layouts == {name: shipped_layouts()[name].read_text() for name in names}
    (suite,) = bundle.suites
    assert suite.suite["suite"] == "toy"


def test_json_of_an_export_has_path_size_and_rows(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    result = json.loads(retbench(*EXPORT, "--json").out)
    assert result == {"path": "run.zip", "bytes": (toys / "run.zip").stat().st_size, "rows": 4, "done": 4}


def test_an_existing_file_is_kept_without_force(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    (toys / "run.zip").write_text("mine")
    result = retbench(*EXPORT)
    assert (result.code, result.err) == (2, "error: run.zip: already exists; replace it with --force\n")
    assert (toys / "run.zip").read_text() == "mine"
    assert retbench(*EXPORT, "--force").code == 0
    assert len(open_bundle(toys / "run.zip").done_rows) == 4


def test_an_export_before_a_run_names_the_command_to_run(retbench: RunCommand, toys: Path) -> None:
    result = retbench(*EXPORT)
    assert result.code == 2
    assert "run it first: retbench run toy.yaml" in result.err
    assert not (toys / "run.zip").exists()


def test_a_narrowed_suite_exports_only_its_rows(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    assert retbench(*EXPORT, "--only", "attack=none").code == 0
    assert len(open_bundle(toys / "run.zip").evidence.rows) == 2


def test_failed_rows_are_exported_without_paths(
    retbench: RunCommand, toys: Path, change: Callable[[str, str], None]
) -> None:
    change("attack: [none, toy]", "attack: [none, faulty]")
    assert retbench("run", "toy.yaml").code == 1
    assert retbench(*EXPORT).code == 0
    rows = open_bundle(toys / "run.zip").evidence.rows
    assert {row.status for row in rows} == {"done", "failed"} or {row.status for row in rows} == {"done", "invalid"}
    members = read_archive(toys / "run.zip")
    assert [name for name, data in members.items() if str(toys).encode() in data] == []


@pytest.mark.parametrize("words", [("results", "export"), ("results", "export", "toy.yaml")])
def test_export_needs_a_suite_and_a_file(retbench: RunCommand, words: tuple[str, ...]) -> None:
    result = retbench(*words)
    assert result.code == 2
    assert "Missing argument" in result.err


def test_the_name_of_a_bundle_ends_in_zip(retbench: RunCommand) -> None:
    assert retbench("run", "toy.yaml").code == 0
    result = retbench("results", "export", "toy.yaml", "run.tar")
    assert result.code == 2
    assert "a bundle is a zip file: got the ending '.tar', expected '.zip'" in result.err


def test_the_reasons_of_failed_and_skipped_cells_follow_the_rows(
    retbench: RunCommand, change: Callable[[str, str], None]
) -> None:
    change("attack: [none, toy]", "attack: [none, faulty]")
    retbench("run", "toy.yaml")
    lines = retbench("results", "toy.yaml").out.splitlines()
    assert lines[-1].startswith("invalid: attack faulty")
