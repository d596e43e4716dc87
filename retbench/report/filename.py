"""File names made from titles and names."""

from __future__ import annotations

import re


def slug(text: str, limit: int = 80) -> str:
    """Return a text as part of a file name: lower-case letters, digits, `_` and `.`; everything else is a dash."""
    return re.sub(r"[^a-z0-9_.]+", "-", text.lower())[:limit].strip("-.") or "unnamed"


def unique_stem(stem: str, taken: set[str]) -> str:
    """Return the stem, or the first of `stem-2`, `stem-3`, ... that is not taken; add it to `taken`."""
    unique, number = stem, 1
    while unique in taken:
        number += 1
        unique = f"{stem}-{number}"
    taken.add(unique)
    return unique
