"""encode: encode images or texts into packed binary codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Component, Context, HashNetwork, relax, sign
from retbench.contracts.context import Precision
from retbench.contracts.dataset import Dataset, identify_dataset
from retbench.contracts.defense import Vote
from retbench.contracts.facts import Split
from retbench.contracts.hasher import Modality
from retbench.contracts.tensors import read_images, read_texts
from retbench.metrics import pack
from retbench.stages.check import check_outputs
from retbench.stages.isolation import isolate
from retbench.stages.queries import Queries, ShardsPerCopy
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import Victim


@dataclass(frozen=True)
class _EncodeStage(Stage):
    """The common fields and computation of both encodings."""

    name: ClassVar[str] = "encode"
    victim: Victim
    bits: int
    modality: Modality
    precision: Precision

    @property
    def vote_rule(self) -> Vote:
        """The rule that combines the codes of several copies."""
        return "mean"

    @property
    def encoder(self) -> str:
        """The name of the network's method that computes the logits."""
        return self.modality

    @property
    def network_precision(self) -> Precision:
        return self.precision

    @property
    def method(self) -> str:
        return self.victim.hasher.name

    @property
    def main_component(self) -> Component:
        return self.victim.hasher

    def _common_recipe(self) -> dict[str, Json]:
        return {"weights": self.victim.weights, "modality": self.modality, "precision": self.precision}

    @abstractmethod
    def _batches(self, load: Load, ctx: Context) -> Iterator[tuple[Tensor, ...]]:
        """Yield the copies of each batch of inputs."""

    def run(self, load: Load, ctx: Context) -> Outcome:
        network = self.victim.network(load, ctx.device)
        codes, agreement = [], 1.0
        with isolate(self.main_component, {"its own networks": network}), torch.inference_mode():
            for copies in self._batches(load, ctx):
                with ctx.autocast():
                    logits = [self._logits(network, self.encoder, batch) for batch in copies]
                codes.append(self._combine(logits))
                if len(codes) == 1 and self.precision != "float32":
                    exact = self._combine(self._exact_logits(network, copies, ctx))
                    agreement = float((exact == codes[0]).float().mean())
        packed = pack(torch.cat(codes).cpu()) if codes else torch.zeros(0, (self.bits + 7) // 8, dtype=torch.uint8)
        distinct = len(torch.unique(packed, dim=0))
        return Outcome({"codes": packed}, {"distinct": distinct, "float32_agreement": agreement})

    def _exact_logits(self, network: HashNetwork, copies: tuple[Tensor, ...], ctx: Context) -> list[Tensor]:
        """Return the logits of the first batch in float32, for comparison."""
        return [self._logits(network, self.modality, batch) for batch in copies]

    def _combine(self, logits: list[Tensor]) -> Tensor:
        """Return the code of each item from the logits (B, K) of its copies; a tied bit is +1."""
        votes = [relax(copy) if self.vote_rule == "mean" else sign(copy).float() for copy in logits]
        return sign(torch.stack(votes).mean(dim=0))

    def _logits(self, network: HashNetwork, encoder: str, batch: Tensor) -> Tensor:
        """Return the logits of a batch, float32 (B, K), by a method of the network."""
        inputs = "features" if encoder == "from_features" else f"{encoder}s"
        with isolate(self.victim.hasher, {f"the {inputs}": batch}):
            logits = getattr(network, encoder)(batch)
        return check_outputs(logits, self.victim.hasher, "logits", (len(batch), self.bits), batch.device)


@dataclass(frozen=True)
class EncodeSplit(_EncodeStage):
    """Encodes a clean split: the database, or the training items whose codes an attack needs.

    Attributes:
        features: the keys of the split's stored features; empty to encode from images or texts.
    """

    dataset: Dataset
    split: Split
    features: tuple[str, ...] = ()

    def recipe(self) -> dict[str, Json]:
        stored: dict[str, Json] = {"features": list(self.features)} if self.features else {}
        return {"dataset": identify_dataset(self.dataset), "split": self.split, **stored, **self._common_recipe()}

    @property
    def encoder(self) -> str:
        return "from_features" if self.features else super().encoder

    @property
    def label(self) -> str:
        return f"{self.split} of {self.dataset.name} by {self.victim.hasher.name}"

    @property
    def units(self) -> int:
        return self.dataset.facts().sizes[self.split]

    def _exact_logits(self, network: HashNetwork, copies: tuple[Tensor, ...], ctx: Context) -> list[Tensor]:
        if not self.features:
            return super()._exact_logits(network, copies, ctx)
        # Stored features have the run's precision, so float32 logits must start from the images.
        images = read_images(self.dataset, self.split, range(len(copies[0])), ctx.device)
        return [self._logits(network, "image", images)]

    def _batches(self, load: Load, ctx: Context) -> Iterator[tuple[Tensor, ...]]:
        done = 0
        for key in self.features:
            shard = load(key).tensors["features"]
            for start in range(0, len(shard), ctx.batch_size):
                yield (shard[start : start + ctx.batch_size].to(ctx.device),)
                ctx.progress(min(done + start + ctx.batch_size, done + len(shard)), self.units)
            done += len(shard)
        for rows in ctx.batches(0 if self.features else self.units):
            read = read_texts if self.modality == "text" else read_images
            yield (read(self.dataset, self.split, rows, ctx.device),)


@dataclass(frozen=True)
class EncodeQueries(_EncodeStage):
    """Encodes queries, either clean or from the stored images of attacked or purified shards.

    Attributes:
        shards: for each purified copy, the keys of the shards to encode; empty for clean queries.
        vote: the rule that combines the codes of several copies.
    """

    queries: Queries
    shards: ShardsPerCopy = ()
    vote: Vote = "mean"

    @property
    def vote_rule(self) -> Vote:
        return self.vote

    def recipe(self) -> dict[str, Json]:
        images: dict[str, Json] = {"draws": [list(copy) for copy in self.shards]}
        if len(self.shards) > 1:
            images["vote"] = self.vote
        return {"dataset": self.queries.fingerprint, "queries": self.queries.key, **images, **self._common_recipe()}

    @property
    def label(self) -> str:
        return f"{self.queries} by {self.victim.hasher.name}"

    @property
    def units(self) -> int:
        return len(self.queries) * max(1, len(self.shards))

    def _batches(self, load: Load, ctx: Context) -> Iterator[tuple[Tensor, ...]]:
        for copies in zip(*self.shards, strict=True):
            images = [load(shard).tensors["images"] for shard in copies]
            for rows in ctx.batches(len(images[0])):
                yield tuple(copy[rows.start : rows.stop].to(ctx.device) for copy in images)
        for rows in ctx.batches(0 if self.shards else len(self.queries)):
            read = self.queries.texts if self.modality == "text" else self.queries.images
            yield (read(rows, ctx.device),)
