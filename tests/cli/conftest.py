"""Run the command line in a temporary folder, with the toy components installed as a plugin."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from retbench.cli.main import main
from retbench.testing import write_plugin

TOY_SUITE = """\
suite: toy
matrix:
  dataset: toy
  hasher: toy
  bits: 16
  attack: [none, toy]
  defense: [none, toy]
components:
  attack: {toy: {eps: 60/255}}
shard: 4
report: {layout: [retpur-table-1, retpur-table-7]}
"""


class CommandResult(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


RunCommand = Callable[..., CommandResult]


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the suite `toy.yaml`, where the toy plugin is the only one."""
    monkeypatch.syspath_prepend(str(write_plugin(tmp_path / "plugins", "toys", "retbench.testing.toy_plugin")))
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys")
    monkeypatch.delenv("RETBENCH_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(TOY_SUITE)
    return tmp_path


@pytest.fixture
def retbench(toys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """A function that runs a command line in this process."""

    def run(*words: str) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["retbench", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return CommandResult(int(caught.value.code or 0), out, err)

    return run


@pytest.fixture
def change(toys: Path) -> Callable[[str, str], None]:
    """A function that replaces a text in `toy.yaml`."""

    def edit(old: str, new: str) -> None:
        text = (toys / "toy.yaml").read_text()
        assert old in text
        (toys / "toy.yaml").write_text(text.replace(old, new))

    return edit
