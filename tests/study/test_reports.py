"""Reports of a store and of export bundles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import RunCommand


def report(retbench: RunCommand, *words: str) -> dict[str, Any]:
    """Return the JSON of a report."""
    result = retbench("report", *words, "--json")
    assert result.code == 0, result.err
    record: dict[str, Any] = json.loads(result.out)
    return record


def tables_without_source(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tables of a report, without the line of provenance that names the bundle."""
    provenance = [[line for line in table["provenance"] if line[0] != "source"] for table in report["tables"]]
    return [{**table, "provenance": lines} for table, lines in zip(report["tables"], provenance, strict=True)]


@pytest.fixture
def export(retbench: RunCommand) -> Callable[..., Path]:
    """A function that runs the toy suite, or a part of it, and exports it to a bundle."""

    def run_and_export(path: str, *options: str) -> Path:
        assert retbench("run", "toy.yaml", *options).code == 0
        result = retbench("results", "export", "toy.yaml", path, *options)
        assert result.code == 0, result.err
        return Path(path)

    return run_and_export


def test_a_bundle_gives_the_tables_of_its_store(retbench: RunCommand, export: Callable[..., Path]) -> None:
    export("mine.zip")
    stored, bundled = report(retbench, "toy.yaml"), report(retbench, "mine.zip")
    assert tables_without_source(bundled) == tables_without_source(stored)
    sources = [text for table in bundled["tables"] for label, text in table["provenance"] if label == "source"]
    assert set(sources) == {"numbers as stated in mine.zip; `retbench verify` computes them again"}
    assert (bundled["title"], bundled["description"]) == (stored["title"], stored["description"])
    assert [line for line in bundled["provenance"] if line[0] != "source"] == stored["provenance"]


def test_a_bundle_needs_neither_its_suite_nor_its_store(
    retbench: RunCommand, export: Callable[..., Path], toys: Path
) -> None:
    export("mine.zip")
    stored = report(retbench, "toy.yaml")
    (toys / "toy.yaml").unlink()
    assert tables_without_source(report(retbench, "mine.zip", "--store", "elsewhere")) == tables_without_source(stored)


def test_bundles_of_parts_give_the_tables_of_the_whole(retbench: RunCommand, export: Callable[..., Path]) -> None:
    export("clean.zip", "--only", "attack=none")
    export("attacked.zip", "--only", "attack=toy")
    whole, merged = report(retbench, "toy.yaml"), report(retbench, "clean.zip", "attacked.zip")

    def numbers(report: dict[str, Any]) -> list[Any]:
        return [
            (table["title"], line["block"], line["label"], [value["interval"] for value in line["values"]])
            for table in report["tables"]
            for line in table["rows"]
        ]

    assert numbers(merged) == numbers(whole)


def test_the_files_of_a_report_are_named_after_the_bundle(
    retbench: RunCommand, export: Callable[..., Path], toys: Path
) -> None:
    export("mine.zip")
    retbench("report", "mine.zip", "--out", "tables", "--no-pictures")
    assert {path.stem for path in (toys / "tables").iterdir()} == {"mine"}


def test_a_file_that_is_not_a_bundle_is_a_user_error(retbench: RunCommand, toys: Path) -> None:
    (toys / "mine.zip").write_text("no zip")
    for name in ("mine.zip", "absent.zip"):
        result = retbench("report", name)
        assert (result.code, name in result.err, "Traceback" in result.err) == (2, True, False), result.err


def test_a_folder_and_a_format_exclude_each_other(retbench: RunCommand, export: Callable[..., Path]) -> None:
    export("mine.zip")
    result = retbench("report", "toy.yaml", "--out", "out", "--format", "csv")
    assert result.code == 2
    assert "--out writes every format" in result.err


def test_the_description_of_a_report_counts_the_missing_cells(retbench: RunCommand) -> None:
    assert retbench("run", "toy.yaml", "--only", "attack=none").code == 0
    assert report(retbench, "toy.yaml")["description"] == "Unfinished: 2 of 4 cells have not run yet."


def test_a_layout_with_an_unknown_component_is_refused_before_a_run(retbench: RunCommand) -> None:
    layout = "title: t\ncolumns: [bits]\nmetrics: [{name: map, label: m}]\nselect: [{defense: tooy}]\n"
    Path("mine.yaml").write_text(layout)
    result = retbench("run", "toy.yaml", "--set", "report.layout=[mine.yaml]")
    assert result.code == 2
    assert "layout mine.yaml: unknown defense: got 'tooy'" in result.err
