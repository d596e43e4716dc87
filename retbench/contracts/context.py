"""What the core lends a component while it works."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts.noise import Noise
from retbench.contracts.types import State

Precision = Literal["float32", "bf16"]


def _ignore_progress(done: int, total: int) -> None:
    """Nobody is watching."""


def _ignore_record(name: str, value: Json | Tensor) -> None:
    """Nobody keeps it."""


@dataclass(frozen=True)
class Context:
    """Device, precision, randomness and services of the step that is running.

    Attributes:
        device: where tensors belong.
        precision: what `autocast` computes convolutions and matrix products in.
        noise: the step's only source of randomness. While a `fit` runs, torch's global generator is seeded from it too,
            because weight initializers and dropout read that one; the old state comes back afterwards.
        parts: the states of the component's own parts, by role.
        batch_size: how many images to work on at once; halved by the core when memory runs out.
        progress: call with (done, total) now and then; this is also where a time limit or Ctrl-C takes effect.
        record: keep a curve (JSON), or a picture (uint8 (3, H, W)), among the step's artifacts under a name.
        checkpoints: a folder that survives a killed fit of this very step; emptied when the step is done. A training
            in steps or epochs uses `Course`, which keeps its checkpoints there.
        checkpoint_every: seconds between two checkpoints of a `Course`: what a kill costs, and what was done since the
            last place where one may be left.
    """

    device: torch.device
    precision: Precision
    noise: Noise
    parts: Mapping[str, State] = field(default_factory=dict)
    batch_size: int = 64
    progress: Callable[[int, int], None] = _ignore_progress
    record: Callable[[str, Json | Tensor], None] = _ignore_record
    checkpoints: Path | None = None
    checkpoint_every: float = 60.0

    def save_checkpoint(self, name: str, state: Mapping[str, Any]) -> None:
        """Keep `state` under a name until the step is done; half a file is never left. Without a folder, does nothing.

        Args:
            name: lower-case words; one component may keep several.
            state: tensors, numbers, texts, and lists and dictionaries of these, such as `state_dict` returns.
        """
        if self.checkpoints is not None:
            partial = self.checkpoints / f"{name}.partial"
            torch.save(dict(state), partial)
            os.replace(partial, self.checkpoints / f"{name}.pt")

    def load_checkpoint(self, name: str) -> dict[str, Any] | None:
        """Return what was last kept under a name, its tensors on the CPU; None where nothing was."""
        path = self.checkpoints / f"{name}.pt" if self.checkpoints is not None else None
        if path is None or not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def autocast(self) -> AbstractContextManager[object]:
        """Return the block in which networks run at this step's precision; the identity in float32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def batches(self, count: int) -> Iterator[range]:
        """Yield the row ranges of `count` rows, `batch_size` at a time, reporting progress after each."""
        for start in range(0, count, self.batch_size):
            rows = range(start, min(start + self.batch_size, count))
            yield rows
            self.progress(rows.stop, count)
