"""An attack on pixels, whose queries must be images."""

from __future__ import annotations

from retbench import Attack, Facts


class PixelAttack(Attack):
    """An attack that needs image queries."""

    def supports(self, facts: Facts) -> str | None:
        if facts.task in {"t2i", "t2t"}:
            return f"it perturbs pixels, and the queries of {facts.task} are texts; take a task that queries by image"
        return None
