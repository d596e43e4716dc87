"""A stage applied to its inputs: what is done, and what identifies the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from retbench.canon import Json, digest
from retbench.contracts import Component, Context, Noise
from retbench.contracts.context import Precision
from retbench.stages.recipe import input_keys
from retbench.store import Artifact

Load = Callable[[str], Artifact]
CostKind = tuple[str, str, str]
"""Stage, work and options of steps that cost alike."""


class Outcome(NamedTuple):
    """What a stage returns: tensors, and a summary in small JSON."""

    tensors: Mapping[str, Tensor]
    summary: Mapping[str, Json]


class Stage(ABC):
    """A pure function of its recipe; subclasses are frozen dataclasses whose fields are components and input keys.

    Class attributes:
        name: one of the closed list of stages.
        revision: raised whenever the same recipe gives another outcome.
    """

    name: ClassVar[str]
    revision: ClassVar[int] = 1

    @abstractmethod
    def recipe(self) -> dict[str, Json]:
        """Return everything the outcome depends on; inputs appear by key."""

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The keys of the artifacts that `run` loads: those in its recipe."""
        return input_keys(self.full_recipe)

    @abstractmethod
    def run(self, load: Load, ctx: Context) -> Outcome:
        """Return the outcome; `load` reads an input by its key."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What a person reads while it runs: the component, on what."""

    @property
    @abstractmethod
    def work(self) -> str:
        """What steps of one cost are called: the component's name, without the data."""

    @property
    def units(self) -> int:
        """How much work it is, in images or rows: the cost of steps of one `work` is proportional to it."""
        return 1

    @property
    def runs_in(self) -> Precision:
        """The precision of its networks; float32 for a stage without any."""
        return "float32"

    @property
    def memory(self) -> int | None:
        """About how many bytes an image needs while it is worked on; None where nobody knows."""
        return None

    @property
    def options(self) -> str:
        """What else the cost hangs on: a digest of the component's options; empty without a component."""
        return digest(self.culprit.model_dump(mode="json"))[:12] if self.culprit else ""

    @property
    def cost_kind(self) -> CostKind:
        """Stage, work and options: steps that cost alike, in proportion to their units."""
        return self.name, self.work, self.options

    @property
    def culprit(self) -> Component | None:
        """The component to name when a contract is broken."""
        return None

    def noise(self, device: torch.device) -> Noise:
        """Return the source of the step's randomness; a stage that draws nothing has no ids."""
        return Noise(seed=0, ids=(), device=device)

    @cached_property
    def full_recipe(self) -> dict[str, Json]:
        """The recipe with the stage's name and revision: what is hashed, stored and compared."""
        return {"stage": self.name, "revision": self.revision, **self.recipe()}

    @cached_property
    def key(self) -> str:
        """The digest of the full recipe: the address of the outcome."""
        return digest(self.full_recipe)
