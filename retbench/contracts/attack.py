"""An attack: from clean queries to perturbed ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from retbench.contracts.component import Component, Kind
from retbench.contracts.context import Context
from retbench.contracts.facts import Facts
from retbench.contracts.hasher import HashNetwork
from retbench.contracts.noise import Noise
from retbench.contracts.threat import Ball, Goal
from retbench.contracts.training import TrainingData
from retbench.contracts.types import Batch, State

Need = Literal["training", "training_codes", "database_labels", "database_codes", "target_texts"]
"""What an attack may ask for besides the network; `target_texts` come with the batch, the others in `Knowledge`."""


@dataclass(frozen=True)
class Knowledge:
    """What the threat grants the attacker, and the attack said it `needs`.

    Attributes:
        network: the attacked hasher's network, frozen, in eval mode; with an adaptive attacker the purifier stands in
            front of it. Differentiable down to the pixels.
        facts: what is known of the cell.
        data: the training split, if granted; attacks ask for it as `training`.
        grants: tensors by need: `training_codes` int8 (N, K), `database_labels` uint8 (M, C), `database_codes`
            int8 (M, K), all of the attacked hasher.
    """

    network: HashNetwork
    facts: Facts
    data: TrainingData | None = None
    grants: Mapping[Need, Tensor] = field(default_factory=dict)

    @property
    def training(self) -> TrainingData:
        """The training split; raises LookupError for an attack that did not declare it."""
        if self.data is None:
            raise _unasked("training")
        return self.data

    def grant(self, need: Need) -> Tensor:
        """Return the tensor of a need; raises LookupError for one that the attack did not declare."""
        if need not in self.grants:
            raise _unasked(need)
        return self.grants[need]


def _unasked(need: Need) -> LookupError:
    return LookupError(f"attack: knowledge that was not asked for: got {need}, expected it in `needs`")


class AttackPart(Component):
    """A trainable piece of an attack that hangs on the attacked hasher, such as a net from labels to prototype codes.

    Equal parts that see the same hasher share one fit, whatever attack owns them and however its options are swept.

    Class attributes:
        needs: what of `Knowledge` it reads besides network and facts.
    """

    kind: ClassVar[Kind] = "part"
    needs: ClassVar[frozenset[Need]] = frozenset()

    @abstractmethod
    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return the trained weights."""

    @abstractmethod
    def module(self, state: State, device: torch.device) -> nn.Module:
        """Return the network with these weights, frozen and in eval mode, on `device`."""


class Attack(Component):
    """Proposes perturbed queries; the core checks the ball, measures and ranks.

    Class attributes:
        needs: what of `Knowledge` it reads besides network and facts.
        learns: whether it has a `fit` of its own, before it sees a query; its parts are fitted either way.
        adaptive: whether `perturb` asks the network, and so sees the purifiers that an adaptive threat puts in front
            of it; not so for an attack that asks the network in its training alone.
    """

    kind: ClassVar[Kind] = "attack"
    needs: ClassVar[frozenset[Need]] = frozenset()
    learns: ClassVar[bool] = False
    adaptive: ClassVar[bool] = True

    @property
    def goal(self) -> Goal:
        """What it wants; a property, because an attack may offer both as an option."""
        return "targeted"

    @property
    @abstractmethod
    def ball(self) -> Ball | None:
        """The declared norm and budget, or None for an attack that has none."""

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return what the attack learns before it sees a query, such as a generator; only called if it `learns`."""
        raise LookupError(f"{self}: it learns nothing")

    def module(self, state: State, device: torch.device) -> nn.Module:
        """Return the networks that `perturb` works with, frozen and in eval mode, on `device`; called once a step.

        Args:
            state: what `fit` returned, and the states of the attack's parts under `<role>/<name>` (`part_state`).
            device: where the networks belong.

        By default an empty module, for an attack without networks of its own.
        """
        return nn.Module().eval()

    @abstractmethod
    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        """Return float32 (B, 3, H, W) in [0, 1] inside the declared ball around `batch.images`.

        Args:
            knowledge: what the threat grants.
            batch: the queries and their targets.
            module: what `self.module` returned.
            noise: the attacker's own random numbers, one lane a query; independent of those of any purifier.
        """
