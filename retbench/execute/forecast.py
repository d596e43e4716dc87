"""Forecast the cost of a plan from the timings of earlier steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from retbench.canon import Json
from retbench.stages import Stage
from retbench.stages.stage import CostKind
from retbench.store import Store

LATEST = 5
"""Timings of each cost kind that a forecast uses."""


@dataclass(frozen=True)
class Forecast:
    """The expected time, memory and disk space of the steps that will run.

    Attributes:
        seconds: the sum over steps of cost kinds with timings.
        unknown: the number of steps of kinds without timings, which are not part of the other numbers.
        peak_memory: the largest recorded peak of these kinds in bytes; 0 without timings.
        disk: the bytes that the steps will add to the store.
    """

    seconds: float
    unknown: int
    peak_memory: int
    disk: int

    def record(self) -> dict[str, Json]:
        """Return the forecast as JSON."""
        return {
            "seconds": round(self.seconds, 1),
            "unknown_steps": self.unknown,
            "peak_memory_bytes": self.peak_memory,
            "disk_bytes": self.disk,
        }


class Forecaster:
    """Predicts costs from the latest timings of each cost kind, in proportion to the units of a step.

    Args:
        store: the store with the timings, which are read once.
        device: the device type, such as `cpu`; timings on other types are ignored.
    """

    def __init__(self, store: Store, device: str) -> None:
        self._timings: dict[CostKind, list[dict[str, Any]]] = defaultdict(list)
        for timing in store.timings():
            if timing.get("device") == device:
                kind = (str(timing.get("stage")), str(timing.get("work")), str(timing.get("options")))
                self._timings[kind].append(dict(timing))

    def expected_seconds(self, stage: Stage) -> float | None:
        """Return the expected seconds of a step; None without timings of its kind."""
        return self._predict(stage, "seconds")

    def forecast(self, steps: Iterable[Stage]) -> Forecast:
        """Return the total cost of these steps."""
        steps = list(steps)
        timed = [step for step in steps if self.expected_seconds(step) is not None]
        return Forecast(
            seconds=sum(self.expected_seconds(step) or 0.0 for step in timed),
            unknown=len(steps) - len(timed),
            peak_memory=max((t["peak_memory"] for s in timed for t in self._timings[s.cost_kind]), default=0),
            disk=round(sum(self._predict(step, "bytes") or 0.0 for step in timed)),
        )

    def _predict(self, stage: Stage, quantity: str) -> float | None:
        timings = self._timings.get(stage.cost_kind, [])[-LATEST:]
        units = sum(timing["units"] for timing in timings)
        return sum(timing[quantity] for timing in timings) / units * stage.units if units else None
