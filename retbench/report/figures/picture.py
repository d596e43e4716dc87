"""A drawn figure, as the bytes of its files."""

from __future__ import annotations

from typing import NamedTuple


class Picture(NamedTuple):
    """A figure.

    Attributes:
        stem: its files' name without suffix, unique in a report.
        title: what it is called.
        alt: what it shows, for who cannot see it.
        png: for screens.
        pdf: for papers: lines and letters, not pixels.
    """

    stem: str
    title: str
    alt: str
    png: bytes
    pdf: bytes
