"""Packages that only some datasets need."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from retbench_datasets.extras import load_extra

from retbench import UserError


def test_a_module_that_is_there_is_returned() -> None:
    assert load_extra("json", "a.mat") is sys.modules["json"]


def test_an_absent_package_is_a_line_that_says_how_to_get_it() -> None:
    told = r"^a.mat: it needs no_such_package, which is not installed: pip install 'retbench-datasets\[crossmodal\]'$"
    with pytest.raises(UserError, match=told):
        load_extra("no_such_package", "a.mat")


def test_a_package_that_is_broken_itself_is_no_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        load_extra("broken_package", "a.mat")
