"""features: the features of clean images by a part, computed once for all hashers that share the part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Component, Context, Dataset, Facts, Part
from retbench.contracts.context import Precision
from retbench.contracts.dataset import identify_dataset
from retbench.contracts.facts import Split
from retbench.contracts.tensors import read_images
from retbench.stages.check import check_outputs
from retbench.stages.isolation import isolate
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import StateKeys, load_frozen

SHARD_SIZE = 4096
"""Rows of a shard (64 MB with 4096 features each); a killed run repeats at most one shard."""


@dataclass(frozen=True)
class ComputeFeatures(Stage):
    """Computes the features of some clean images of a split.

    Attributes:
        part: the part whose module maps images to features.
        state: the key of its weights, as `own`.
        rows: the first row, and the row after the last.
    """

    name: ClassVar[str] = "features"
    part: Part
    state: StateKeys
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
    def network_precision(self) -> Precision:
        return self.precision

    @property
    def label(self) -> str:
        return f"{self.split} rows {self.rows[0] + 1} to {self.rows[1]} of {self.facts.dataset} by {self.part.name}"

    @property
    def method(self) -> str:
        return self.part.name

    @property
    def units(self) -> int:
        return self.rows[1] - self.rows[0]

    @property
    def main_component(self) -> Component:
        return self.part

    def run(self, load: Load, ctx: Context) -> Outcome:
        module = load_frozen(self.part, self.state, load, ctx.device)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub omits the argument
        table: Tensor | None = None
        with isolate(self.part, {"its own networks": module}), torch.inference_mode():
            for batch in ctx.batches(self.units):
                rows = range(self.rows[0] + batch.start, self.rows[0] + batch.stop)
                images = read_images(self.dataset, self.split, rows, ctx.device)
                with isolate(self.part, {"the images": images}), ctx.autocast():
                    features = module(images)
                features = check_outputs(features, self.part, "features", (len(rows), None), ctx.device)
                if table is None:  # filled in place: joining batches would need the memory of a shard twice
                    table = torch.empty(self.units, features.shape[1])
                table[batch.start : batch.stop] = features.cpu()
        return Outcome({"features": torch.empty(0, 0) if table is None else table}, {})


def shard_rows(count: int) -> Iterator[tuple[int, int]]:
    """Yield the first row of each shard of `count` rows, and the row after its last; nothing for no rows."""
    for start in range(0, count, SHARD_SIZE):
        yield start, min(start + SHARD_SIZE, count)
