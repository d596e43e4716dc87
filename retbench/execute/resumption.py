"""Remember, beside the checkpoints of a training, the numbers of threads of the attempts that it resumes."""

from __future__ import annotations

import json
from pathlib import Path

from retbench.store.files import replace_file

THREADS_FILE = "threads.json"
OWN_FILES = {THREADS_FILE, ".lock"}
"""Files in a folder of checkpoints that are not checkpoints."""
UNFINISHED = {".partial", ".tmp"}
"""Suffixes of files that a killed process has left."""


def note_threads(folder: Path, threads: int) -> list[int]:
    """Add the number of threads of this attempt to those of a folder of checkpoints.

    Returns:
        The other numbers, with which the training that this attempt resumes has run; none without a checkpoint, because
        such a training starts anew.
    """
    resumed = any(path.name not in OWN_FILES and path.suffix not in UNFINISHED for path in folder.iterdir())
    earlier = _read_threads(folder / THREADS_FILE) if resumed else []
    if threads not in earlier or not resumed:
        replace_file(folder / THREADS_FILE, json.dumps([*earlier, threads]).encode())
    return [number for number in earlier if number != threads]


def _read_threads(path: Path) -> list[int]:
    """Return the numbers in a file; none if it is missing or damaged."""
    try:
        numbers = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [number for number in numbers if isinstance(number, int)] if isinstance(numbers, list) else []
