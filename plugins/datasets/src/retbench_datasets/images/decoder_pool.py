"""A pool of worker processes that decode many images at once and live as long as this process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from retbench import UserError
from retbench_datasets.images.decoding import Decoded, Preprocessing, decode_image

SMALL_BATCH = 16
"""Batches below this are decoded in this process: they take less time than starting the workers."""
MOST_WORKERS = 16
"""Workers started where `RETBENCH_WORKERS` is not set and there are more cores than this."""

# By process id: a forked child inherits this table, and must neither use nor close the workers of its parent.
_POOLS: dict[tuple[int, int], ProcessPoolExecutor] = {}


def decode_images(paths: Sequence[Path], preprocessing: Preprocessing) -> Iterator[Decoded]:
    """Yields each picture as `decode_image` returns it, in order.

    The workers start with the first batch of `SMALL_BATCH` pictures or more and end with this process, however it ends.

    Raises:
        UserError: `RETBENCH_WORKERS` is not a positive number, or a worker died.
    """
    workers = count_workers()
    work = partial(decode_image, preprocessing=preprocessing)
    if workers == 1 or len(paths) < SMALL_BATCH or multiprocessing.current_process().daemon:
        yield from map(work, paths)  # a daemonic process may not start others
        return
    try:
        yield from _pool(workers).map(work, paths, chunksize=max(1, min(SMALL_BATCH, len(paths) // (2 * workers))))
    except BrokenProcessPool as error:
        del _POOLS[os.getpid(), workers]
        raise UserError(
            "decoding pictures: a worker process died: it ran out of memory, or was started by a script without "
            "`if __name__ == '__main__':`; set RETBENCH_WORKERS=1 to decode without workers"
        ) from error


def count_workers() -> int:
    """Returns how many workers decode: `RETBENCH_WORKERS`, else the cores of this process, at most `MOST_WORKERS`."""
    asked = os.environ.get("RETBENCH_WORKERS", "")
    if not asked:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, MOST_WORKERS)
    if not asked.isdecimal() or int(asked) == 0:
        raise UserError(
            f"RETBENCH_WORKERS: it must be a positive number of processes: got {asked!r}, expected 1, 2, ..."
        )
    return int(asked)


def _pool(workers: int) -> ProcessPoolExecutor:
    key = os.getpid(), workers
    if key not in _POOLS:
        # Spawned, not forked: torch's and CUDA's threads do not survive a fork.
        spawn = multiprocessing.get_context("spawn")
        _POOLS[key] = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_live_and_die_with_the_parent)
    return _POOLS[key]


def _live_and_die_with_the_parent() -> None:
    """Leaves Ctrl-C to the parent, and ends the worker when the parent is gone without notice (killed, for example)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
