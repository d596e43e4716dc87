"""Other processes that use the store of a test."""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import NamedTuple

import pytest

from retbench.store import Store

OPENING = "import os, time, torch\nfrom retbench.store import Artifact, Store\n"


class Worker(NamedTuple):
    """A process that runs a program, and the pipe to it."""

    process: ForkServerProcess
    pipe: Connection


@pytest.fixture(scope="session")
def server() -> ForkServerContext:
    """Return a context whose processes start with torch loaded, in milliseconds instead of seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["retbench.store"])
    return context


@pytest.fixture
def start(store: Store, server: ForkServerContext) -> Iterator[Callable[[str], Worker]]:
    """Return a function that runs a program in another process, with `store` and a `pipe` to this one."""
    workers: list[Worker] = []

    def run(program: str) -> Worker:
        ours, theirs = server.Pipe()
        process = server.Process(target=exec, args=(OPENING + program, {"store": store, "pipe": theirs}), daemon=True)
        process.start()
        theirs.close()
        workers.append(Worker(process, ours))
        return workers[-1]

    yield run
    for worker in workers:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
