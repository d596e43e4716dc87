"""Opening a suite in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retbench.study.opening import open as open_suite
from retbench.testing import ToyAttack
from tests.cli.test_plugin_file import FILE


def test_a_single_text_equals_a_list_of_one(toys: Path) -> None:
    study = open_suite("toy.yaml", only="attack=none", set="shard=2")
    assert study.request.only.texts == ("attack=none",)
    assert study.loaded.suite.shard == 2
    assert {row.attack for row in study.rows()} == {"none"}


@pytest.mark.parametrize("path_type", [str, Path])
def test_a_single_plugin_file_needs_no_list(toys: Path, path_type: Any) -> None:
    (toys / "mine.py").write_text(FILE)
    study = open_suite("toy.yaml", plugins=path_type("mine.py"))
    assert study.request.plugins == (str(toys / "mine.py"),)


def test_numbers_of_numpy_are_accepted(toys: Path) -> None:
    study = open_suite(
        "toy.yaml",
        set={"matrix.bits": np.array([8, 16]), "components.attack.toy.eps": np.float32(0.25), "shard": np.int64(2)},
        only={"bits": np.int64(8), "attack": "toy"},
    )
    assert {row.bits for row in study.rows()} == {8}
    assert {planned.cell.attack for planned in study.planned.cells} == {ToyAttack(eps=0.25)}
