"""Suites of the toy components, written for one test."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from retbench.catalog import Catalog
from retbench.errors import UserError
from retbench.suite import Cell, LoadedSuite, Only, expand, read_selection, read_suite
from retbench.testing.toys import TOYS

HEAD = "suite: trial\nmatrix:\n  dataset: toy\n  hasher: toy\n"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., LoadedSuite]:
    """Return a function that reads a suite: the head every suite needs, and what a test adds to it."""

    def read(text: str = "", profile: str = "", sets: Sequence[str] = (), head: str = HEAD) -> LoadedSuite:
        path = tmp_path / "suite.yaml"
        path.write_text(head + text)
        return read_suite(path, profile, sets)

    return read


@pytest.fixture
def cells(load: Callable[..., LoadedSuite]) -> Callable[..., list[Cell]]:
    """Return a function that expands a suite of toys."""

    def build(text: str = "", only: Only = (), **how: object) -> list[Cell]:
        return expand(load(text, **how), Catalog.of(*TOYS), read_selection(only))

    return build


@pytest.fixture
def refuse(tmp_path: Path, cells: Callable[..., list[Cell]]) -> Callable[..., str]:
    """Return a function that returns what is said of a bad suite, after checking that it points at the ◆ in it."""

    def read(text: str, head: str = HEAD, **how: object) -> str:
        before = (head + text).partition("◆")[0]
        place = f"{tmp_path / 'suite.yaml'}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "
        with pytest.raises(UserError) as caught:
            cells(text.replace("◆", ""), head=head.replace("◆", ""), **how)
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith(place), f"{message} does not start with {place}"
        return message.removeprefix(place)

    return read
