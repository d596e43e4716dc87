"""A resumable training with checkpoints, loss curves and a check for losses that are not finite."""

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
"""An object with `state_dict` and `load_state_dict`."""

LOSSES_PER_CHECK = 32
"""Number of losses that are read from an accelerator at once: each read waits for all computations before it."""


class Course:
    """A training that resumes from its last checkpoint and stops at the first loss that is not finite.

    The component writes the training loop. With epochs:

        course = Course(ctx, {"network": network, "optimizer": optimizer})
        for epoch in range(course.epoch, epochs):
            for rows in course.shuffle(count).split(batch_size):
                course.descend(optimizer, compute_loss(rows))
                course.advance(epochs * batches)
            course.close_epoch({"loss": mean})
        course.record()

    Without epochs:

        for step in range(course.step, steps):
            course.descend(optimizer, compute_loss(step))
            course.advance(steps)
            course.save_if_due()

    A killed training resumes to the same weights, bit for bit on a CPU, if its random numbers come from `ctx.noise`,
    `shuffle` or torch's global generators; the checkpoint holds the states of the last two. A checkpoint is written at
    the end of an epoch, or where `save_if_due` is called, once the last one is `ctx.checkpoint_every` seconds old:
    otherwise short epochs of a large network would spend more time on writing than on training.

    Args:
        ctx: the context of the fit; a checkpoint in its folder is loaded at once.
        stateful: modules, optimizers and learning-rate schedules, by name.
        tensors: tensors that training steps modify in place, by name.

    Attributes:
        step: number of steps taken, including those before the training was resumed.
        epoch: number of completed epochs.
        curves: recorded numbers by name; with epochs, the mean of each loss per epoch.
    """

    def __init__(self, ctx: Context, stateful: Mapping[str, Stateful], tensors: Mapping[str, Tensor] | None = None):
        self.ctx, self.stateful, self.tensors = ctx, stateful, tensors or {}
        self.step, self.epoch = 0, 0
        self.curves: dict[str, list[float]] = {}
        self._unchecked: list[tuple[str, int, Tensor]] = []
        self._shuffle_generator = ctx.noise.generator("shuffle")
        self._load()
        self._last_save = time.monotonic()

    def shuffle(self, count: int) -> Tensor:
        """Return the rows 0 to `count` in random order: int64 (count,) on the CPU, a new order at each call."""
        return torch.randperm(count, generator=self._shuffle_generator)

    def descend(self, optimizer: Optimizer, loss: Tensor, name: str = "loss", clip: float | None = None) -> Tensor:
        """Take one optimizer step on a scalar loss and return the detached loss.

        Args:
            optimizer: the optimizer; its old gradients are cleared first.
            loss: a scalar with a gradient graph.
            name: the loss's name in messages.
            clip: the maximum norm of the gradient over all parameters of the optimizer; None for no clipping.

        Raises:
            ValueError: the loss is not finite; the message names the step. On an accelerator it is raised up to
                LOSSES_PER_CHECK steps later.
        """
        value = loss.detach()
        self._check_later(name, value)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        if clip is not None:
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
        optimizer.step()
        return value

    def advance(self, total: int) -> None:
        """Count one step and report the progress; `total` is the number of steps of the whole training."""
        self.step += 1
        self.ctx.progress(self.step, total)

    def log(self, name: str, value: float) -> None:
        """Append a value to the curve of this name."""
        self.curves.setdefault(name, []).append(value)

    def close_epoch(self, losses: Mapping[str, float]) -> None:
        """Complete an epoch: append its losses to the curves and save a checkpoint if one is due.

        Args:
            losses: the mean of each loss over the epoch, by name; the same names in every epoch.

        Raises:
            ValueError: a loss is not finite.
        """
        self._check_losses()
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise ValueError(f"training: {name} of epoch {self.epoch + 1} is not finite: got {loss}; {_REMEDY}")
        for name, loss in losses.items():
            self.log(name, loss)
        self.epoch += 1
        self.save_if_due()

    def save_if_due(self) -> None:
        """Save a checkpoint if the last one is `ctx.checkpoint_every` seconds old; call it only between two steps."""
        if self.ctx.checkpoints is not None and time.monotonic() - self._last_save >= self.ctx.checkpoint_every:
            self._save()
            self._last_save = time.monotonic()

    def record(self) -> None:
        """Store the curves in the artifact of the fit; call it after the last step.

        Raises:
            ValueError: one of the last losses is not finite.
        """
        self._check_losses()
        for name, curve in self.curves.items():
            self.ctx.record(name, curve)

    def _check_later(self, name: str, loss: Tensor) -> None:
        self._unchecked.append((name, self.step + 1, loss))
        if loss.device.type == "cpu" or len(self._unchecked) >= LOSSES_PER_CHECK:
            self._check_losses()

    def _check_losses(self) -> None:
        unchecked, self._unchecked = self._unchecked, []
        finite = torch.stack([loss for *_, loss in unchecked]).isfinite().tolist() if unchecked else []
        for (name, step, loss), is_finite in zip(unchecked, finite, strict=True):
            if not is_finite:
                raise ValueError(f"training: {name} of step {step} is not finite: got {float(loss)}; {_REMEDY}")

    def _save(self) -> None:
        self._check_losses()
        position = {"step": self.step, "epoch": self.epoch, "curves": self.curves}
        generators = {"shuffle": self._shuffle_generator.get_state(), "global": _generator_states(self.ctx.device)}
        states = {name: each.state_dict() for name, each in self.stateful.items()}
        checkpoint = {**position, **generators, "moving": states, "tensors": dict(self.tensors)}
        self.ctx.save_checkpoint("training", checkpoint)

    def _load(self) -> None:
        checkpoint = self.ctx.load_checkpoint("training")
        if checkpoint is None:
            return
        for name, each in self.stateful.items():
            each.load_state_dict(checkpoint["moving"][name])
        for name, tensor in self.tensors.items():
            tensor.copy_(checkpoint["tensors"][name])
        self._shuffle_generator.set_state(checkpoint["shuffle"])
        _set_generator_states(checkpoint["global"], self.ctx.device)
        self.step, self.epoch, self.curves = checkpoint["step"], checkpoint["epoch"], checkpoint["curves"]


_REMEDY = "lower the learning rate"


def _generator_states(device: torch.device) -> list[Tensor]:
    """Return the states of torch's global generators: the CPU's and the device's."""
    states = [torch.get_rng_state()]
    return (
        states
        if device.type == "cpu"
        else [*states, torch.get_device_module(device).get_rng_state(*_device_argument(device))]
    )


def _set_generator_states(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[1], *_device_argument(device))


def _device_argument(device: torch.device) -> tuple[torch.device, ...]:
    """Return the device as the argument of the generator functions; device types without an index take none."""
    return (device,) if device.type in ("cuda", "xpu") else ()
