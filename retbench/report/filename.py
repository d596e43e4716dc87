"""What files are called after the things they show."""

from __future__ import annotations

import re


def slug(text: str, limit: int = 80) -> str:
    """Return a text as a piece of a file name: lower-case letters, digits, `_` and `.`, everything else a dash."""
    return re.sub(r"[^a-z0-9_.]+", "-", text.lower())[:limit].strip("-.") or "unnamed"


def fresh_stem(stem: str, taken: set[str]) -> str:
    """Return the stem, or the first of `stem-2`, `stem-3`, ... that is not taken, and takes it."""
    found, number = stem, 1
    while found in taken:
        number += 1
        found = f"{stem}-{number}"
    taken.add(found)
    return found
