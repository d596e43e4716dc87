"""Units that numbers are printed in."""

from __future__ import annotations

from enum import StrEnum


class Unit(StrEnum):
    """The unit of a printed number: percent, gray levels (of 255), seconds, or mebibytes."""

    PERCENT = "percent"
    GRAY = "gray"
    SECONDS = "seconds"
    MEBIBYTES = "mebibytes"

    @property
    def scale(self) -> float:
        """The factor from a stored number (in 0..1, seconds, or bytes) to a printed one."""
        return {Unit.PERCENT: 100.0, Unit.GRAY: 255.0, Unit.SECONDS: 1.0, Unit.MEBIBYTES: 2.0**-20}[self]

    @property
    def symbol(self) -> str:
        """The text printed after a quantity."""
        return {Unit.PERCENT: "%", Unit.GRAY: "gray levels", Unit.SECONDS: "s", Unit.MEBIBYTES: "MiB"}[self]
