"""How all tests run (one thread each, because `make test` starts a process per core), and what they share."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")  # before torch is imported, and for processes that tests start
for name in ("RETBENCH_PLUGINS", "RETBENCH_STORE"):
    os.environ.pop(name, None)

import pytest  # noqa: E402  it loads plugins, which may import what reads the variables above
from hypothesis import settings  # noqa: E402  as above

settings.register_profile("retbench", deadline=None, max_examples=100)
settings.load_profile("retbench")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep remembered digests of files out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def without_fsync() -> Iterator[None]:
    """Skip `os.fsync`, which protects files from a power failure; no test continues after one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def smoke_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the suite `smoke` through the command line, once for all test processes, and return its store.

    A test that writes to a store copies it first. What the command printed is beside it, in `smoke.jsonl`.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    store = shared / "smoke"
    with store.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not store.with_suffix(".jsonl").exists():
            store.with_suffix(".jsonl").write_text(_run_smoke(store))
    return store


def _run_smoke(store: Path) -> str:
    from retbench.cli.main import main

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.delenv("RETBENCH_PLUGINS", raising=False)
        patch.setattr(sys, "argv", ["retbench", "run", "smoke", "--json", "--store", str(store)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
    return printed.getvalue()


@pytest.fixture(scope="session")
def copy_trained(smoke_store: Path) -> Callable[[Path], None]:
    """Copy the trained hasher of the suite `smoke` into another store, to save a test the training."""
    from retbench.store import Store

    def copy(root: Path) -> None:
        trained, copied = Store(smoke_store), Store(root)
        for key in sorted(trained.keys()):
            recipe = trained.meta(key)["recipe"]
            if isinstance(recipe, dict) and recipe["stage"] in ("fit_part", "fit"):
                copied.put(trained.get(key))

    return copy
