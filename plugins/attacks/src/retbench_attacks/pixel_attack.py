"""Base class of the attacks that perturb pixels."""

from __future__ import annotations

from retbench import Attack, Facts


class PixelAttack(Attack):
    """An attack on image queries; it refuses tasks whose queries are texts."""

    def supports(self, facts: Facts) -> str | None:
        if facts.task in {"t2i", "t2t"}:
            return f"it perturbs images, but the queries of task {facts.task} are texts; choose i2i or i2t"
        return None
