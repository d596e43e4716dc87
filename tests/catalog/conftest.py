"""A folder in which tests install plugins, and discovery of these plugins only."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from retbench.catalog import Discovery, discover


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder on the import path; modules imported from it are removed from sys.modules after the test."""
    before = set(sys.modules)
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def find_plugins(site: Path) -> Callable[[], Discovery]:
    """Return a function that discovers the plugins in `site`, but no other installed ones."""

    def find() -> Discovery:
        installed = distributions(path=[str(site)])
        points = (point for distribution in installed for point in distribution.entry_points)
        return discover(point for point in points if point.group == "retbench")

    return find
