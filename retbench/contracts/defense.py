"""Defenses: purifiers in front of the hasher, and hardenings of the hasher itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench.canon import Json
from retbench.contracts.component import Component, Kind
from retbench.contracts.context import Context
from retbench.contracts.definition import Declares
from retbench.contracts.facts import Facts
from retbench.contracts.hasher import Hasher
from retbench.contracts.noise import Noise
from retbench.contracts.training import TrainingData
from retbench.contracts.types import State

Vote = Literal["mean", "majority"]
VOTING_OPTIONS = frozenset({"copies", "vote"})
"""Purifier options that act on codes: they are part of the encoding's recipe, not of the purification's."""


class Defense(Component):
    """A defense of the retrieval system; a cell has at most one hardening, followed by any number of purifiers."""

    kind: ClassVar[Kind] = "defense"


class Purifier(Defense):
    """Cleans queries before they are encoded; the database images are not purified.

    Class attributes:
        learns: whether the class defines `fit`; its parts are fitted either way.
        differentiable: whether gradients flow through `purify`, which an adaptive attack needs unless it is black-box.
    """

    learns: ClassVar[Annotated[bool, Declares("fit")]] = False
    differentiable: ClassVar[bool] = True

    copies: int = Field(
        1, ge=1, le=1000, description="independent purifications of each query, whose codes are combined by vote"
    )
    vote: Vote = Field(
        "mean", description="how codes are combined: the sign of the mean relaxed code, or the majority of each bit"
    )

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights that the purifier learns besides those of its parts.

        Called only if the class sets `learns`.

        Args:
            data: the training split.
            ctx: device, precision, noise and services of the running step.

        Raises:
            LookupError: the purifier has no `fit`.
        """
        raise LookupError(f"{self}: it has no fit; a class that learns defines one and sets learns = True")

    def module(self, state: State, device: torch.device) -> nn.Module:
        """Return the purifier's networks, frozen and in eval mode; called once per step.

        The default is an empty module, for a purifier without networks.

        Args:
            state: the state that `fit` returned, and those of the purifier's parts under `<role>/<name>` (see
                `part_state`).
            device: the device for the networks.
        """
        return nn.Module().eval()

    @abstractmethod
    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        """Return the cleaned images: float32 in [0, 1], of the same shape as `images`; must work for B = 0.

        Called under the step's autocast, and without gradients unless an adaptive attack differentiates it.

        Args:
            images: float32 (B, 3, H, W) in [0, 1].
            module: the networks that `self.module` returned.
            noise: random numbers, one row per image.
        """

    def memory(self, facts: Facts) -> int | None:
        """Return the approximate memory in bytes that purifying one image needs, or None if unknown."""
        return None

    def spec(self, facts: Facts) -> dict[str, Json]:
        """Return the purifier's part of a recipe, without the options that only affect codes (`copies` and `vote`)."""
        spec = super().spec(facts)
        options = cast(dict[str, Json], spec["options"])
        return {**spec, "options": {name: value for name, value in options.items() if name not in VOTING_OPTIONS}}

    def details(self, facts: Facts) -> Mapping[str, Json]:
        """Return copies and vote if there are several copies, recorded in every row."""
        return {"copies": self.copies, "vote": self.vote} if self.copies > 1 else {}


class Hardening(Defense):
    """Trains the hasher further against attacks; the hardened hasher encodes queries and database.

    Class attributes:
        needs_loss: whether `fit` calls the hasher's `loss`, which only supervised hashers have.
    """

    needs_loss: ClassVar[bool] = False

    @abstractmethod
    def fit(self, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> State:
        """Return the hardened weights, with the same names and shapes as `state`.

        Args:
            hasher: the trained hasher.
            state: its weights.
            data: the training split.
            ctx: device, precision, noise and services of the running step.
        """

    def shortened(self, facts: Facts) -> str | None:
        """Return how much shorter than the published training this one is, such as `2 of 100 epochs`, or None.

        It stands in the names of rows, and as a note under their tables.
        """
        return None


def part_state(state: State, role: str) -> State:
    """Return the state of one part from the state of its owner: the entries under `<role>/`, without this prefix.

    Args:
        state: the state of a component, as its `module` receives it.
        role: the part's key in `parts`; an unknown role gives an empty state.
    """
    prefix = f"{role}/"
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
