"""features: what a part makes of clean images, computed once for every hasher above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Component, Context, Dataset, Facts, Part, unit_images
from retbench.contracts.context import Precision
from retbench.contracts.dataset import identify_dataset
from retbench.contracts.facts import Split
from retbench.stages.check import breach
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import States

ROWS = 4096
"""Rows of a shard: 64 MB of 4096 features; a run that was killed repeats one at most."""


@dataclass(frozen=True)
class ComputeFeatures(Stage):
    """Runs some rows of a split through a part, clean.

    Attributes:
        part: whose module maps images to features.
        state: key of its weights, as the only entry of `own`.
        rows: the first row and the one after the last.
    """

    name: ClassVar[str] = "features"
    part: Part
    state: States
    dataset: Dataset
    facts: Facts
    split: Split
    rows: tuple[int, int]
    precision: Precision

    def recipe(self) -> dict[str, Json]:
        return {
            "part": self.part.spec(self.facts),
            "state": self.state.recipe(),
            "dataset": identify_dataset(self.dataset),
            "split": self.split,
            "rows": list(self.rows),
            "precision": self.precision,
        }

    @property
    def runs_in(self) -> Precision:
        return self.precision

    @property
    def label(self) -> str:
        return f"{self.split} rows {self.rows[0] + 1} to {self.rows[1]} of {self.facts.dataset} by {self.part.name}"

    @property
    def work(self) -> str:
        return self.part.name

    @property
    def units(self) -> int:
        return self.rows[1] - self.rows[0]

    @property
    def culprit(self) -> Component:
        return self.part

    def run(self, load: Load, ctx: Context) -> Outcome:
        module = self.part.module(self.state.load(load, ctx.device), ctx.device)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub omits the argument
        found: Tensor | None = None
        with torch.inference_mode():
            for at in ctx.batches(self.units):
                rows = range(self.rows[0] + at.start, self.rows[0] + at.stop)
                with ctx.autocast():
                    features = module(unit_images(self.dataset.images(self.split, rows), ctx.device))
                features = self._checked(features, len(rows))
                if found is None:  # the whole shard once, in place of twice while batches are joined
                    found = torch.empty(self.units, features.shape[1])
                found[at.start : at.stop] = features.cpu()
        return Outcome({"features": torch.empty(0, 0) if found is None else found}, {})

    def _checked(self, features: object, count: int) -> Tensor:
        """Return float32 (B, F) after checking type, shape and NaN; raises ContractBreach."""
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != count:
            got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise breach(self.part, f"wrong shape of features: got {got}, expected ({count}, F)")
        if not torch.isfinite(features).all():
            raise breach(self.part, "NaN or infinity in the features")
        return features.float()


def shards_of(count: int) -> Iterator[tuple[int, int]]:
    """Yield the rows of each shard of a split of `count` rows; none for an empty one."""
    for start in range(0, count, ROWS):
        yield start, min(start + ROWS, count)
