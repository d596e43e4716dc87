"""A pool of worker processes that decode many images at once and end with this process."""

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
from retbench_datasets.images.decoding import DecodedImage, Preprocessing, decode_image

SMALL_BATCH = 16
"""Smaller batches are decoded in this process: they take less time than starting the workers."""
MAX_WORKERS = 16
"""Most workers if `RETBENCH_WORKERS` is not set."""

# By process id: a forked child inherits this table, and must neither use nor close the workers of its parent.
_POOLS: dict[tuple[int, int], ProcessPoolExecutor] = {}


def decode_images(paths: Sequence[Path], preprocessing: Preprocessing) -> Iterator[DecodedImage]:
    """Yield the result of `decode_image` for each path, in order.

    The workers start with the first batch of at least `SMALL_BATCH` images and end with this process, however it ends.

    Raises:
        UserError: `RETBENCH_WORKERS` is not a positive number, or a worker died.
    """
    workers = count_workers()
    work = partial(decode_image, preprocessing=preprocessing)
    if workers == 1 or len(paths) < SMALL_BATCH or multiprocessing.current_process().daemon:
        yield from map(work, paths)  # a daemonic process may not start others
        return
    try:
        yield from _get_pool(workers).map(work, paths, chunksize=max(1, min(SMALL_BATCH, len(paths) // (2 * workers))))
    except BrokenProcessPool as error:
        del _POOLS[os.getpid(), workers]
        raise UserError(
            "decoding images: a worker process died: it ran out of memory, or the script that started it has no "
            "`if __name__ == '__main__':`; set RETBENCH_WORKERS=1 to decode without workers"
        ) from error


def count_workers() -> int:
    """Return the number of decoding workers: `RETBENCH_WORKERS`, or the usable cores, at most `MAX_WORKERS`."""
    setting = os.environ.get("RETBENCH_WORKERS", "")
    if not setting:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, MAX_WORKERS)
    if not setting.isdecimal() or int(setting) == 0:
        raise UserError(f"RETBENCH_WORKERS: wrong number of processes: got {setting!r}, expected 1, 2, ...")
    return int(setting)


def _get_pool(workers: int) -> ProcessPoolExecutor:
    key = os.getpid(), workers
    if key not in _POOLS:
        # Spawned, not forked: torch's and CUDA's threads do not survive a fork.
        spawn = multiprocessing.get_context("spawn")
        _POOLS[key] = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_initialize_worker)
    return _POOLS[key]


def _initialize_worker() -> None:
    """Leave Ctrl-C to the parent process, and exit when the parent ends without closing the pool (if it is killed)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
