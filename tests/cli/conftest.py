"""The command line in a folder of its own, with the toy components installed as a plugin."""

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


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Retbench = Callable[..., Ended]


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `toy.yaml` in it, where the toy plugin is the only one."""
    monkeypatch.syspath_prepend(str(write_plugin(tmp_path / "plugins", "toys", "retbench.testing.toy_plugin")))
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys")
    monkeypatch.delenv("RETBENCH_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(TOY_SUITE)
    return tmp_path


@pytest.fixture
def retbench(toys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Retbench:
    """Run a command line in this process."""

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["retbench", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def change(toys: Path) -> Callable[[str, str], None]:
    """Replaces a text in `toy.yaml`."""

    def edit(old: str, new: str) -> None:
        text = (toys / "toy.yaml").read_text()
        assert old in text
        (toys / "toy.yaml").write_text(text.replace(old, new))

    return edit
