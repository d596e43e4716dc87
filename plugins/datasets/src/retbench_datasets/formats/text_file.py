"""Text files: read line by line, with the line number in every error, and written atomically."""

from __future__ import annotations

import os
from pathlib import Path

from retbench import UserError


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, stripped of spaces; empty lines at the end are dropped.

    Raises:
        UserError: it cannot be read, is not UTF-8, is empty, or has an empty line before its last one; names the line.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: it is not UTF-8: got byte {error.object[error.start]:#x} at {error.start}") from None
    if "" in lines:
        problem = "an empty file" if len(lines) == 1 else "an empty line"
        raise UserError(f"{path}:{lines.index('') + 1}: {problem}: expected a value on every line")
    return lines


def write_text(path: Path, text: str) -> None:
    """Write a file atomically: under a temporary name, then renamed; raises UserError if it cannot be written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise UserError(f"{path}: it cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
