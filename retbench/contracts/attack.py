"""An attack turns clean queries into perturbed ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from retbench.contracts.component import Component, Kind
from retbench.contracts.context import Context
from retbench.contracts.definition import Declares
from retbench.contracts.facts import Facts
from retbench.contracts.hasher import HashNetwork
from retbench.contracts.noise import Noise
from retbench.contracts.threat import Access, Ball, BlackBoxAccess, Goal
from retbench.contracts.training import TrainingData
from retbench.contracts.types import Batch, State

Need = Literal["training", "training_codes", "database_labels", "database_codes", "target_texts"]
"""Data that an attack may use besides the network: `target_texts` are in the `Batch`, the others in `Knowledge`."""


class QueriedNetwork(HashNetwork, ABC):
    """The attacked network as a black-box attack sees it: it answers and counts queries, and shows nothing else.

    Every image that is evaluated is one query for the query image that it belongs to: each copy that an expectation
    over transformations averages, each probe of a finite difference, and the clean image too. Under the adaptive threat
    an image passes the purifiers, with new noise for each query; that is one query as well, and it purifies once,
    whatever the purifiers' option `copies`.

    Answers are float32 (N, K): with `score` access in [-1, 1], relaxed already, so do not `relax` them again; with
    `decision` access in {-1, +1}. They have no gradients. The weights cannot be read, and `text` and `from_features`
    are closed.
    """

    @abstractmethod
    def image(self, images: Tensor) -> Tensor:
        """Return the answers to one or several copies of the batch; like `query` with rows 0 to B - 1, repeated.

        Args:
            images: float32 (k * B, 3, H, W) in [0, 1]: the B images of the batch in its order, then their second copies
                and so on. Image i is a query for row i mod B. For other images, use `query`.

        Raises:
            ContractBreach: as for `query`, or a number of images that is no multiple of B.
        """

    @abstractmethod
    def query(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return the answers to images of some rows of the batch, float32 (N, K).

        Args:
            images: float32 (N, 3, H, W) in [0, 1], which need not be inside the attack's ball; none give no answers.
            rows: int64 (N,), the row of the batch that each image belongs to; a row may occur several times.

        Raises:
            ContractBreach: the queries would exceed the budget of a row, images require gradients, or images or rows
                are not as described. Nothing is answered or counted then.
        """

    @property
    @abstractmethod
    def used(self) -> Tensor:
        """The queries used so far for each row of the batch: int64 (B,)."""

    @property
    @abstractmethod
    def remaining(self) -> Tensor:
        """The queries left for each row of the batch: int64 (B,)."""


@dataclass(frozen=True)
class Knowledge:
    """The data that the threat model gives the attacker, limited to the attack's `needs`.

    Attributes:
        network: the network of the attacked hasher (of the surrogate, if the cell has one), frozen and in eval mode,
            differentiable down to the pixels; under the adaptive threat it includes the purifiers in front of the
            hasher. For a black-box attack it is a `QueriedNetwork`, which only answers queries; while the attack or one
            of its parts is fitted, it answers none.
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
    def queried(self) -> QueriedNetwork:
        """The network of a black-box attack.

        Raises:
            LookupError: the attack's access is `gradient`.
        """
        if not isinstance(self.network, QueriedNetwork):
            raise LookupError("attack: it has the network itself: got access gradient, expected a BlackBoxAttack")
        return self.network

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

    Equal parts that attack the same hasher share one fit, whichever attack of the same access owns them. The network is
    closed in a part of a black-box attack; the codes that it needs are granted by `needs`.

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


def _require_gradient(access: str) -> str:
    if access != "gradient":
        raise ValueError("a black-box attack is a BlackBoxAttack")
    return access


class Attack(Component):
    """Returns perturbed queries; the core checks the ball, measures the perturbations and ranks the results.

    Class attributes:
        needs: the data that the attack uses besides the network and the facts.
        learns: whether the class defines `fit`, which runs before the first query; its parts are fitted either way.
        adaptive: whether `perturb` calls the network, and so the purifiers that the adaptive threat puts in front of
            it; False for an attack that uses the network only in its training.
        access: what the attack gets from the network: gradients, or as a `BlackBoxAttack` only answers to queries.
    """

    kind: ClassVar[Kind] = "attack"
    needs: ClassVar[frozenset[Need]] = frozenset()
    learns: ClassVar[Annotated[bool, Declares("fit")]] = False
    adaptive: ClassVar[bool] = True
    access: ClassVar[
        Annotated[
            Access,
            AfterValidator(_require_gradient),
            Field(description="'gradient'; an attack with 'score' or 'decision' derives from BlackBoxAttack"),
        ]
    ] = "gradient"

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


class BlackBoxAttack(Attack):
    """An attack that can only query the network; the core enforces the access, counts the queries and reports them.

    `fit` and the parts of the attack get no answers, so that no query is left uncounted: what they learn from is
    granted by `needs`. In `perturb`, `knowledge.queried` is the network.

    Class attributes:
        access: `score` or `decision`; see `QueriedNetwork`.
    """

    access: ClassVar[BlackBoxAccess]

    query_budget: int = Field(1000, ge=1, description="largest number of queries to the network for each query image")
