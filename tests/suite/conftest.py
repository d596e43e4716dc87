"""Suites of the toy components, written by each test."""

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
    """Return a function that reads a suite: the lines that every suite needs, and those of the test."""

    def read(text: str = "", profile: str = "", sets: Sequence[str] = (), head: str = HEAD) -> LoadedSuite:
        path = tmp_path / "suite.yaml"
        path.write_text(head + text)
        return read_suite(path, profile, sets)

    return read


@pytest.fixture
def cells(load: Callable[..., LoadedSuite]) -> Callable[..., list[Cell]]:
    """Return a function that expands a suite of toys."""

    def build(text: str = "", only: Only = (), **arguments: object) -> list[Cell]:
        return expand(load(text, **arguments), Catalog.of(*TOYS), read_selection(only))

    return build


@pytest.fixture
def read_error(tmp_path: Path, cells: Callable[..., list[Cell]]) -> Callable[..., str]:
    """Return a function that returns the error message of a bad suite, after checking that it points at the ◆ in it."""

    def read(text: str, head: str = HEAD, **arguments: object) -> str:
        before = (head + text).partition("◆")[0]
        location = f"{tmp_path / 'suite.yaml'}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "
        with pytest.raises(UserError) as caught:
            cells(text.replace("◆", ""), head=head.replace("◆", ""), **arguments)
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith(location), f"{message} does not start with {location}"
        return message.removeprefix(location)

    return read
