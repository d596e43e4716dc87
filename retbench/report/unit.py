"""What numbers are printed in."""

from __future__ import annotations

from enum import StrEnum


class Unit(StrEnum):
    """What a number of 0..1 is printed in: percent, or the 255 grey levels of 8 bits for root mean squares."""

    PERCENT = "percent"
    GREY = "grey"

    @property
    def scale(self) -> int:
        """What a number of 0..1 is multiplied by."""
        return 255 if self is Unit.GREY else 100

    @property
    def symbol(self) -> str:
        """What stands behind a quantity in print."""
        return "grey levels" if self is Unit.GREY else "%"
