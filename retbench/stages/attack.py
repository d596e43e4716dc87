"""fit_attack and attack: what an attacker learns, and the queries it perturbs; the core checks and measures them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from retbench.canon import Json
from retbench.contracts import (
    Attack,
    AttackPart,
    Batch,
    Component,
    Context,
    Facts,
    HashNetwork,
    Knowledge,
    Noise,
    Purifier,
    TrainingData,
)
from retbench.contracts.attack import Need
from retbench.contracts.context import Precision
from retbench.metrics import unpack
from retbench.stages.check import checked_images, eight_bits, inside_ball
from retbench.stages.fit import checked_state
from retbench.stages.measure import concatenated, measured
from retbench.stages.queries import Queries
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import States, Victim, frozen


@dataclass(frozen=True)
class AttackContext:
    """What the attacker sees: the attacked hasher, what it was granted, and, if adaptive, the purifiers in front.

    Attributes:
        victim: the hasher whose gradients it has.
        facts: what is known of the cell.
        grants: keys of the encodings it `needs`, by need.
        purifiers: the purifiers it looks through, in order; empty for an oblivious attacker.
    """

    victim: Victim
    facts: Facts
    grants: Mapping[Need, str]
    purifiers: tuple[tuple[Purifier, States], ...] = ()

    def recipe(self) -> dict[str, Json]:
        """Return the keys and specs of everything it sees."""
        seen: dict[str, Json] = {"weights": self.victim.weights, "grants": dict(sorted(self.grants.items()))}
        if self.purifiers:
            seen["purifiers"] = [{"defense": p.spec(self.facts), "states": s.recipe()} for p, s in self.purifiers]
        return seen


@dataclass(frozen=True)
class _Attacking(Stage):
    """What learning and perturbing share: an attack, its states, its context, a seed."""

    attack: Attack | AttackPart
    context: AttackContext
    states: States
    queries: Queries
    seed: int
    precision: Precision

    def recipe(self) -> dict[str, Json]:
        return {
            "attack": self.attack.spec(self.context.facts),
            "states": self.states.recipe(),
            "context": self.context.recipe(),
            "dataset": self.queries.fingerprint,
            "bits": self.context.facts.bits,
            "seed": self.seed,
            "precision": self.precision,
        }

    @property
    def runs_in(self) -> Precision:
        return self.precision

    @property
    def work(self) -> str:
        return f"{self.attack.name}{' through ' + self.context.purifiers[0][0].name if self.context.purifiers else ''}"

    @property
    def label(self) -> str:
        return f"{self.work} on {self.context.victim.hasher.name}, {self.queries}"

    @property
    def culprit(self) -> Component:
        return self.attack

    def _knowledge(self, load: Load, ctx: Context) -> Knowledge:
        """Return what the attack declared that it needs, of the hasher it attacks, and no more."""
        dataset = self.queries.dataset
        grants: dict[Need, Tensor] = {}
        for need in self.attack.needs - {"training", "target_texts"}:
            if need == "database_labels":
                grants[need] = dataset.labels("database").to(ctx.device)
            else:
                packed = load(self.context.grants[need]).tensors["codes"]
                grants[need] = unpack(packed, self.context.facts.bits).to(ctx.device)
        return Knowledge(
            network=self.context.victim.network(load, ctx.device),
            facts=self.context.facts,
            data=TrainingData(dataset, self.context.facts, ctx.device) if "training" in self.attack.needs else None,
            grants=grants,
        )


@dataclass(frozen=True)
class FitAttack(_Attacking):
    """Trains what an attack learns before it sees a query."""

    name: ClassVar[str] = "fit_attack"

    @property
    def label(self) -> str:
        return f"{self.work} on {self.context.victim.hasher.name}, {self.context.facts.dataset}"

    def noise(self, device: torch.device) -> Noise:
        return Noise(self.seed, (self.attack.name,), device)

    def run(self, load: Load, ctx: Context) -> Outcome:
        ctx = replace(ctx, parts=self.states.load_parts(load, ctx.device))
        return Outcome(checked_state(self.attack.fit(self._knowledge(load, ctx), ctx), self.attack), {})


@dataclass(frozen=True)
class FitAttackPart(FitAttack):
    """Trains a part of an attack, in the same way."""

    name: ClassVar[str] = "fit_part"
    attack: AttackPart


@dataclass(frozen=True)
class Perturb(_Attacking):
    """Perturbs one shard of queries.

    Computed in float32 whatever the run's precision: the published attacks are, and their last bits flip signs.
    """

    name: ClassVar[str] = "attack"
    revision: ClassVar[int] = 3
    attack: Attack
    targets: str
    quantize: bool

    def recipe(self) -> dict[str, Json]:
        extra: dict[str, Json] = {"targets": self.targets, "queries": self.queries.key, "quantize": self.quantize}
        return {**super().recipe(), **extra}

    @property
    def units(self) -> int:
        return len(self.queries)

    def noise(self, device: torch.device) -> Noise:
        # A stream of the attacker's own: a plugin that draws under a purifier's purpose must not get its numbers.
        return Noise(self.seed, self.queries.ids, device).of("attacker")

    def run(self, load: Load, ctx: Context) -> Outcome:
        knowledge = self._knowledge(load, ctx)
        module = frozen(self.attack, self.states, load, ctx.device)
        purifiers = [
            (purifier, frozen(purifier, states, load, ctx.device)) for purifier, states in self.context.purifiers
        ]
        batches = []
        for batch, noise in self._batches(load, ctx):
            seen = replace(knowledge, network=Guarded(knowledge.network, purifiers, noise)) if purifiers else knowledge
            images = checked_images(self.attack.perturb(seen, batch, module, noise), batch.images, self.attack)
            images = inside_ball(images, batch.images, self.attack.ball, self.attack)
            images = eight_bits(images, batch.images) if self.quantize else images
            batches.append({"images": images.cpu(), **measured(images, batch.images)})
        tensors = concatenated(batches, (3, *self.context.facts.image_size))
        return Outcome(tensors, {"largest_linf": float(tensors["linf"].max()) if batches else 0.0})

    def _batches(self, load: Load, ctx: Context) -> Iterator[tuple[Batch, Noise]]:
        targets = load(self.targets).tensors
        rows, labels = list(self.queries.rows), self.queries.labels().to(ctx.device)
        target_labels, target_rows = (targets[name][rows].to(ctx.device) for name in ("labels", "rows"))
        for at in ctx.batches(len(self.queries)):
            part = slice(at.start, at.stop)
            images = self.queries.images(at, ctx.device)
            batch = Batch(self.queries.ids[part], images, labels[part], target_labels[part], target_rows[part])
            yield self._with_texts(batch, ctx.device), ctx.noise.rows(at.start, at.stop)

    def _with_texts(self, batch: Batch, device: torch.device) -> Batch:
        """Return a batch with the texts of its target rows, if the attack needs them."""
        if "target_texts" not in self.attack.needs:
            return batch
        texts = self.queries.dataset.texts("database", batch.target_rows.tolist())
        return batch._replace(target_texts=texts.to(device))


class Guarded(HashNetwork):
    """The pipeline an adaptive attacker differentiates: purifiers, with fresh noise at every call, then the hasher."""

    def __init__(self, inner: HashNetwork, purifiers: list[tuple[Purifier, nn.Module]], noise: Noise) -> None:
        super().__init__()
        self.inner, self.purifiers, self.noise, self.calls = inner, purifiers, noise.of("purifier"), 0

    def image(self, images: Tensor) -> Tensor:
        self.calls += 1
        for position, (purifier, module) in enumerate(self.purifiers):
            images = purifier.purify(images, module, self.noise.copy(self.calls).link(position))
        return self.inner.image(images)
