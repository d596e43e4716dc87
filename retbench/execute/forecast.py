"""What a plan will cost, from what steps of the same kind have cost before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from retbench.canon import Json
from retbench.stages import Stage
from retbench.store import Store


@dataclass(frozen=True)
class Forecast:
    """Seconds, memory and disk of the steps that will run.

    Attributes:
        seconds: sum over the steps whose kind has been timed.
        unknown: how many steps are of a kind that has not; they come on top.
        peak_memory: bytes, the largest seen for these kinds; 0 when none was timed.
        disk: bytes that the timed kinds will add.
    """

    seconds: float
    unknown: int
    peak_memory: int
    disk: int

    def record(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {
            "seconds": round(self.seconds, 1),
            "unknown_steps": self.unknown,
            "peak_memory_bytes": self.peak_memory,
            "disk_bytes": self.disk,
        }


class Rates:
    """Cost per unit of work, by stage, kind of work and device: the latest timing of each counts most.

    Args:
        store: its ledger of timings is read once.
        device: the kind of device to forecast for.
    """

    def __init__(self, store: Store, device: str) -> None:
        self._seen: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
        for timing in store.timings():
            if timing.get("device") == device:
                kind = (str(timing.get("stage")), str(timing.get("work")), str(timing.get("options")))
                self._seen[kind].append(dict(timing))

    def seconds(self, stage: Stage) -> float | None:
        """Return the expected seconds of a step; None where no step of its kind has been timed."""
        return self._scaled(stage, "seconds")

    def forecast(self, steps: Iterable[Stage]) -> Forecast:
        """Return the cost of these steps together."""
        steps = list(steps)
        timed = [step for step in steps if self.seconds(step) is not None]
        return Forecast(
            seconds=sum(self.seconds(step) or 0.0 for step in timed),
            unknown=len(steps) - len(timed),
            peak_memory=max((t["peak_memory"] for s in timed for t in self._seen[s.cost_kind]), default=0),
            disk=round(sum(self._scaled(step, "bytes") or 0.0 for step in timed)),
        )

    def _scaled(self, stage: Stage, what: str) -> float | None:
        timings = self._seen.get(stage.cost_kind, [])[-5:]
        units = sum(timing["units"] for timing in timings)
        return sum(timing[what] for timing in timings) / units * stage.units if units else None
