"""A resumable training with checkpoints and loss curves that stops where it becomes infinite, and judges its end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from statistics import fmean, variance
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from retbench.contracts.checkpoint import find_non_finite
from retbench.contracts.context import Context
from retbench.errors import TrainingDiverged

Stateful = nn.Module | Optimizer | LRScheduler
"""An object with `state_dict` and `load_state_dict`."""

FEWEST_LOSSES = 50
"""Number of steps from which on a training is judged by its losses."""
RISE = 4.0
"""Standard errors by which the losses of a diverged training have risen; flat ones hardly ever rise by as much."""
MOMENTS = frozenset({"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg", "grad_avg", "sum"})
"""Entries of an optimizer's state that have the shape of their parameter."""
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
    otherwise short epochs of a large network would spend more time on writing than on training. A checkpoint that does
    not fit the modules is dropped, with a warning, before any of them is changed.

    A training whose losses end above their beginning, although all are finite, has diverged: `record` stores that in
    its artifact, as a warning of every row that depends on it.

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
        self._unchecked: list[_Unchecked] = []
        self._watched: dict[str, list[float]] = {}
        self._shuffle_generator = ctx.noise.generator("shuffle")
        self._load()
        self._last_save = time.monotonic()

    def shuffle(self, count: int) -> Tensor:
        """Return the rows 0 to `count` in random order: int64 (count,) on the CPU, a new order at each call."""
        return torch.randperm(count, generator=self._shuffle_generator)

    def descend(
        self, optimizer: Optimizer, loss: Tensor, name: str = "loss", clip: float | None = None, falls: bool = True
    ) -> Tensor:
        """Take one optimizer step on a scalar loss and return the detached loss.

        Args:
            optimizer: the optimizer; its old gradients are cleared first.
            loss: a scalar with a gradient graph.
            name: the loss's name in messages.
            clip: the maximum norm of the gradient over all parameters of the optimizer; None for no clipping.
            falls: whether a training that works lowers this loss; False for one of two opponents, such as a
                discriminator's and any sum that holds it.

        Raises:
            TrainingDiverged: the loss, or the norm of a gradient that is clipped, is not finite; the message names the
                component and the step. On an accelerator it is raised up to LOSSES_PER_CHECK steps later.
        """
        value = loss.detach()
        self._check_later(name, value, falls)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        if clip is not None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            norm = nn.utils.clip_grad_norm_(parameters, clip)
            self._check_later(f"gradient of {name}", norm, falls=False)
        optimizer.step()
        return value

    def watch(self, name: str, loss: Tensor) -> None:
        """Check and judge a scalar that no optimizer descends by itself, but that a training that works lowers."""
        self._check_later(name, loss.detach(), falls=True)

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
            TrainingDiverged: a loss, a weight or a tensor is not finite.
        """
        self._check_losses()
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise self._divergence(f"{name} of epoch {self.epoch + 1} is not finite: got {loss}")
        self._check_state()
        for name, loss in losses.items():
            self.log(name, loss)
        self.epoch += 1
        self.save_if_due()

    def save_if_due(self) -> None:
        """Save a checkpoint if the last one is `ctx.checkpoint_every` seconds old; call it only between two steps."""
        if self.ctx.checkpoints is not None and time.monotonic() - self._last_save >= self.ctx.checkpoint_every:
            self._save()
            self._last_save = time.monotonic()

    def record(self, ceilings: Mapping[str, float] | None = None) -> None:
        """Store the curves in the artifact of the fit, and a warning if it diverged; call it after the last step.

        Args:
            ceilings: values that losses of useless networks have, by name of the loss: a training that does not end
                below them has diverged too.

        Raises:
            TrainingDiverged: one of the last losses, a weight or a tensor is not finite.
        """
        self._check_losses()
        self._check_state()
        for name, curve in self.curves.items():
            self.ctx.record(name, curve)
        for name, losses in self._watched.items():
            if problem := explain_divergence(losses, (ceilings or {}).get(name, math.inf)):
                self.ctx.distrust(f"its training diverged: {name} {problem}; {_REMEDY}")

    def _check_later(self, name: str, loss: Tensor, falls: bool) -> None:
        self._unchecked.append(_Unchecked(name, self.step + 1, loss, falls))
        if loss.device.type == "cpu" or len(self._unchecked) >= LOSSES_PER_CHECK:
            self._check_losses()

    def _check_losses(self) -> None:
        unchecked, self._unchecked = self._unchecked, []
        on_one_device = len({each.loss.device for each in unchecked}) == 1
        losses = torch.stack([each.loss for each in unchecked]).tolist() if on_one_device else [*map(_read, unchecked)]
        for each, loss in zip(unchecked, losses, strict=True):
            if not math.isfinite(loss):
                raise self._divergence(f"{each.name} of step {each.step} is not finite: got {loss}")
            if each.falls:
                self._watched.setdefault(each.name, []).append(loss)

    def _check_state(self) -> None:
        """Raise TrainingDiverged if a module, an optimizer or a tensor holds NaN or infinity."""
        if name := find_non_finite(self._states()) or find_non_finite(self.tensors):
            raise self._divergence(f"{name} is not finite after step {self.step}")

    def _divergence(self, problem: str) -> TrainingDiverged:
        return TrainingDiverged(f"{self.ctx.component}: {problem}; {_REMEDY}")

    def _states(self) -> dict[str, dict[str, Any]]:
        return {name: each.state_dict() for name, each in self.stateful.items()}

    def _save(self) -> None:
        self._check_losses()
        self._check_state()
        self.ctx.save_checkpoint("training", self._checkpoint())

    def _checkpoint(self) -> dict[str, Any]:
        watched = {name: torch.tensor(losses, dtype=torch.float64) for name, losses in self._watched.items()}
        position = {"step": self.step, "epoch": self.epoch, "curves": self.curves, "watched": watched}
        generators = {"shuffle": self._shuffle_generator.get_state(), "global": _generator_states(self.ctx.device)}
        return {**position, **generators, "moving": self._states(), "tensors": dict(self.tensors)}

    def _explain_misfit(self, checkpoint: dict[str, Any]) -> str | None:
        """Return the first difference between a checkpoint and this training, or None if it can be loaded.

        Optimizers create their moments in the first step, so those are compared with the parameters.
        """
        expected = self._checkpoint()
        for name, each in self.stateful.items():
            if isinstance(each, Optimizer) and isinstance(moving := checkpoint.get("moving"), dict):
                expected["moving"][name] = _expected_optimizer(each, moving.get(name))
        if not all(isinstance(checkpoint.get(name), dict) for name in ("curves", "watched")):
            return "it does not fit this training: missing curves"
        # Losses and curves grow; everything else keeps its names and shapes.
        fixed = [name for name in expected if name not in ("curves", "watched")]
        difference = _find_difference({n: checkpoint.get(n) for n in fixed}, {n: expected[n] for n in fixed}, "")
        return difference and f"it does not fit this training: {difference}"

    def _load(self) -> None:
        checkpoint = self.ctx.load_checkpoint("training", self._explain_misfit)
        if checkpoint is None:
            return
        for name, each in self.stateful.items():
            each.load_state_dict(checkpoint["moving"][name])
        for name, tensor in self.tensors.items():
            tensor.copy_(checkpoint["tensors"][name])
        self._shuffle_generator.set_state(checkpoint["shuffle"])
        _set_generator_states(checkpoint["global"], self.ctx.device)
        self.step, self.epoch, self.curves = checkpoint["step"], checkpoint["epoch"], checkpoint["curves"]
        self._watched = {name: losses.tolist() for name, losses in checkpoint["watched"].items()}


def _read(unchecked: _Unchecked) -> float:
    return float(unchecked.loss)


class _Unchecked(NamedTuple):
    """A scalar that is still on the device, and the step that it belongs to."""

    name: str
    step: int
    loss: Tensor
    falls: bool


def explain_divergence(losses: Sequence[float], ceiling: float = math.inf) -> str | None:
    """Return how the losses of a training rose, or None if they fell or are too few to tell.

    The mean of the last tenth is compared with that of the first. Single losses depend on their batch, so fewer than
    FEWEST_LOSSES are not judged, and a rise counts from RISE standard errors on.

    Args:
        losses: the loss of each step, finite.
        ceiling: the loss of a useless network, which the last tenth must be below.
    """
    if len(losses) < FEWEST_LOSSES:
        return None
    tenth = len(losses) // 10
    first, last = fmean(losses[:tenth]), fmean(losses[-tenth:])
    error = math.sqrt((variance(losses[:tenth]) + variance(losses[-tenth:])) / tenth)
    if last - first > RISE * error:
        return f"rose from {first:.4g} to {last:.4g} (means of the first and of the last tenth of its steps)"
    if last >= ceiling:
        return f"ended at {last:.4g} (mean of the last tenth of its steps), a useless network has {ceiling:g}"
    return None


_REMEDY = "lower the learning rate"


def _expected_optimizer(optimizer: Optimizer, found: object) -> dict[str, Any]:
    """Return the state of an optimizer with a tensor of the parameter's shape for each moment found."""
    expected = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states = found.get("state") if isinstance(found, Mapping) else None
    if not isinstance(states, Mapping) or not all(index in range(len(parameters)) for index in states):
        return {**expected, "state": {}}
    if not all(isinstance(each, Mapping) for each in states.values()):
        return {**expected, "state": {}}
    moments = {
        index: {
            name: parameters[index].detach().to(value.dtype) if name in MOMENTS and isinstance(value, Tensor) else value
            for name, value in each.items()
        }
        for index, each in states.items()
    }
    return {**expected, "state": moments}


def _find_difference(found: object, expected: object, name: str) -> str | None:
    """Return the first difference in names, kinds and shapes of two nested states, or None."""
    if isinstance(expected, Tensor):
        got = (tuple(found.shape), found.dtype) if isinstance(found, Tensor) else type(found).__name__
        wanted = tuple(expected.shape), expected.dtype
        return None if got == wanted else f"{name}: got {got}, expected {wanted}"
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            return f"{name}: got {type(found).__name__}, expected names"
        if missing := [key for key in expected if key not in found]:
            return f"missing {name}.{missing[0]}".replace(" .", " ")
        if unexpected := [key for key in found if key not in expected]:
            return f"unexpected {name}.{unexpected[0]}".replace(" .", " ")
        pairs = ((found[key], expected[key], f"{name}.{key}".lstrip(".")) for key in expected)
        return next(filter(None, (_find_difference(*pair) for pair in pairs)), None)
    if isinstance(expected, list) and not isinstance(found, list):
        return f"{name}: got {type(found).__name__}, expected a list"
    if isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            return f"{name}: got {len(found)} entries, expected {len(expected)}"
        pairs = ((*pair, f"{name}.{index}") for index, pair in enumerate(zip(found, expected, strict=True)))
        return next(filter(None, (_find_difference(*pair) for pair in pairs)), None)
    if isinstance(expected, int) and not isinstance(found, int | float):
        return f"{name}: got {type(found).__name__}, expected a number"
    return None


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
