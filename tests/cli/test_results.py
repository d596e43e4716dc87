"""`retbench results`: rows to read, and rows to share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from retbench.bundle import open_bundle, verify_bundle
from retbench.bundle.archive import read_archive
from retbench.report.tables.layout import shipped_layouts
from retbench.results import ROW_AXES
from tests.cli.conftest import Retbench

EXPORT = ("results", "export", "toy.yaml", "run.zip")


def test_a_suite_is_listed_with_and_without_the_word_for_it(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    told = retbench("results")
    assert told.code == 0
    assert told.out.count("done") == 4
    for words in (("toy.yaml",), ("list",), ("list", "toy.yaml"), ("--only", "attack=none,toy")):
        assert retbench("results", *words).out == told.out
    rows = json.loads(retbench("results", "--json").out)
    assert json.loads(retbench("results", "toy.yaml", "--json").out) == rows
    assert json.loads(retbench("results", "list", "--json").out) == rows


def test_a_list_has_a_column_for_every_axis(retbench: Retbench) -> None:
    headers = retbench("results", "toy.yaml").out.splitlines()[0].split()
    assert headers == [*ROW_AXES, "status"]


def test_help_names_both_commands(retbench: Retbench) -> None:
    told = retbench("results", "--help")
    assert told.code == 0
    assert "export" in told.out
    assert "list" in told.out
    assert "--force" in retbench("results", "export", "-h").out


def test_an_export_can_be_opened_and_verified(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    told = retbench(*EXPORT)
    assert told.code == 0, told.err
    assert told.out == f"wrote run.zip: {(toys / 'run.zip').stat().st_size / 1e6:.1f} MB, 4 rows, 4 of them done\n"
    bundle = open_bundle(toys / "run.zip")
    assert verify_bundle(bundle).ok
    assert [row.record() for row in bundle.evidence.rows] == json.loads(retbench("results", "--json").out)
    names = ("retpur-table-1", "retpur-table-7")
    assert bundle.layouts == {name: shipped_layouts()[name].read_text() for name in names}
    (suite,) = bundle.suites
    assert suite.suite["suite"] == "toy"


def test_json_tells_what_was_written(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    told = json.loads(retbench(*EXPORT, "--json").out)
    assert told == {"path": "run.zip", "bytes": (toys / "run.zip").stat().st_size, "rows": 4, "done": 4}


def test_a_file_that_is_there_is_kept_without_force(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    (toys / "run.zip").write_text("mine")
    told = retbench(*EXPORT)
    assert (told.code, told.err) == (2, "error: run.zip: it is there already; --force replaces it\n")
    assert (toys / "run.zip").read_text() == "mine"
    assert retbench(*EXPORT, "--force").code == 0
    assert len(open_bundle(toys / "run.zip").done) == 4


def test_before_a_run_there_is_nothing_to_export(retbench: Retbench, toys: Path) -> None:
    told = retbench(*EXPORT)
    assert told.code == 2
    assert "run it first: retbench run toy.yaml" in told.err
    assert not (toys / "run.zip").exists()


def test_a_narrowed_suite_exports_its_part(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    assert retbench(*EXPORT, "--only", "attack=none").code == 0
    assert len(open_bundle(toys / "run.zip").evidence.rows) == 2


def test_skipped_and_failed_rows_go_along_without_paths(
    retbench: Retbench, toys: Path, change: Callable[[str, str], None]
) -> None:
    change("attack: [none, toy]", "attack: [none, faulty]")
    assert retbench("run", "toy.yaml").code == 1
    assert retbench(*EXPORT).code == 0
    rows = open_bundle(toys / "run.zip").evidence.rows
    assert {row.status for row in rows} == {"done", "failed"} or {row.status for row in rows} == {"done", "invalid"}
    members = read_archive(toys / "run.zip")
    assert [name for name, data in members.items() if str(toys).encode() in data] == []


@pytest.mark.parametrize("words", [("results", "export"), ("results", "export", "toy.yaml")])
def test_export_wants_a_suite_and_a_file(retbench: Retbench, words: tuple[str, ...]) -> None:
    told = retbench(*words)
    assert told.code == 2
    assert "Missing argument" in told.err


def test_a_bundle_is_a_zip_file_by_name(retbench: Retbench) -> None:
    assert retbench("run", "toy.yaml").code == 0
    ended = retbench("results", "export", "toy.yaml", "run.tar")
    assert ended.code == 2
    assert "a bundle is a zip file: got the ending '.tar', expected '.zip'" in ended.err
