"""How far a training has come, and the checkpoint that holds it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from retbench import Context

CHECKPOINT_EVERY = 60.0
"""Seconds of training that a kill costs, and what was done of an epoch."""


Stateful = nn.Module | Optimizer | LRScheduler
"""What hands out its state as tensors and numbers, and takes them back."""


class Course:
    """Everything that changes from epoch to epoch of a training, kept in one checkpoint.

    A training that was killed goes on from its last checkpoint, the end of an epoch, to the same weights, bit for bit
    on a CPU: torch's global generators, which dropout draws from, and the generator that shuffles are kept too. A
    checkpoint is left once the last one is `CHECKPOINT_EVERY` seconds old: short epochs of a large network would
    otherwise write more than they compute.

    Args:
        ctx: where the checkpoint lies, and the noise that shuffles; an earlier checkpoint is taken up at once.
        moving: modules, optimisers and schedules, by name.
        tensors: what steps write in place, by name.

    Attributes:
        curves: mean of each loss in each epoch, by name.
    """

    def __init__(self, ctx: Context, moving: Mapping[str, Stateful], tensors: Mapping[str, Tensor] | None = None):
        self.ctx, self.moving, self.tensors = ctx, moving, tensors or {}
        self.curves: dict[str, list[float]] = {}
        self._shuffle = ctx.noise.generator("shuffle")
        self._load()
        self._saved = time.monotonic()

    @property
    def epochs(self) -> int:
        """How many epochs are behind it."""
        return len(next(iter(self.curves.values()), []))

    def order(self, count: int) -> Tensor:
        """Returns int64 (count,), a permutation of the rows, another one at each call."""
        return torch.randperm(count, generator=self._shuffle)

    def close_epoch(self, losses: Mapping[str, float], *, rate: float) -> None:
        """Notes an epoch's losses and leaves a checkpoint, if it is time for one.

        Args:
            losses: mean of each over the epoch, the same names in every epoch.
            rate: the learning rate, for the message.

        Raises:
            ValueError: a loss is not finite.
        """
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise ValueError(
                    f"training: the {name} of epoch {self.epochs + 1} diverged: got {loss}, "
                    f"expected a learning rate below {rate}"
                )
        for name, loss in losses.items():
            self.curves.setdefault(name, []).append(loss)
        if time.monotonic() - self._saved >= CHECKPOINT_EVERY:
            self._save()
            self._saved = time.monotonic()

    def record(self) -> None:
        """Keeps the curves among the artifacts of the fit."""
        for name, curve in self.curves.items():
            self.ctx.record(name, curve)

    def _save(self) -> None:
        stateful = {name: it.state_dict() for name, it in self.moving.items()}
        drawn = {"shuffle": self._shuffle.get_state(), "global": _generator_states(self.ctx.device)}
        written = {"tensors": dict(self.tensors), "curves": self.curves}
        self.ctx.save_checkpoint("course", {**drawn, **stateful, **written})

    def _load(self) -> None:
        saved = self.ctx.load_checkpoint("course")
        if saved is None:
            return
        for name, it in self.moving.items():
            it.load_state_dict(saved[name])
        for name, tensor in self.tensors.items():
            tensor.copy_(saved["tensors"][name])
        self._shuffle.set_state(saved["shuffle"])
        _set_generator_states(saved["global"], self.ctx.device)
        self.curves = saved["curves"]


def _generator_states(device: torch.device) -> list[Tensor]:
    """Returns the states of torch's global generators: the CPU's and the device's."""
    states = [torch.get_rng_state()]
    return states if device.type == "cpu" else [*states, torch.get_device_module(device).get_rng_state()]


def _set_generator_states(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[1])
