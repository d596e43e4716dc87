"""Processes that use the store of a test."""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import NamedTuple

import pytest

from retbench.store import Store

IMPORTS = "import os, time, torch\nfrom retbench.store import Artifact, Store\n"


class Worker(NamedTuple):
    """A process that runs a program, and the pipe to it."""

    process: ForkServerProcess
    pipe: Connection


@pytest.fixture(scope="session")
def server() -> ForkServerContext:
    """Return a context whose processes have torch loaded, so that they start in milliseconds instead of seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["retbench.store"])
    return context


@pytest.fixture
def start(store: Store, server: ForkServerContext) -> Iterator[Callable[[str], Worker]]:
    """Return a function that runs a program in another process, with `store` and a `pipe` to this one."""
    workers: list[Worker] = []

    def run(program: str) -> Worker:
        pipe, worker_pipe = server.Pipe()
        names = {"store": store, "pipe": worker_pipe}
        process = server.Process(target=exec, args=(IMPORTS + program, names), daemon=True)
        process.start()
        worker_pipe.close()
        workers.append(Worker(process, pipe))
        return workers[-1]

    yield run
    for worker in workers:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
