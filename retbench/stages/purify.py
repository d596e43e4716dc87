"""purify: queries, clean or attacked, through one purifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from retbench.canon import Json
from retbench.contracts import Component, Context, Facts, Noise, Purifier
from retbench.contracts.context import Precision
from retbench.stages.check import checked_images, eight_bits
from retbench.stages.measure import concatenated, measured
from retbench.stages.queries import Queries
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import States, frozen


@dataclass(frozen=True)
class Purify(Stage):
    """Purifies one shard; the same clean shard is purified once for all hashers, which its recipe does not name.

    Attributes:
        source: key of the shard that attacked or purified these queries before; None for clean queries.
        position: how many purifiers came before it, each with noise of its own.
        copy: which of several independent purifications of these queries it is.
    """

    name: ClassVar[str] = "purify"
    purifier: Purifier
    states: States
    facts: Facts
    queries: Queries
    source: str | None
    seed: int
    quantize: bool
    precision: Precision
    position: int = 0
    copy: int = 0

    def recipe(self) -> dict[str, Json]:
        place: dict[str, Json] = {"position": self.position, "copy": self.copy}
        return {
            **{name: value for name, value in place.items() if value},
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
    def runs_in(self) -> Precision:
        return self.precision

    @property
    def label(self) -> str:
        again = f", copy {self.copy + 1}" if self.copy else ""
        return f"{self.purifier.name}, {self._condition} {self.queries}{again}"

    @property
    def _condition(self) -> str:
        return "clean" if self.source is None else "purified" if self.position else "attacked"

    @property
    def work(self) -> str:
        return self.purifier.name

    @property
    def units(self) -> int:
        return len(self.queries)

    @property
    def culprit(self) -> Component:
        return self.purifier

    def noise(self, device: torch.device) -> Noise:
        source = Noise(self.seed, self.queries.ids, device).link(self.position)
        return source.copy(self.copy) if self.copy else source

    @property
    def memory(self) -> int | None:
        return self.purifier.memory(self.facts)

    def run(self, load: Load, ctx: Context) -> Outcome:
        module = frozen(self.purifier, self.states, load, ctx.device)
        source = load(self.source).tensors["images"] if self.source else None
        batches = []
        for at in ctx.batches(len(self.queries)):
            clean = self.queries.images(at, ctx.device)
            images = clean if source is None else source[at.start : at.stop].to(ctx.device)
            purified = self._purify(images, module, ctx, ctx.noise.rows(at.start, at.stop))
            batches.append({"images": purified.cpu(), **measured(purified, clean)})
        return Outcome(concatenated(batches, (3, *self.facts.image_size)), {})

    def _purify(self, images: Tensor, module: nn.Module, ctx: Context, noise: Noise) -> Tensor:
        with torch.no_grad(), ctx.autocast():
            purified = self.purifier.purify(images, module, noise)
        purified = checked_images(purified, images, self.purifier)
        return eight_bits(purified) if self.quantize else purified
