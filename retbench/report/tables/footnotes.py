"""The footnotes of a table: each text once, with its mark."""

from __future__ import annotations

from string import ascii_lowercase

DAGGER = "\u2020"


class Footnotes:
    """Gives texts their marks as they come: letters, and a dagger for what failed."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}
        self._daggers: dict[str, str] = {}

    def mark(self, text: str) -> str:
        """Returns the letter of a text: a, b ... z, aa, ab and so on."""
        return self._letters.setdefault(text, _letters(len(self._letters)))

    def dagger(self, text: str) -> str:
        """Returns the dagger of a text: one dagger for the first, numbered ones for the others."""
        number = len(self._daggers) + 1
        return self._daggers.setdefault(text, DAGGER if number == 1 else f"{DAGGER}{number}")

    def told(self) -> tuple[tuple[str, str], ...]:
        """Returns mark and text of each, daggers last."""
        return tuple((mark, text) for texts in (self._letters, self._daggers) for text, mark in texts.items())


def _letters(place: int) -> str:
    """Returns the letters of a place counted from 0, as columns of a spreadsheet have them."""
    before, last = divmod(place, len(ascii_lowercase))
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]
