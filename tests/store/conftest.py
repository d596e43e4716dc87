"""Processes that use the store of a test."""

from collections.abc import Callable

import pytest

from retbench.store import Store
from tests.conftest import StartProgram, Worker

IMPORTS = "import os, time, torch\nfrom retbench.store import Artifact, Store\n"


@pytest.fixture
def start(store: Store, start_program: StartProgram) -> Callable[[str], Worker]:
    """Return a function that runs a program in another process, with `store` and a `pipe` to this one."""
    return lambda program: start_program(IMPORTS + program, store=store)
