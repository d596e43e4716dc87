"""Units that numbers are printed in."""

from __future__ import annotations

from enum import StrEnum


class Unit(StrEnum):
    """The unit of a printed number: percent or the 255 gray levels of 8 bits for one of 0..1, seconds, or mebibytes."""

    PERCENT = "percent"
    GRAY = "gray"
    SECONDS = "seconds"
    MEBIBYTES = "mebibytes"

    @property
    def scale(self) -> float:
        """The factor from a stored number to a printed one: from 0..1, seconds, or bytes."""
        return {Unit.PERCENT: 100.0, Unit.GRAY: 255.0, Unit.SECONDS: 1.0, Unit.MEBIBYTES: 2.0**-20}[self]

    @property
    def symbol(self) -> str:
        """Printed behind a quantity."""
        return {Unit.PERCENT: "%", Unit.GRAY: "gray levels", Unit.SECONDS: "s", Unit.MEBIBYTES: "MiB"}[self]
