"""encode: from images or texts to packed binary codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Component, Context, HashNetwork, relax, sign, unit_images
from retbench.contracts.context import Precision
from retbench.contracts.dataset import Dataset, identify_dataset
from retbench.contracts.defense import Vote
from retbench.contracts.facts import Split
from retbench.contracts.hasher import Modality
from retbench.metrics import pack
from retbench.stages.check import breach
from retbench.stages.queries import Draws, Queries
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import Victim


@dataclass(frozen=True)
class _Encode(Stage):
    """What both encodings share: a trained hasher, a code length, a modality, a precision."""

    name: ClassVar[str] = "encode"
    victim: Victim
    bits: int
    modality: Modality
    precision: Precision

    @property
    def voting(self) -> Vote:
        """How the codes of several copies become one."""
        return "mean"

    @property
    def encoder(self) -> str:
        """The method of the network that turns inputs into logits."""
        return self.modality

    @property
    def runs_in(self) -> Precision:
        return self.precision

    @property
    def work(self) -> str:
        return self.victim.hasher.name

    @property
    def culprit(self) -> Component:
        return self.victim.hasher

    def _basis(self) -> dict[str, Json]:
        return {"weights": self.victim.weights, "modality": self.modality, "precision": self.precision}

    def _batches(self, load: Load, ctx: Context) -> Iterator[tuple[Tensor, ...]]:
        """Yield inputs in batches, each as often as it was purified."""
        raise LookupError(f"{type(self).__name__}: it has no input")

    def run(self, load: Load, ctx: Context) -> Outcome:
        network = self.victim.network(load, ctx.device)
        codes, agreement = [], 1.0
        with torch.inference_mode():
            for copies in self._batches(load, ctx):
                codes.append(self._vote([self._logits(network, batch, ctx) for batch in copies]))
                if len(codes) == 1 and self.precision != "float32":
                    exact = self._vote([batch.float() for batch in self._exact(network, copies, ctx)])
                    agreement = float((exact == codes[0]).float().mean())
        packed = pack(torch.cat(codes).cpu()) if codes else torch.zeros(0, (self.bits + 7) // 8, dtype=torch.uint8)
        distinct = len(torch.unique(packed, dim=0))
        return Outcome({"codes": packed}, {"distinct": distinct, "float32_agreement": agreement})

    def _exact(self, network: HashNetwork, copies: tuple[Tensor, ...], ctx: Context) -> tuple[Tensor, ...]:
        """Return the logits of the first batch in float32, to compare with."""
        return tuple(getattr(network, self.modality)(batch) for batch in copies)

    def _vote(self, logits: list[Tensor]) -> Tensor:
        """Return the code of several copies of each item, from their logits (B, K); a tie of bits becomes +1."""
        votes = [relax(each) if self.voting == "mean" else sign(each).float() for each in logits]
        return sign(torch.stack(votes).mean(dim=0))

    def _logits(self, network: HashNetwork, batch: Tensor, ctx: Context) -> Tensor:
        with ctx.autocast():
            logits: Tensor = getattr(network, self.encoder)(batch)
        if logits.shape != (len(batch), self.bits):
            got, expected = tuple(logits.shape), (len(batch), self.bits)
            raise breach(self.victim.hasher, f"wrong shape of logits: got {got}, expected {expected}")
        if not torch.isfinite(logits).all():
            raise breach(self.victim.hasher, "NaN or infinity in the logits")
        return logits.float()


@dataclass(frozen=True)
class EncodeSplit(_Encode):
    """Encodes a whole split, clean: the database, or the training items an attack asks for.

    Attributes:
        features: keys of the split's stored features, where the hasher works from some; else images are read.
    """

    dataset: Dataset
    split: Split
    features: tuple[str, ...] = ()

    def recipe(self) -> dict[str, Json]:
        stored: dict[str, Json] = {"features": list(self.features)} if self.features else {}
        return {"dataset": identify_dataset(self.dataset), "split": self.split, **stored, **self._basis()}

    @property
    def encoder(self) -> str:
        return "from_features" if self.features else super().encoder

    @property
    def label(self) -> str:
        return f"{self.split} of {self.dataset.name} by {self.victim.hasher.name}"

    @property
    def units(self) -> int:
        return self.dataset.facts().sizes[self.split]

    def _exact(self, network: HashNetwork, copies: tuple[Tensor, ...], ctx: Context) -> tuple[Tensor, ...]:
        if not self.features:
            return super()._exact(network, copies, ctx)
        # Stored features have the run's precision: what they are compared with starts from the images.
        images = self.dataset.images(self.split, range(len(copies[0])))
        return (network.image(unit_images(images, ctx.device)),)

    def _batches(self, load: Load, ctx: Context) -> Iterator[tuple[Tensor, ...]]:
        done = 0
        for key in self.features:
            shard = load(key).tensors["features"]
            for start in range(0, len(shard), ctx.batch_size):
                yield (shard[start : start + ctx.batch_size].to(ctx.device),)
                ctx.progress(min(done + start + ctx.batch_size, done + len(shard)), self.units)
            done += len(shard)
        for rows in ctx.batches(0 if self.features else self.units):
            if self.modality == "text":
                yield (self.dataset.texts(self.split, rows).to(ctx.device),)
            else:
                yield (unit_images(self.dataset.images(self.split, rows), ctx.device),)


@dataclass(frozen=True)
class EncodeQueries(_Encode):
    """Encodes queries: clean, or as the saved images of the shards that attacked or purified them.

    Attributes:
        draws: keys of the shards, for each of the copies that were purified; empty for clean queries.
        vote: how the codes of several copies become one.
    """

    queries: Queries
    draws: Draws = ()
    vote: Vote = "mean"

    @property
    def voting(self) -> Vote:
        return self.vote

    def recipe(self) -> dict[str, Json]:
        images: dict[str, Json] = {"draws": [list(shards) for shards in self.draws]}
        if len(self.draws) > 1:
            images["vote"] = self.vote
        return {"dataset": self.queries.fingerprint, "queries": self.queries.key, **images, **self._basis()}

    @property
    def label(self) -> str:
        return f"{self.queries} by {self.victim.hasher.name}"

    @property
    def units(self) -> int:
        return len(self.queries) * max(1, len(self.draws))

    def _batches(self, load: Load, ctx: Context) -> Iterator[tuple[Tensor, ...]]:
        for copies in zip(*self.draws, strict=True):
            images = [load(shard).tensors["images"] for shard in copies]
            for rows in ctx.batches(len(images[0])):
                yield tuple(copy[rows.start : rows.stop].to(ctx.device) for copy in images)
        for rows in ctx.batches(0 if self.draws else len(self.queries)):
            read = self.queries.texts if self.modality == "text" else self.queries.images
            yield (read(rows, ctx.device),)
