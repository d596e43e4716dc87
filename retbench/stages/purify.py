"""purify: purify clean or attacked queries with one purifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from retbench.canon import Json
from retbench.contracts import Component, Context, Facts, Noise, Purifier
from retbench.contracts.context import Precision
from retbench.stages.check import check_images, quantize_images
from retbench.stages.isolation import isolate
from retbench.stages.measure import concatenate_batches, measure_images
from retbench.stages.queries import Queries
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import StateKeys, load_frozen


@dataclass(frozen=True)
class Purify(Stage):
    """Purifies one shard of queries; its recipe has no hasher, so that clean queries are purified once for all hashers.

    Attributes:
        source: the key of the attacked or purified shard to start from; None for clean queries.
        position: the number of purifiers before this one; each has its own noise.
        copy: the number of this copy among several independent purifications of the same queries.
    """

    name: ClassVar[str] = "purify"
    purifier: Purifier
    states: StateKeys
    facts: Facts
    queries: Queries
    source: str | None
    seed: int
    quantize: bool
    precision: Precision
    position: int = 0
    copy: int = 0

    def recipe(self) -> dict[str, Json]:
        indices: dict[str, Json] = {"position": self.position, "copy": self.copy}
        return {
            **{name: value for name, value in indices.items() if value},
            "defense": self.purifier.spec(self.facts),
            "states": self.states.recipe(),
            "dataset": self.queries.fingerprint,
            "queries": self.queries.key,
            "source": self.source,
            "seed": self.seed,
            "quantize": self.quantize,
            "precision": self.precision,
        }

    @property
    def network_precision(self) -> Precision:
        return self.precision

    @property
    def label(self) -> str:
        copy = f", copy {self.copy + 1}" if self.copy else ""
        return f"{self.purifier.name}, {self._condition} {self.queries}{copy}"

    @property
    def _condition(self) -> str:
        return "clean" if self.source is None else "purified" if self.position else "attacked"

    @property
    def method(self) -> str:
        return self.purifier.name

    @property
    def units(self) -> int:
        return len(self.queries)

    @property
    def main_component(self) -> Component:
        return self.purifier

    def noise(self, device: torch.device) -> Noise:
        source = Noise(self.seed, self.queries.ids, device).at_position(self.position)
        return source.copy(self.copy) if self.copy else source

    @property
    def bytes_per_image(self) -> int | None:
        return self.purifier.memory(self.facts)

    def run(self, load: Load, ctx: Context) -> Outcome:
        module = load_frozen(self.purifier, self.states, load, ctx.device)
        source = load(self.source).tensors["images"] if self.source else None
        batches = []
        with isolate(self.purifier, {"its own networks": module}):
            for rows in ctx.batches(len(self.queries)):
                clean = self.queries.images(rows, ctx.device)
                images = clean.clone() if source is None else source[rows.start : rows.stop].to(ctx.device)
                purified = self._purify(images, module, ctx, ctx.noise.rows(rows.start, rows.stop))
                batches.append({"images": purified.cpu(), **measure_images(purified, clean)})
        return Outcome(concatenate_batches(batches, (3, *self.facts.image_size)), {})

    def _purify(self, images: Tensor, module: nn.Module, ctx: Context, noise: Noise) -> Tensor:
        with isolate(self.purifier, {"the images": images}, noise.ids), torch.no_grad(), ctx.autocast():
            purified = self.purifier.purify(images, module, noise)
        purified = check_images(purified, images, self.purifier)
        return quantize_images(purified) if self.quantize else purified
