"""The components in CONTRIBUTING.md keep their contracts."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from retbench import Component
from retbench.testing import check_component

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """The names that the examples define, which build on one another from the first import on."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "documented"}
    for block in blocks:
        if "class " in block:
            exec(block, names)
    return names


def test_each_documented_component_keeps_its_contract(documented: dict[str, Any]) -> None:
    classes = [each for each in documented.values() if inspect.isclass(each) and each.__module__ == "documented"]
    components = [each for each in classes if issubclass(each, Component)]
    assert sorted(each.kind for each in components) == ["attack", "attack", "dataset", "defense", "hasher"]
    for component in components:
        check_component(component())
