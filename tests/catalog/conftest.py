"""A place where a test installs plugins, and discovery that sees only those."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from retbench.catalog import Discovery, discover


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder on the import path; the modules that a test writes there are forgotten after it."""
    before = set(sys.modules)
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def find_plugins(site: Path) -> Callable[[], Discovery]:
    """Return a function that discovers what is installed in `site`, whatever else this machine has."""

    def find() -> Discovery:
        found = (point for each in distributions(path=[str(site)]) for point in each.entry_points)
        return discover(point for point in found if point.group == "retbench")

    return find
