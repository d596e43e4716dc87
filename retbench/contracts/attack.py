"""An attack turns clean queries into perturbed ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

from retbench.contracts.component import Component, Kind
from retbench.contracts.context import Context
from retbench.contracts.definition import Declares
from retbench.contracts.facts import Facts
from retbench.contracts.hasher import HashNetwork
from retbench.contracts.noise import Noise
from retbench.contracts.threat import Ball, Goal
from retbench.contracts.training import TrainingData
from retbench.contracts.types import Batch, State

Need = Literal["training", "training_codes", "database_labels", "database_codes", "target_texts"]
"""Data that an attack may use besides the network: `target_texts` are in the `Batch`, the others in `Knowledge`."""


@dataclass(frozen=True)
class Knowledge:
    """The data that the threat model gives the attacker, limited to the attack's `needs`.

    Attributes:
        network: the network of the attacked hasher, frozen and in eval mode, differentiable down to the pixels; under
            the adaptive threat it includes the purifiers in front of the hasher.
        facts: the facts of the cell.
        data: the training split if the attack needs `training`, else None; read it through `training`.
        grants: tensors of the attacked hasher by need: `training_codes` int8 (N, K) and `database_codes` int8 (M, K)
            in {-1, +1}, `database_labels` multi-hot uint8 (M, C).
    """

    network: HashNetwork
    facts: Facts
    data: TrainingData | None = None
    grants: Mapping[Need, Tensor] = field(default_factory=dict)

    @property
    def training(self) -> TrainingData:
        """The training split.

        Raises:
            LookupError: the attack does not declare the need `training`.
        """
        if self.data is None:
            raise _undeclared("training")
        return self.data

    def grant(self, need: Need) -> Tensor:
        """Return the tensor of a need; see `grants` for shapes and dtypes.

        Raises:
            LookupError: the attack does not declare this need.
        """
        if need not in self.grants:
            raise _undeclared(need)
        return self.grants[need]


def _undeclared(need: Need) -> LookupError:
    return LookupError(f"attack: undeclared need: got {need}, expected a name in the attack's `needs`; add it there")


class AttackPart(Component):
    """A trainable piece of an attack that depends on the attacked hasher, such as a prototype network.

    Equal parts that attack the same hasher share one fit, whichever attack owns them.

    Class attributes:
        needs: the data that `fit` uses besides the network and the facts.
    """

    kind: ClassVar[Kind] = "part"
    needs: ClassVar[frozenset[Need]] = frozenset()

    @abstractmethod
    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return the trained weights.

        Args:
            knowledge: the data that the threat model gives the attacker.
            ctx: device, precision, noise and services of the running step.
        """

    @abstractmethod
    def module(self, state: State, device: torch.device) -> nn.Module:
        """Return the network with these weights, frozen and in eval mode, on `device`."""


class Attack(Component):
    """Returns perturbed queries; the core checks the ball, measures the perturbations and ranks the results.

    Class attributes:
        needs: the data that the attack uses besides the network and the facts.
        learns: whether the class defines `fit`, which runs before the first query; its parts are fitted either way.
        adaptive: whether `perturb` calls the network, and so the purifiers that the adaptive threat puts in front of
            it; False for an attack that uses the network only in its training.
    """

    kind: ClassVar[Kind] = "attack"
    needs: ClassVar[frozenset[Need]] = frozenset()
    learns: ClassVar[Annotated[bool, Declares("fit")]] = False
    adaptive: ClassVar[bool] = True

    @property
    def goal(self) -> Goal:
        """The goal; a property, because an attack may have an option for it."""
        return "targeted"

    @property
    @abstractmethod
    def ball(self) -> Ball | None:
        """The declared norm and budget, or None for an attack without one."""

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return the weights that the attack learns before the first query, such as a generator's.

        Called only if the class sets `learns`.

        Args:
            knowledge: the data that the threat model gives the attacker.
            ctx: device, precision, noise and services of the running step.

        Raises:
            LookupError: the attack has no `fit`.
        """
        raise LookupError(f"{self}: it has no fit; a class that learns defines one and sets learns = True")

    def module(self, state: State, device: torch.device) -> nn.Module:
        """Return the attack's own networks, frozen and in eval mode; called once per step.

        The default is an empty module, for an attack without networks.

        Args:
            state: the state that `fit` returned, and those of the attack's parts under `<role>/<name>` (see
                `part_state`).
            device: the device for the networks.
        """
        return nn.Module().eval()

    @abstractmethod
    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        """Return the perturbed images of a batch: float32 (B, 3, H, W) in [0, 1], inside the ball of the clean ones.

        Must work for an empty batch.

        Args:
            knowledge: the data that the threat model gives the attacker.
            batch: the queries and their targets.
            module: the networks that `self.module` returned.
            noise: the attacker's random numbers, one row per query; independent of those of every purifier.
        """
