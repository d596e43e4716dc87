"""The identity of a run, the names of its files, and the fields of its record."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from retbench.study.opening import open as open_suite
from retbench.study.runs.record import RunIdentity, read_record

FORMER: dict[str, Any] = {
    "request": {"suite": "/a/b.yaml", "profile": "", "sets": ["shard=2"], "only": [], "precision": "float32"},
    "at": "2026-01-02T03:04:05+0100",
    "keys": ["ab" * 32],
}
CURRENT: dict[str, Any] = {"format": 2, "run": {"name": "toy"}, "at": "2026-01-02T03:04:05Z", "keys": []}


@pytest.mark.parametrize(
    "name", ["a/b", "..", "A:b*?", "x" * 300, "Ä", "", "nul\0", "toy@paper", "-.-", "a\nb", ".hidden"]
)
def test_the_stem_of_a_run_is_safe_in_every_file_system(name: str) -> None:
    stem = RunIdentity(name=name).stem
    assert re.fullmatch(r"[a-z0-9_][a-z0-9_.-]*-[0-9a-f]{16}", stem)
    assert len(stem) <= 65


def test_names_that_differ_only_by_case_or_signs_have_stems_of_their_own() -> None:
    names = ("toy@a", "toy@A", "toy-a", "toy@a/", "x" * 300, "x" * 301)
    assert len({RunIdentity(name=name).stem.lower() for name in names}) == len(names)


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "fast"},
        {"set": {"matrix.bits": 8}},
        {"precision": "bf16"},
        {"plugins": "extra.py"},
    ],
)
def test_options_that_change_artifacts_are_part_of_the_identity(toys: Path, options: dict[str, Any]) -> None:
    (toys / "extra.py").write_text(
        "from retbench.testing import ToyAttack\nclass Extra(ToyAttack):\n    name = 'extra'\n"
    )
    with open("toy.yaml", "a") as stream:
        stream.write("profiles: {fast: {shard: 8}}\n")
    plain = open_suite("toy.yaml", precision="float32")
    assert open_suite("toy.yaml", **{"precision": "float32", **options}).identity != plain.identity
    assert open_suite("toy.yaml", precision="float32", only={"attack": "none"}).identity == plain.identity


def test_the_folder_of_datasets_is_part_of_the_identity_where_it_exists(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETBENCH_DATA", "small")
    absent = open_suite("toy.yaml").identity
    assert absent.data == ""
    (toys / "small").mkdir()
    assert open_suite("toy.yaml").identity.data == str(toys / "small")


def test_a_record_of_the_former_format_is_converted() -> None:
    record = read_record(FORMER, "b")
    assert (record.run.name, record.run.suite, record.run.sets, record.keys) == (
        "b",
        "/a/b.yaml",
        ("shard=2",),
        ("ab" * 32,),
    )
    assert record.at.isoformat() == "2026-01-02T03:04:05+01:00"


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({}, "request: field required"),
        (FORMER | {"keys": ["ab"]}, "keys.0: string should match pattern"),
        (FORMER | {"keys": "ab" * 32}, "keys: input should be a valid tuple"),
        (FORMER | {"at": "2026-01-02T03:04:05"}, "at: input should have timezone info"),
        (FORMER | {"more": 1}, "more: extra inputs are not permitted"),
        ({**CURRENT, "format": 3}, "format: input should be 2"),
        ({**CURRENT, "run": {}}, "run.name: field required"),
        ({**CURRENT, "cells": {"toy": "key"}}, "cells.toy: string should match pattern"),
    ],
)
def test_a_wrong_record_is_refused_naming_the_field(record: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        read_record(record, "b")
