"""Where a report comes from: a store, or bundles that others exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Retbench


def told(retbench: Retbench, *words: str) -> dict[str, Any]:
    """Return the JSON of a report, which must be made."""
    ended = retbench("report", *words, "--json")
    assert ended.code == 0, ended.err
    made: dict[str, Any] = json.loads(ended.out)
    return made


def tables(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a report's tables without the line that says which bundle they come from."""
    kept = [[line for line in table["provenance"] if line[0] != "source"] for table in made["tables"]]
    return [{**table, "provenance": lines} for table, lines in zip(made["tables"], kept, strict=True)]


@pytest.fixture
def exported(retbench: Retbench) -> Callable[..., Path]:
    """Run a suite, perhaps a part of it, and exports it."""

    def export(path: str, *narrowed: str) -> Path:
        assert retbench("run", "toy.yaml", *narrowed).code == 0
        ended = retbench("results", "export", "toy.yaml", path, *narrowed)
        assert ended.code == 0, ended.err
        return Path(path)

    return export


def test_a_bundle_gives_the_tables_of_its_store(retbench: Retbench, exported: Callable[..., Path]) -> None:
    exported("mine.zip")
    stored, bundled = told(retbench, "toy.yaml"), told(retbench, "mine.zip")
    assert tables(bundled) == tables(stored)
    said = [text for table in bundled["tables"] for label, text in table["provenance"] if label == "source"]
    assert set(said) == {"mine.zip, as it states the numbers; `retbench verify` computes them again"}
    assert (bundled["title"], bundled["description"]) == (stored["title"], stored["description"])
    assert [line for line in bundled["provenance"] if line[0] != "source"] == stored["provenance"]


def test_a_bundle_needs_neither_its_suite_nor_its_store(
    retbench: Retbench, exported: Callable[..., Path], toys: Path
) -> None:
    exported("mine.zip")
    stored = told(retbench, "toy.yaml")
    (toys / "toy.yaml").unlink()
    assert tables(told(retbench, "mine.zip", "--store", "elsewhere")) == tables(stored)


def test_bundles_of_parts_give_the_tables_of_the_whole(retbench: Retbench, exported: Callable[..., Path]) -> None:
    exported("clean.zip", "--only", "attack=none")
    exported("attacked.zip", "--only", "attack=toy")
    whole, merged = told(retbench, "toy.yaml"), told(retbench, "clean.zip", "attacked.zip")

    def numbers(made: dict[str, Any]) -> list[Any]:
        return [
            (table["title"], line["block"], line["label"], [value["interval"] for value in line["values"]])
            for table in made["tables"]
            for line in table["rows"]
        ]

    assert numbers(merged) == numbers(whole)


def test_the_files_of_a_bundles_report_are_called_like_the_bundle(
    retbench: Retbench, exported: Callable[..., Path], toys: Path
) -> None:
    exported("mine.zip")
    retbench("report", "mine.zip", "--out", "tables", "--no-pictures")
    assert {path.stem for path in (toys / "tables").iterdir()} == {"mine"}


def test_a_file_that_is_no_bundle_is_no_traceback(retbench: Retbench, toys: Path) -> None:
    (toys / "mine.zip").write_text("no zip")
    for name in ("mine.zip", "absent.zip"):
        ended = retbench("report", name)
        assert (ended.code, name in ended.err, "Traceback" in ended.err) == (2, True, False), ended.err


def test_a_folder_and_a_format_do_not_go_together(retbench: Retbench, exported: Callable[..., Path]) -> None:
    exported("mine.zip")
    ended = retbench("report", "toy.yaml", "--out", "out", "--format", "csv")
    assert ended.code == 2
    assert "--out writes every format" in ended.err


def test_a_report_of_a_part_says_first_how_much_is_missing(retbench: Retbench) -> None:
    assert retbench("run", "toy.yaml", "--only", "attack=none").code == 0
    assert told(retbench, "toy.yaml")["description"] == "Unfinished: 2 of 4 cells have not run yet."


def test_a_layout_that_names_a_stranger_is_refused_before_a_run(retbench: Retbench) -> None:
    layout = "title: t\ncolumns: [bits]\nmetrics: [{name: map, label: m}]\nselect: [{defense: tooy}]\n"
    Path("mine.yaml").write_text(layout)
    ended = retbench("run", "toy.yaml", "--set", "report.layout=[mine.yaml]")
    assert ended.code == 2
    assert "layout mine.yaml: unknown defense: got 'tooy'" in ended.err
