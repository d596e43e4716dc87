"""The one training loop of this plugin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from retbench import Context
from retbench_hashers.optimisation import Optimisation


class Moment(NamedTuple):
    """When in a training a batch is seen: its epoch, and the steps that were taken before it, both from 0."""

    epoch: int
    step: int


BatchLoss = Callable[[Tensor, Moment], Tensor]
"""From training rows int64 (B,), on the CPU, to their scalar loss."""


class Training(NamedTuple):
    """Epochs over a training split in shuffled batches.

    It leaves a checkpoint after each epoch, where there is a place for one; a training that was killed goes on from the
    last one to the same weights, bit for bit.

    Attributes:
        epochs: passes over the training split.
        batch: most rows a step; the batches of an epoch are of equal size up to one row, because batch normalisation
            learns nothing from the single row that a full split can leave over.
        optimisation: how the weights move.
    """

    epochs: int
    batch: int
    optimisation: Optimisation

    def run(
        self, network: nn.Module, batch_loss: BatchLoss, count: int, ctx: Context, memory: Tensor | None = None
    ) -> list[float]:
        """Returns the mean loss of each epoch, after training `network` in place.

        Args:
            network: what is trained; left in training mode.
            batch_loss: called once a step.
            count: rows of the training split.
            ctx: device, the noise that shuffles, who watches the progress, and where checkpoints go.
            memory: what `batch_loss` carries from step to step; kept in the checkpoints and written in place.

        Raises:
            ValueError: the loss of an epoch is not finite.
        """
        run = _Run(self, network, count, ctx, memory)
        network.train()
        for epoch in range(len(run.curve), self.epochs):
            run.epoch(epoch, batch_loss)
            if epoch + 1 < self.epochs:
                run.save()
        return run.curve


class _Run:
    """What moves while a network is trained, and its checkpoint."""

    def __init__(self, training: Training, network: nn.Module, count: int, ctx: Context, memory: Tensor | None) -> None:
        self.network, self.count, self.ctx, self.memory = network, count, ctx, memory
        self.batches = math.ceil(count / training.batch)
        self.steps = training.epochs * self.batches
        self.rate = training.optimisation.rate
        start = training.optimisation.start
        self.optimiser, self.schedule = start(network.parameters(), training.epochs, self.batches)
        self.shuffle = ctx.noise.generator("shuffle")
        self.curve: list[float] = []
        self._load()

    def epoch(self, epoch: int, batch_loss: BatchLoss) -> None:
        """Takes the steps of an epoch. Its rows stay on the CPU, where images are read by them."""
        total = torch.zeros((), device=self.ctx.device)
        order = torch.randperm(self.count, generator=self.shuffle)
        for step, rows in enumerate(order.tensor_split(self.batches), start=epoch * self.batches):
            self.optimiser.zero_grad()
            loss = batch_loss(rows, Moment(epoch, step))
            torch.autograd.backward(loss)
            self.optimiser.step()
            self.schedule.step()
            total += loss.detach() * len(rows)
            self.ctx.progress(step + 1, self.steps)
        self.curve.append(_finite(float(total) / self.count, epoch, self.rate))

    def save(self) -> None:
        """Keeps everything that moves."""
        self.ctx.save_checkpoint("training", {**self._stateful(), "memory": self.memory, "curve": self.curve})

    def _stateful(self) -> dict[str, object]:
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "global": _generator_states(self.ctx.device),
        }

    def _load(self) -> None:
        saved = self.ctx.load_checkpoint("training")
        if saved is None:
            return
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.schedule.load_state_dict(saved["schedule"])
        self.shuffle.set_state(saved["shuffle"])
        _set_generator_states(saved["global"], self.ctx.device)
        if self.memory is not None:
            self.memory.copy_(saved["memory"])
        self.curve = saved["curve"]


def _generator_states(device: torch.device) -> list[Tensor]:
    """Returns the states of torch's global generators, which dropout draws from: the CPU's and the device's."""
    states = [torch.get_rng_state()]
    return states if device.type == "cpu" else [*states, torch.get_device_module(device).get_rng_state()]


def _set_generator_states(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[1])


def _finite(loss: float, epoch: int, rate: float) -> float:
    if not math.isfinite(loss):
        raise ValueError(
            f"training: the loss of epoch {epoch + 1} diverged: got {loss}, expected a learning rate below {rate}"
        )
    return loss
