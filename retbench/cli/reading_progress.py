"""Show on standard error that many files are being read, which takes minutes for a large dataset on its first run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def show_reading() -> Iterator[None]:
    """Print a line every ten seconds while `retbench.digest_files` reads files in this block."""
    from retbench.file_digests import observe_reading

    with observe_reading(_ReadingLines()):
        yield


class _ReadingLines:
    def __init__(self) -> None:
        self.printed = time.monotonic()

    def __call__(self, read: int, total: int) -> None:
        if read < total and time.monotonic() - self.printed >= SECONDS_BETWEEN_LINES:
            self.printed = time.monotonic()
            click.echo(f"reading files, to notice changed images: {read} of {total}", err=True)
