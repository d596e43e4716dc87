"""fit_part, fit and fit_defense: train parts, hashers and defenses."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import (
    Component,
    Context,
    Dataset,
    Facts,
    Hardening,
    Hasher,
    Noise,
    Part,
    Purifier,
    State,
    TrainingData,
)
from retbench.contracts.context import Precision
from retbench.contracts.dataset import identify_dataset
from retbench.contracts.tensors import contract_breach
from retbench.stages.check import check_state
from retbench.stages.isolation import Input, isolate
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import StateKeys, Victim

LEARNING_FIELDS = frozenset({"dataset", "bits", "seed", "precision"})
"""Fields of a fit's recipe that do not matter for a part that learns nothing."""


@dataclass(frozen=True)
class _FitStage(Stage):
    """The common fields of all fits; `facts` includes the code length, and `states` are those of the parts."""

    component: Component
    dataset: Dataset
    facts: Facts
    seed: int
    precision: Precision
    states: StateKeys

    def recipe(self) -> dict[str, Json]:
        return {
            "component": self.component.spec(self.facts),
            "states": self.states.recipe(),
            "dataset": identify_dataset(self.dataset),
            "bits": self.facts.bits,
            "seed": self.seed,
            "precision": self.precision,
        }

    @property
    def network_precision(self) -> Precision:
        return self.precision

    @property
    def label(self) -> str:
        return f"{self.method} on {self.facts.dataset}"

    @property
    def method(self) -> str:
        return self.component.name

    @property
    def units(self) -> int:
        return self.facts.sizes["train"]

    @property
    def main_component(self) -> Component:
        return self.component

    def noise(self, device: torch.device) -> Noise:
        return Noise(self.seed, (self.method,), device)

    def run(self, load: Load, ctx: Context) -> Outcome:
        ctx = replace(ctx, parts=self.states.load_parts(load, ctx.device))
        data = self._data(load, ctx)
        # A part of an attack, too, must not learn the random numbers of a purifier.
        with isolate(self.component, list_fit_inputs(ctx, data.shards), self.dataset.ids("query")):
            state = self._fit(data, load, ctx)
        roles = self.states.parts if isinstance(self.component, Purifier) else ()
        return Outcome(check_state(state, self.component, roles), {})

    def _data(self, load: Load, ctx: Context) -> TrainingData:
        return TrainingData(self.dataset, self.facts, ctx.device)

    @abstractmethod
    def _fit(self, data: TrainingData, load: Load, ctx: Context) -> State: ...


@dataclass(frozen=True)
class FitPart(_FitStage):
    """Trains a part, once for all components that own it."""

    name: ClassVar[str] = "fit_part"
    component: Part | Hasher | Purifier

    def recipe(self) -> dict[str, Json]:
        recipe = super().recipe()
        if isinstance(self.component, Part) and not self.component.learns:
            return {name: value for name, value in recipe.items() if name not in LEARNING_FIELDS}
        return recipe

    def _fit(self, data: TrainingData, load: Load, ctx: Context) -> State:
        return self.component.fit(data, ctx)


@dataclass(frozen=True)
class FitHasher(FitPart):
    """Trains a hasher from its parts.

    Attributes:
        features: the keys of the training split's stored features; empty for a hasher without a cached part.
    """

    name: ClassVar[str] = "fit"
    component: Hasher
    features: tuple[str, ...] = ()

    def recipe(self) -> dict[str, Json]:
        return {**super().recipe(), **({"features": list(self.features)} if self.features else {})}

    def _data(self, load: Load, ctx: Context) -> TrainingData:
        return replace(super()._data(load, ctx), shards=tuple(load(key).tensors["features"] for key in self.features))


@dataclass(frozen=True)
class FitPurifier(FitPart):
    """Trains a purifier from its parts."""

    name: ClassVar[str] = "fit_defense"


@dataclass(frozen=True)
class Harden(_FitStage):
    """Hardens a trained hasher against attacks, with the same names and shapes of its weights."""

    name: ClassVar[str] = "fit_defense"
    component: Hardening
    victim: Victim

    def recipe(self) -> dict[str, Json]:
        return {**super().recipe(), "hasher": self.victim.hasher.spec(self.facts), "weights": self.victim.weights}

    @property
    def method(self) -> str:
        return f"{self.component.name} of {self.victim.hasher.name}"

    def _fit(self, data: TrainingData, load: Load, ctx: Context) -> State:
        before = self.victim.state(load, ctx.device)
        with isolate(self.component, {"the weights of the hasher": before}):
            state = self.component.fit(self.victim.hasher, before, data, ctx)
        after = check_state(state, self.component)
        if {n: t.shape for n, t in before.items()} != {n: t.shape for n, t in after.items()}:
            raise contract_breach(self.component, "a hardening must keep the names and shapes of the hasher's weights")
        return after


def list_fit_inputs(ctx: Context, features: tuple[Tensor, ...] = ()) -> dict[str, Input]:
    """Return the stored tensors that a fit is given, by the names in messages; labels and images are its own copies."""
    shards = {str(number): shard for number, shard in enumerate(features)}
    return {"the features": shards, **{f"the weights of its part {role}": state for role, state in ctx.parts.items()}}
