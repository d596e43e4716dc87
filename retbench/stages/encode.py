"""encode: from images or texts to packed binary codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Component, Context, HashNetwork, sign, unit_images
from retbench.contracts.context import Precision
from retbench.contracts.dataset import Dataset
from retbench.contracts.facts import Split
from retbench.contracts.hasher import Modality
from retbench.metrics import pack
from retbench.stages.check import breach
from retbench.stages.queries import Queries
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
    def work(self) -> str:
        return self.victim.hasher.name

    @property
    def culprit(self) -> Component:
        return self.victim.hasher

    def _basis(self) -> dict[str, Json]:
        return {"weights": self.victim.weights, "modality": self.modality, "precision": self.precision}

    def _batches(self, load: Load, ctx: Context) -> Iterator[Tensor]:
        raise LookupError(f"{type(self).__name__}: it has no input")

    def run(self, load: Load, ctx: Context) -> Outcome:
        network = self.victim.network(load, ctx.device)
        codes, agreement = [], 1.0
        with torch.inference_mode():
            for batch in self._batches(load, ctx):
                codes.append(self._codes(network, batch, ctx))
                if len(codes) == 1 and self.precision != "float32":
                    exact = sign(getattr(network, self.modality)(batch).float())
                    agreement = float((exact == codes[0]).float().mean())
        packed = pack(torch.cat(codes).cpu()) if codes else torch.zeros(0, (self.bits + 7) // 8, dtype=torch.uint8)
        distinct = len(torch.unique(packed, dim=0))
        return Outcome({"codes": packed}, {"distinct": distinct, "float32_agreement": agreement})

    def _codes(self, network: HashNetwork, batch: Tensor, ctx: Context) -> Tensor:
        with ctx.autocast():
            logits: Tensor = getattr(network, self.modality)(batch)
        if logits.shape != (len(batch), self.bits):
            got, expected = tuple(logits.shape), (len(batch), self.bits)
            raise breach(self.victim.hasher, f"wrong shape of logits: got {got}, expected {expected}")
        if not torch.isfinite(logits).all():
            raise breach(self.victim.hasher, "NaN or infinity in the logits")
        return sign(logits.float())


@dataclass(frozen=True)
class EncodeSplit(_Encode):
    """Encodes a whole split, clean: the database, or the training items an attack asks for."""

    dataset: Dataset
    split: Split

    def recipe(self) -> dict[str, Json]:
        return {"dataset": self.dataset.fingerprint(), "split": self.split, **self._basis()}

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.victim.weights,)

    @property
    def label(self) -> str:
        return f"{self.split} of {self.dataset.name} by {self.victim.hasher.name}"

    @property
    def units(self) -> int:
        return self.dataset.facts().sizes[self.split]

    def _batches(self, load: Load, ctx: Context) -> Iterator[Tensor]:
        for rows in ctx.batches(self.units):
            if self.modality == "text":
                yield self.dataset.texts(self.split, rows).to(ctx.device)
            else:
                yield unit_images(self.dataset.images(self.split, rows), ctx.device)


@dataclass(frozen=True)
class EncodeQueries(_Encode):
    """Encodes queries: clean, or as the saved images of the shards that attacked or purified them."""

    queries: Queries
    shards: tuple[str, ...] = ()

    def recipe(self) -> dict[str, Json]:
        dataset = self.queries.fingerprint
        return {"dataset": dataset, "queries": self.queries.key, "shards": list(self.shards), **self._basis()}

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.victim.weights, *self.shards)

    @property
    def label(self) -> str:
        return f"{self.queries} by {self.victim.hasher.name}"

    @property
    def units(self) -> int:
        return len(self.queries)

    def _batches(self, load: Load, ctx: Context) -> Iterator[Tensor]:
        for shard in self.shards:
            images = load(shard).tensors["images"]
            for rows in ctx.batches(len(images)):
                yield images[rows.start : rows.stop].to(ctx.device)
        for rows in ctx.batches(0 if self.shards else len(self.queries)):
            read = self.queries.texts if self.modality == "text" else self.queries.images
            yield read(rows, ctx.device)
