"""fit_part, fit and fit_defense: everything that trains."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

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
from retbench.stages.check import breach
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import States, Victim

LEARNT_FROM = frozenset({"dataset", "bits", "seed", "precision"})
"""What in a fit's recipe only a component that learns hangs on."""


@dataclass(frozen=True)
class _Fit(Stage):
    """What every fit shares: a component, its parts, a dataset's training split, a seed, a precision.

    The code length, where there is one, stands in the facts.
    """

    component: Component
    dataset: Dataset
    facts: Facts
    seed: int
    precision: Precision
    states: States

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
    def runs_in(self) -> Precision:
        return self.precision

    @property
    def label(self) -> str:
        return f"{self.work} on {self.facts.dataset}"

    @property
    def work(self) -> str:
        return self.component.name

    @property
    def units(self) -> int:
        return self.facts.sizes["train"]

    @property
    def culprit(self) -> Component:
        return self.component

    def noise(self, device: torch.device) -> Noise:
        return Noise(self.seed, (self.work,), device)

    def run(self, load: Load, ctx: Context) -> Outcome:
        ctx = replace(ctx, parts=self.states.load_parts(load, ctx.device))
        state = self._fit(self._data(load, ctx), load, ctx)
        return Outcome(checked_state(state, self.component), {})

    def _data(self, load: Load, ctx: Context) -> TrainingData:
        return TrainingData(self.dataset, self.facts, ctx.device)

    @abstractmethod
    def _fit(self, data: TrainingData, load: Load, ctx: Context) -> State: ...


@dataclass(frozen=True)
class FitPart(_Fit):
    """Trains a part once, however many components own it."""

    name: ClassVar[str] = "fit_part"
    component: Part | Hasher | Purifier

    def recipe(self) -> dict[str, Json]:
        recipe = super().recipe()
        if isinstance(self.component, Part) and not self.component.learns:
            return {name: value for name, value in recipe.items() if name not in LEARNT_FROM}
        return recipe

    def _fit(self, data: TrainingData, load: Load, ctx: Context) -> State:
        return self.component.fit(data, ctx)


@dataclass(frozen=True)
class FitHasher(FitPart):
    """Trains a hasher from its parts, in the same way.

    Attributes:
        features: keys of the training split's stored features, where the hasher works from some.
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
    """Trains what a purifier learns besides its parts, in the same way."""

    name: ClassVar[str] = "fit_defense"


@dataclass(frozen=True)
class Harden(_Fit):
    """Trains a hasher further against attacks; names and shapes of its weights stay."""

    name: ClassVar[str] = "fit_defense"
    component: Hardening
    victim: Victim

    def recipe(self) -> dict[str, Json]:
        return {**super().recipe(), "hasher": self.victim.hasher.spec(self.facts), "weights": self.victim.weights}

    @property
    def work(self) -> str:
        return f"{self.component.name} of {self.victim.hasher.name}"

    def _fit(self, data: TrainingData, load: Load, ctx: Context) -> State:
        before = self.victim.state(load, ctx.device)
        after = checked_state(self.component.fit(self.victim.hasher, before, data, ctx), self.component)
        if {n: t.shape for n, t in before.items()} != {n: t.shape for n, t in after.items()}:
            raise breach(self.component, "a hardening keeps the names and shapes of the hasher's weights")
        return after


def checked_state(state: State, culprit: Component) -> State:
    """Return `state` after checking that it holds finite tensors; raises ContractBreach."""
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise breach(culprit, f"fit must return a dictionary of tensors: got {type(state).__name__}")
    broken = sorted(n for n, t in state.items() if t.is_floating_point() and not torch.isfinite(t).all())
    if broken:
        raise breach(culprit, f"fit returned NaN or infinity in {', '.join(broken[:3])}")
    return state
