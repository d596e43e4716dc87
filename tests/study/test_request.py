"""Requests: changes and files given in Python, and commands for the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retbench.document import parse_assignment
from retbench.errors import UserError
from retbench.study.request import StudyRequest, read_changes, resolve_files
from retbench.suite import read_selection


def test_one_text_is_one_change() -> None:
    assert read_changes("shard=4") == read_changes(["shard=4"]) == ("shard=4",)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (np.int64(16), 16),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([16, 32]), [16, 32]),
        ([np.int32(16), 32], [16, 32]),
        ({"steps": np.int64(5)}, {"steps": 5}),
        ({16}, [16]),
        (Path("weights.pt"), "weights.pt"),
        (None, None),
    ],
)
def test_a_value_is_read_back_unchanged(value: Any, read: Any) -> None:
    (text,) = read_changes({"matrix.bits": value})
    assert parse_assignment(text, "path=value") == ("matrix.bits", read)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard": object}, "set: shard: expected text, a number, a list or a mapping, got <class 'object'>"),
        ({"shard": {(1, 2): 3}}, "set: shard: expected text, a number, a list or a mapping, got {(1, 2): 3}"),
        (4, "set: expected path=value, a list of such texts, or a mapping, got 4"),
        ([4], "set: expected path=value, got 4"),
    ],
)
def test_an_invalid_change_is_refused_in_one_line(changes: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_changes(changes)
    assert str(caught.value) == message


@pytest.mark.parametrize("files", ["mine.py", Path("mine.py"), ["mine.py"], (Path("mine.py"),)])
def test_one_file_needs_no_list(files: Any) -> None:
    assert resolve_files(files) == (str(Path("mine.py").resolve()),)
    assert resolve_files(()) == ()


def test_a_command_has_every_option_of_the_request() -> None:
    request = StudyRequest(
        "my suite.yaml",
        profile="paper",
        changes=("shard=4",),
        only=read_selection(["attack=none,toy"]),
        plugins=("/data/mine.py",),
        device="cpu",
        precision="bf16",
    )
    assert request.format_command("run", Path("store")) == (
        "retbench run 'my suite.yaml' --profile paper --set shard=4 --only attack=none,toy --plugin /data/mine.py "
        "--device cpu --precision bf16 --store store"
    )


def test_a_command_leaves_defaults_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETBENCH_STORE", raising=False)
    assert StudyRequest("smoke").format_command("plan", Path(".retbench")) == "retbench plan smoke"
