"""The interface of a stage: its recipe, its key and its computation."""

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
"""Returns the artifact of a key."""
CostKind = tuple[str, str, str]
"""Stage, method and digest of the options; steps of one kind cost the same per unit."""


class Outcome(NamedTuple):
    """The result of a stage: tensors, and a small JSON summary."""

    tensors: Mapping[str, Tensor]
    summary: Mapping[str, Json]


class Stage(ABC):
    """A computation that depends on its recipe alone; subclasses are frozen dataclasses of components and input keys.

    Class attributes:
        name: the stage, one of the closed list.
        revision: raised whenever the same recipe leads to another outcome.
    """

    name: ClassVar[str]
    revision: ClassVar[int] = 1

    @abstractmethod
    def recipe(self) -> dict[str, Json]:
        """Return everything that the outcome depends on, with inputs by key."""

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The keys of the artifacts that `run` loads, as listed in the recipe."""
        return input_keys(self.full_recipe)

    @abstractmethod
    def run(self, load: Load, ctx: Context) -> Outcome:
        """Return the outcome; `load` returns an input by key."""

    @property
    @abstractmethod
    def label(self) -> str:
        """A description for progress and reports: the component and its data."""

    @property
    @abstractmethod
    def method(self) -> str:
        """The method without its data, usually the component's name."""

    @property
    def units(self) -> int:
        """The size of the step in images or rows; steps of one cost kind take time in proportion to it."""
        return 1

    @property
    def network_precision(self) -> Precision:
        """The precision of its networks; float32 for a stage without networks."""
        return "float32"

    @property
    def bytes_per_image(self) -> int | None:
        """The approximate memory that one image needs in bytes; None if unknown."""
        return None

    @property
    def options_digest(self) -> str:
        """The digest of the component's options; empty without a component."""
        return digest(self.main_component.options_json())[:12] if self.main_component else ""

    @property
    def cost_kind(self) -> CostKind:
        """Stage, method and digest of the options; steps of one kind cost the same per unit."""
        return self.name, self.method, self.options_digest

    @property
    def main_component(self) -> Component | None:
        """The component that does the work; errors name it when a contract is broken."""
        return None

    def noise(self, device: torch.device) -> Noise:
        """Return the source of the step's randomness; without ids for a stage that draws nothing."""
        return Noise(seed=0, ids=(), device=device)

    @cached_property
    def full_recipe(self) -> dict[str, Json]:
        """The recipe with the stage's name and revision, as it is hashed and stored."""
        return {"stage": self.name, "revision": self.revision, **self.recipe()}

    @cached_property
    def key(self) -> str:
        """The digest of the full recipe, under which the outcome is stored."""
        return digest(self.full_recipe)
