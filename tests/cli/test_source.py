"""Where a report comes from: a store, or bundles that others exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Retbench


def told(retbench: Retbench, *words: str) -> dict[str, Any]:
    """Returns the JSON of a report, which must be made."""
    ended = retbench("report", *words, "--json")
    assert ended.code == 0, ended.err
    made: dict[str, Any] = json.loads(ended.out)
    return made


@pytest.fixture
def exported(retbench: Retbench) -> Callable[..., Path]:
    """Runs a suite, perhaps a part of it, and exports it."""

    def export(path: str, *narrowed: str) -> Path:
        assert retbench("run", "toy.yaml", *narrowed).code == 0
        ended = retbench("results", "export", "toy.yaml", path, *narrowed)
        assert ended.code == 0, ended.err
        return Path(path)

    return export


def test_a_bundle_gives_the_tables_of_its_store(retbench: Retbench, exported: Callable[..., Path]) -> None:
    exported("mine.zip")
    stored, bundled = told(retbench, "toy.yaml"), told(retbench, "mine.zip")
    assert bundled["tables"] == stored["tables"]
    assert (bundled["title"], bundled["description"]) == (stored["title"], stored["description"])
    assert bundled["provenance"] == stored["provenance"]


def test_a_bundle_needs_neither_its_suite_nor_its_store(
    retbench: Retbench, exported: Callable[..., Path], toys: Path
) -> None:
    exported("mine.zip")
    stored = told(retbench, "toy.yaml")
    (toys / "toy.yaml").unlink()
    assert told(retbench, "mine.zip", "--store", "elsewhere")["tables"] == stored["tables"]


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
