"""Defenses: a purifier in front of the hasher, or a hardening of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench.canon import Json
from retbench.contracts.component import Component, Kind
from retbench.contracts.context import Context
from retbench.contracts.facts import Facts
from retbench.contracts.hasher import Hasher
from retbench.contracts.noise import Noise
from retbench.contracts.training import TrainingData
from retbench.contracts.types import State

Vote = Literal["mean", "majority"]
VOTING = frozenset({"copies", "vote"})
"""Options of a purifier that act on codes: they stand in the recipe of the encoding."""


class Defense(Component):
    """What a cell puts between an attacked query and its answer: at most one hardening, then purifiers."""

    kind: ClassVar[Kind] = "defense"


class Purifier(Defense):
    """Cleans queries before they are encoded; the database is left alone.

    Class attributes:
        learns: whether it has a `fit` of its own; its parts are fitted either way.
        differentiable: whether gradients pass `purify`, which an adaptive attack needs.
    """

    learns: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True

    copies: int = Field(
        1, ge=1, le=1000, description="independent purifications of each query; their codes are put to the vote"
    )
    vote: Vote = Field(
        "mean", description="code of several copies: sign of the mean relaxed code, or the majority of each bit"
    )

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return what the purifier learns besides its parts; only called if it `learns`."""
        raise LookupError(f"{self}: it learns nothing")

    def module(self, state: State, device: torch.device) -> nn.Module:
        """Return the networks that `purify` works with, frozen and in eval mode, on `device`; called once a step.

        Args:
            state: what `fit` returned, and the states of the purifier's parts under `<role>/<name>` (`part_state`).
            device: where the networks belong.

        By default an empty module, for a purifier without networks.
        """
        return nn.Module().eval()

    @abstractmethod
    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        """Return float32 (B, 3, H, W) in [0, 1], the cleaned `images` (same shape and range); works for B = 0.

        Called under the step's autocast, without gradients unless an adaptive attack looks through it.

        Args:
            images: float32 (B, 3, H, W) in [0, 1].
            module: what `self.module` returned.
            noise: one lane of random numbers an image.
        """

    def memory(self, facts: Facts) -> int | None:
        """Return about how many bytes one image needs while it is purified, or None where nobody knows."""
        return None

    def spec(self, facts: Facts) -> dict[str, Json]:
        """Return what identifies one purification: not how many there are, nor how their codes vote."""
        spec = super().spec(facts)
        options = cast(dict[str, Json], spec["options"])
        return {**spec, "options": {name: value for name, value in options.items() if name not in VOTING}}

    def details(self, facts: Facts) -> Mapping[str, Json]:
        return {"copies": self.copies, "vote": self.vote} if self.copies > 1 else {}


class Hardening(Defense):
    """Trains the hasher further so that attacks on it fail; the database is encoded with the result.

    Class attributes:
        needs_loss: whether `fit` asks for the hasher's `loss`, which unsupervised hashers do not have.
    """

    needs_loss: ClassVar[bool] = False

    @abstractmethod
    def fit(self, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> State:
        """Return weights of the same names and shapes as `state`, the trained hasher's."""


def part_state(state: State, role: str) -> State:
    """Return the entries of `state` that belong to the part in `role`, without their `<role>/` prefix."""
    prefix = f"{role}/"
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
