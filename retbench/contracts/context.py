"""The services of a running step: device, precision, noise, progress, recording and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts.checkpoint import (
    find_non_finite,
    previous_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from retbench.contracts.noise import Noise
from retbench.contracts.types import State
from retbench.errors import TrainingDiverged

Precision = Literal["float32", "bf16"]


def _ignore(*_: object) -> None:
    """Take a report that nobody observes."""


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
        component: the name of the component that runs, for messages.
        key: the key of the step; a checkpoint of another step is not used.
        warn: reports a text to the user while the step runs.
        distrust: stores a reason not to trust the step's artifact: a footnote of every number that depends on it.
        checkpoints: a folder that survives if this fit is killed and is emptied when it is done; None for no
            checkpoints. `Course` keeps its checkpoints there.
        checkpoint_every: seconds between two checkpoints of a `Course`; a killed fit loses about this much work.
    """

    device: torch.device
    precision: Precision
    noise: Noise
    parts: Mapping[str, State] = field(default_factory=dict)
    batch_size: int = 64
    progress: Callable[[int, int], None] = _ignore
    record: Callable[[str, Json | Tensor], None] = _ignore
    checkpoints: Path | None = None
    checkpoint_every: float = 60.0
    component: str = "training"
    key: str = ""
    warn: Callable[[str], None] = _ignore
    distrust: Callable[[str], None] = _ignore

    def save_checkpoint(self, name: str, state: Mapping[str, Any]) -> None:
        """Save `state` under a name until the step is done; does nothing without a checkpoint folder.

        A killed process never leaves an incomplete checkpoint, and the one before is kept. Without space on the disk
        the step goes on after a warning, with the checkpoints that it has.

        Args:
            name: lower-case words; a component may use several names.
            state: tensors, numbers, strings, and lists and dictionaries of these, as `state_dict` returns them.

        Raises:
            TrainingDiverged: a tensor holds NaN or infinity; nothing is written.
        """
        if self.checkpoints is None:
            return
        if tensor := find_non_finite(state):
            raise TrainingDiverged(f"{self.component}: {tensor} is not finite in the checkpoint {name!r}")
        try:
            write_checkpoint(self.checkpoints / f"{name}.pt", state, self.key)
        except OSError as error:
            problem = error.strerror or str(error)
            self.warn(f"{self.component}: a checkpoint cannot be written: {problem}; the step goes on without it")

    def load_checkpoint(
        self, name: str, explain_misfit: Callable[[dict[str, Any]], str | None] | None = None
    ) -> dict[str, Any] | None:
        """Return the state last saved under a name, its tensors on the CPU, or None if there is none.

        A checkpoint that is damaged, belongs to another step or does not fit is removed with a warning, and the one
        before it is taken; one that the disk does not return is left.

        Args:
            name: as in `save_checkpoint`.
            explain_misfit: returns the reason why a state cannot be used, or None.
        """
        if self.checkpoints is None:
            return None
        latest = self.checkpoints / f"{name}.pt"
        problems, state = [], None
        for path in filter(Path.exists, (latest, previous_checkpoint(latest))):
            try:
                candidate = read_checkpoint(path, self.key)
                problem = explain_misfit(candidate) if explain_misfit else None
            except ValueError as error:
                problem = str(error)
            except OSError as error:  # of the disk: the file may be sound, and is kept
                problems.append(f"{path.name}: it cannot be read: {error.strerror or error}")
                continue
            if problem is None:
                state = candidate
                break
            problems.append(f"{path.name}: {problem}")
            path.unlink()
        if problems:
            consequence = "it resumes from the one before" if state is not None else "it starts from the beginning"
            self.warn(f"{self.component}: a checkpoint is dropped: {'; '.join(problems)}; {consequence}")
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
