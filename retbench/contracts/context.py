"""The services of a running step: device, precision, noise, progress, recording and checkpoints."""

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
    """Do nothing: no observer."""


def _ignore_record(name: str, value: Json | Tensor) -> None:
    """Do nothing: no store."""


@dataclass(frozen=True)
class Context:
    """Device, precision, randomness and services of the running step.

    Attributes:
        device: the device for all tensors.
        precision: the precision of convolutions and matrix products inside `autocast`.
        noise: the step's only source of randomness. During a `fit`, torch's global generator is seeded from it as well,
            because weight initializers and dropout use that generator; its old state is restored afterwards.
        parts: the states of the component's parts, by role.
        batch_size: number of images to process at once; the core halves it when memory runs out.
        progress: call it regularly with (done, total); time limits and Ctrl-C take effect inside this call.
        record: stores a curve (JSON) or an image (uint8 (3, H, W)) under a name in the step's artifact.
        checkpoints: a folder that survives if this fit is killed and is emptied when it is done; None for no
            checkpoints. `Course` keeps its checkpoints there.
        checkpoint_every: seconds between two checkpoints of a `Course`; a killed fit loses about this much work.
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
        """Save `state` under a name until the step is done; does nothing without a checkpoint folder.

        The file is replaced in one operation, so that a killed process never leaves an incomplete checkpoint.

        Args:
            name: lower-case words; a component may use several names.
            state: tensors, numbers, strings, and lists and dictionaries of these, as `state_dict` returns them.
        """
        if self.checkpoints is not None:
            partial = self.checkpoints / f"{name}.partial"
            torch.save(dict(state), partial)
            os.replace(partial, self.checkpoints / f"{name}.pt")

    def load_checkpoint(self, name: str) -> dict[str, Any] | None:
        """Return the state last saved under a name, its tensors on the CPU, or None if there is none."""
        path = self.checkpoints / f"{name}.pt" if self.checkpoints is not None else None
        if path is None or not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def autocast(self) -> AbstractContextManager[object]:
        """Return a context manager that runs networks at this step's precision; it changes nothing for float32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def batches(self, count: int) -> Iterator[range]:
        """Yield the rows 0 to `count` in ranges of at most `batch_size`, and report progress after each range."""
        for start in range(0, count, self.batch_size):
            rows = range(start, min(start + self.batch_size, count))
            yield rows
            self.progress(rows.stop, count)
