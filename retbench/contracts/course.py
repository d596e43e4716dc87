"""A resumable training: how far it has come, and the checkpoint that holds it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from retbench.contracts.context import Context

Stateful = nn.Module | Optimizer | LRScheduler
"""What returns its state as tensors and numbers, and takes it back."""

PENDING = 32
"""Losses on an accelerator that are read together: reading one waits until everything before it is computed."""


class Course:
    """A training that resumes from its last checkpoint, and stops at the first loss that is not finite.

    The loop stays the author's own. With epochs:

        course = Course(ctx, {"network": network, "optimizer": optimizer})
        for epoch in range(course.epoch, epochs):
            for rows in course.order(count).split(batch):
                course.descend(optimizer, loss_of(rows))
                course.advance(epochs * batches)
            course.close_epoch({"loss": mean})
        course.record()

    Without epochs:

        for step in range(course.step, steps):
            course.descend(optimizer, loss_of(step))
            course.advance(steps)
            course.save_if_due()

    A training that was killed goes on to the same weights, bit for bit on a CPU, if its draws come from `ctx.noise`,
    `order` or torch's global generators: the states of the latter two are in the checkpoint. Checkpoints are left at
    the ends of epochs, or wherever `save_if_due` is called, once the last one is `ctx.checkpoint_every` seconds old:
    short epochs of a large network would otherwise write more than they compute.

    Args:
        ctx: where the checkpoint is kept, and the noise that shuffles; an earlier checkpoint is loaded at once.
        moving: modules, optimizers and schedules, by name.
        tensors: tensors that steps write in place, by name.

    Attributes:
        step: steps taken, also before the training was resumed.
        epoch: epochs closed.
        curves: numbers recorded along the way, by name: with epochs, the mean of each loss in each epoch.
    """

    def __init__(self, ctx: Context, moving: Mapping[str, Stateful], tensors: Mapping[str, Tensor] | None = None):
        self.ctx, self.moving, self.tensors = ctx, moving, tensors or {}
        self.step, self.epoch = 0, 0
        self.curves: dict[str, list[float]] = {}
        self._pending: list[tuple[str, int, Tensor]] = []
        self._shuffle = ctx.noise.generator("shuffle")
        self._load()
        self._saved = time.monotonic()

    def order(self, count: int) -> Tensor:
        """Return int64 (count,) on the CPU, a permutation of the rows, another one at each call."""
        return torch.randperm(count, generator=self._shuffle)

    def descend(self, optimizer: Optimizer, loss: Tensor, name: str = "loss", clip: float | None = None) -> Tensor:
        """Take one step of an optimizer down a scalar loss, and return the loss without its graph.

        Args:
            optimizer: its gradients are cleared first.
            loss: a scalar with a graph.
            name: what the loss is called, for the message.
            clip: the largest norm of the gradient of all its parameters together; None for no limit.

        Raises:
            ValueError: the loss is not finite; the step is named. On an accelerator a few steps later.
        """
        value = loss.detach()
        self._watch(name, value)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        if clip is not None:
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
        optimizer.step()
        return value

    def advance(self, total: int) -> None:
        """Count a step, of `total` in the whole training, and report the progress."""
        self.step += 1
        self.ctx.progress(self.step, total)

    def note(self, name: str, value: float) -> None:
        """Append a number to a curve."""
        self.curves.setdefault(name, []).append(value)

    def close_epoch(self, losses: Mapping[str, float]) -> None:
        """Append an epoch's losses to the curves, and leave a checkpoint if one is due.

        Args:
            losses: the mean of each over the epoch; the same names in every epoch.

        Raises:
            ValueError: a loss is not finite.
        """
        self._check_pending()
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise ValueError(f"training: {name} of epoch {self.epoch + 1} is not finite: got {loss}; {_REMEDY}")
        for name, loss in losses.items():
            self.note(name, loss)
        self.epoch += 1
        self.save_if_due()

    def save_if_due(self) -> None:
        """Leave a checkpoint if the last one is old enough; call it between steps, never inside one."""
        if self.ctx.checkpoints is not None and time.monotonic() - self._saved >= self.ctx.checkpoint_every:
            self._save()
            self._saved = time.monotonic()

    def record(self) -> None:
        """Keep the curves among the artifacts of the fit.

        Raises:
            ValueError: one of the last losses was not finite.
        """
        self._check_pending()
        for name, curve in self.curves.items():
            self.ctx.record(name, curve)

    def _watch(self, name: str, value: Tensor) -> None:
        self._pending.append((name, self.step + 1, value))
        if value.device.type == "cpu" or len(self._pending) >= PENDING:
            self._check_pending()

    def _check_pending(self) -> None:
        pending, self._pending = self._pending, []
        finite = torch.stack([value for *_, value in pending]).isfinite().tolist() if pending else []
        for (name, step, value), fine in zip(pending, finite, strict=True):
            if not fine:
                raise ValueError(f"training: {name} of step {step} is not finite: got {float(value)}; {_REMEDY}")

    def _save(self) -> None:
        self._check_pending()
        drawn = {"shuffle": self._shuffle.get_state(), "global": _generator_states(self.ctx.device)}
        place = {"step": self.step, "epoch": self.epoch, "curves": self.curves}
        moving = {name: it.state_dict() for name, it in self.moving.items()}
        self.ctx.save_checkpoint("training", {**place, **drawn, "moving": moving, "tensors": dict(self.tensors)})

    def _load(self) -> None:
        saved = self.ctx.load_checkpoint("training")
        if saved is None:
            return
        for name, it in self.moving.items():
            it.load_state_dict(saved["moving"][name])
        for name, tensor in self.tensors.items():
            tensor.copy_(saved["tensors"][name])
        self._shuffle.set_state(saved["shuffle"])
        _set_generator_states(saved["global"], self.ctx.device)
        self.step, self.epoch, self.curves = saved["step"], saved["epoch"], saved["curves"]


_REMEDY = "lower the learning rate"


def _generator_states(device: torch.device) -> list[Tensor]:
    """Return the states of torch's global generators: the CPU's and the device's."""
    states = [torch.get_rng_state()]
    return states if device.type == "cpu" else [*states, torch.get_device_module(device).get_rng_state(*_index(device))]


def _set_generator_states(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[1], *_index(device))


def _index(device: torch.device) -> tuple[torch.device, ...]:
    """Return the argument that names a device where a machine may have several; others take none."""
    return (device,) if device.type in ("cuda", "xpu") else ()
