"""What numbers are printed in."""

from __future__ import annotations

from enum import StrEnum


class Unit(StrEnum):
    """What a number is printed in: percent or the 255 grey levels of 8 bits for one of 0..1, seconds, or mebibytes."""

    PERCENT = "percent"
    GREY = "grey"
    SECONDS = "seconds"
    MEBIBYTES = "mebibytes"

    @property
    def scale(self) -> float:
        """What a number is multiplied by: of 0..1, of seconds, or of bytes."""
        return {Unit.PERCENT: 100.0, Unit.GREY: 255.0, Unit.SECONDS: 1.0, Unit.MEBIBYTES: 2.0**-20}[self]

    @property
    def symbol(self) -> str:
        """What stands behind a quantity in print."""
        return {Unit.PERCENT: "%", Unit.GREY: "grey levels", Unit.SECONDS: "s", Unit.MEBIBYTES: "MiB"}[self]
