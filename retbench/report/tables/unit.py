"""Units that numbers are printed in."""

from __future__ import annotations

from enum import StrEnum


class Unit(StrEnum):
    """The unit of a printed number: percent, gray levels (of 255), queries, seconds, or mebibytes."""

    PERCENT = "percent"
    GRAY = "gray"
    QUERIES = "queries"
    SECONDS = "seconds"
    MEBIBYTES = "mebibytes"

    @property
    def scale(self) -> float:
        """The factor from a stored number (in 0..1, queries, seconds, or bytes) to a printed one."""
        return {Unit.PERCENT: 100.0, Unit.GRAY: 255.0, Unit.MEBIBYTES: 2.0**-20}.get(self, 1.0)

    @property
    def symbol(self) -> str:
        """The text printed after a quantity."""
        symbols = {Unit.PERCENT: "%", Unit.GRAY: "gray levels", Unit.SECONDS: "s", Unit.MEBIBYTES: "MiB"}
        return symbols.get(self, self.value)
