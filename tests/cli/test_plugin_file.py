"""`--plugin FILE.py`: components of a file beside those that are installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Retbench

CELL = "toy/toy/16/i2i/brighter/none/toy/oblivious/0"
FILE = """\
from typing import ClassVar
from retbench.testing.toys import ToyAttack

GAIN = 1.0

class Brighter(ToyAttack):
    name: ClassVar[str] = "brighter"

    def perturb(self, knowledge, batch, module, noise):
        return (batch.images + GAIN * self.eps).clamp(0, 1)
"""


@pytest.fixture
def mine(toys: Path, change: Callable[[str, str], None]) -> Path:
    """A file with an attack, which the suite uses."""
    change("attack: [none, toy]", "attack: [none, brighter]")
    change("attack: {toy: {eps: 60/255}}", "attack: {brighter: {eps: 60/255}}")
    (toys / "mine.py").write_text(FILE)
    return toys / "mine.py"


def test_a_file_is_used_by_every_command_and_remembered(retbench: Retbench, mine: Path) -> None:
    assert "unknown attack: got 'brighter'" in retbench("plan", "toy.yaml").err
    assert "4 to run" in retbench("plan", "toy.yaml", "--plugin", "mine.py").out
    assert retbench("run", "toy.yaml", "--plugin", "mine.py").code == 0
    assert "brighter" in retbench("report").out
    rows = json.loads(retbench("results", "--json").out)
    assert {row["status"] for row in rows} == {"done"}
    assert retbench("pictures", "--out", "shown").code == 0
    assert "stored" in retbench("why", CELL).out
    assert "21 already stored" in retbench("run", "toy.yaml", "--plugin", "mine.py").err


def test_an_edit_that_matters_is_what_why_names(retbench: Retbench, mine: Path) -> None:
    assert retbench("run", "toy.yaml", "--plugin", "mine.py").code == 0
    mine.write_text(FILE.replace("GAIN = 1.0", "GAIN = 1.0  # as bright as allowed"))
    assert "0 steps run" in retbench("run", "toy.yaml", "--plugin", "mine.py").err
    mine.write_text(FILE.replace("GAIN = 1.0", "GAIN = 0.5"))
    changed = json.loads(retbench("why", CELL, "--json").out)["changes"]
    assert {change["field"] for change in changed} == {"attack.code"}


def test_versions_name_no_local_code(retbench: Retbench, mine: Path) -> None:
    assert retbench("run", "toy.yaml", "--plugin", "mine.py").code == 0
    assert "local" not in retbench("report").out.partition("**versions**")[2].splitlines()[0]


def test_a_file_that_is_not_there_is_one_line(retbench: Retbench) -> None:
    ended = retbench("plan", "toy.yaml", "--plugin", "nowhere.py")
    assert ended.code == 2
    assert ended.err.endswith("nowhere.py: no such file\n")
    assert ended.err.count("\n") == 1


def test_a_store_whose_last_run_was_made_in_python_says_what_to_do(retbench: Retbench, toys: Path) -> None:
    import retbench as package

    package.evaluate(dataset="toy", hasher="toy", bits=8, store=toys / ".retbench", progress=False, name="mine")
    ended = retbench("report")
    assert ended.code == 2
    assert ended.err == (
        "error: store .retbench: its last run, mine, was made in Python and has no suite file; name a suite, such as "
        "`retbench report unimodal`, or call retbench.evaluate again\n"
    )
    assert "removed 0 artifacts" in retbench("gc").out
