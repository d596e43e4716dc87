"""Imports of optional packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from retbench_datasets.extras import load_extra

from retbench import UserError


def test_an_installed_module_is_returned() -> None:
    assert load_extra("json", "a.mat") is sys.modules["json"]


def test_a_missing_package_is_a_one_line_error_with_the_install_command() -> None:
    message = (
        r"^a.mat: the package no_such_package is not installed: .*: pip install 'retbench-datasets\[crossmodal\]'$"
    )
    with pytest.raises(UserError, match=message):
        load_extra("no_such_package", "a.mat")


def test_a_broken_package_raises_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        load_extra("broken_package", "a.mat")
