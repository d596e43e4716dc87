"""`--plugin FILE.py`: components of a file in addition to the installed ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import RunCommand

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
def plugin_file(toys: Path, change: Callable[[str, str], None]) -> Path:
    """A file with an attack that the suite uses."""
    change("attack: [none, toy]", "attack: [none, brighter]")
    change("attack: {toy: {eps: 60/255}}", "attack: {brighter: {eps: 60/255}}")
    (toys / "mine.py").write_text(FILE)
    return toys / "mine.py"


def test_a_file_is_used_by_every_command_and_recorded_with_the_run(retbench: RunCommand, plugin_file: Path) -> None:
    assert "unknown attack: got 'brighter'" in retbench("plan", "toy.yaml").err
    assert "4 to run" in retbench("plan", "toy.yaml", "--plugin", "mine.py").out
    assert retbench("run", "toy.yaml", "--plugin", "mine.py").code == 0
    assert "brighter" in retbench("report").out
    rows = json.loads(retbench("results", "--json").out)
    assert {row["status"] for row in rows} == {"done"}
    assert retbench("pictures", "--out", "shown").code == 0
    assert "stored" in retbench("why", CELL).out
    assert "21 steps already stored" in retbench("run", "toy.yaml", "--plugin", "mine.py").err


def test_why_names_an_edit_of_the_code(retbench: RunCommand, plugin_file: Path) -> None:
    assert retbench("run", "toy.yaml", "--plugin", "mine.py").code == 0
    plugin_file.write_text(FILE.replace("GAIN = 1.0", "GAIN = 1.0  # as bright as allowed"))
    assert "0 steps run" in retbench("run", "toy.yaml", "--plugin", "mine.py").err
    plugin_file.write_text(FILE.replace("GAIN = 1.0", "GAIN = 0.5"))
    changed = json.loads(retbench("why", CELL, "--json").out)["changes"]
    assert {change["field"] for change in changed} == {"attack.code"}


def test_versions_name_no_local_code(retbench: RunCommand, plugin_file: Path) -> None:
    assert retbench("run", "toy.yaml", "--plugin", "mine.py").code == 0
    assert "local" not in retbench("report").out.partition("**versions**")[2].splitlines()[0]


def test_a_missing_file_is_one_line(retbench: RunCommand) -> None:
    result = retbench("plan", "toy.yaml", "--plugin", "nowhere.py")
    assert result.code == 2
    assert result.err.endswith("nowhere.py: no such file\n")
    assert result.err.count("\n") == 1


def test_a_store_with_runs_made_in_python_only_advises_to_name_a_suite(retbench: RunCommand, toys: Path) -> None:
    import retbench as package

    package.evaluate(dataset="toy", hasher="toy", bits=8, store=toys / ".retbench", progress=False, name="mine")
    result = retbench("report")
    assert result.code == 2
    assert result.err == (
        "error: store .retbench: its last run, mine, was made in Python and has no suite file: name a suite, for "
        "example `retbench report unimodal`, or call retbench.evaluate again\n"
    )
    assert "removed 0 artifacts" in retbench("gc").out


def test_the_advice_after_a_failed_run_names_the_plugin_file(
    retbench: RunCommand, plugin_file: Path, change: Callable[[str, str], None]
) -> None:
    plugin_file.write_text(FILE.replace("GAIN * self.eps", "undefined"))
    change("attack: [none, brighter]", "attack: brighter")
    assert retbench("run", "toy.yaml", "--plugin", "mine.py").code == 1
    command = f"retbench results toy.yaml --plugin {plugin_file}"
    result = retbench("report", "toy.yaml", "--plugin", "mine.py")
    assert f"every cell failed or is skipped; `{command}` shows the reasons" in result.err
    assert "name 'undefined' is not defined" in retbench(*command.split()[1:]).out
