"""The reports in the repository: Markdown and the pictures it shows, small."""

from __future__ import annotations

import re
from pathlib import Path

REPORTS = Path(__file__).parents[1] / "reports"
MAX_PICTURE, MAX_FOLDER = 150_000, 5_000_000
"""Bytes."""


def test_the_reports_are_small_and_each_picture_is_in_one() -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in REPORTS.glob("*.md")}
    shown = {name for text in pages.values() for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)}
    pictures = {path.name: path.stat().st_size for path in REPORTS.glob("*.png")}
    assert {"unimodal.md", "crossmodal.md"} <= {path.name for path in pages}
    assert shown == set(pictures)
    assert {name: size for name, size in pictures.items() if size > MAX_PICTURE} == {}
    assert sum(pictures.values()) + sum(map(len, pages.values())) <= MAX_FOLDER
