"""fit_attack and attack: train attacks, and perturb queries, which are then checked and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import (
    Access,
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
    QueriedNetwork,
    TrainingData,
)
from retbench.contracts.attack import Need
from retbench.contracts.context import Precision
from retbench.contracts.tensors import read_labels, read_texts
from retbench.metrics import unpack
from retbench.stages.attacked_network import (
    AttackedPipeline,
    WhiteBoxNetwork,
    make_attacked_network,
    make_fitting_network,
)
from retbench.stages.check import check_images, check_state, project_into_ball, quantize_images
from retbench.stages.fit import list_fit_inputs
from retbench.stages.isolation import Input, isolate
from retbench.stages.measure import concatenate_batches, measure_images
from retbench.stages.queries import Queries
from retbench.stages.scoring import GRADIENT, QUERIES_USED
from retbench.stages.stage import Load, Outcome, Stage
from retbench.stages.states import StateKeys, Victim, load_frozen


@dataclass(frozen=True)
class AttackContext:
    """Everything that the attacker knows of the system.

    Attributes:
        victim: the hasher that the attacker differentiates or queries.
        facts: the facts of the cell.
        grants: the keys of the encodings that the attack needs, by need.
        purifiers: the purifiers that an adaptive attacker differentiates or queries, in order; empty for an oblivious
            one.
    """

    victim: Victim
    facts: Facts
    grants: Mapping[Need, str]
    purifiers: tuple[tuple[Purifier, StateKeys], ...] = ()

    def recipe(self) -> dict[str, Json]:
        """Return the context as JSON, with keys of weights and encodings and the specs of purifiers."""
        recipe: dict[str, Json] = {"weights": self.victim.weights, "grants": dict(sorted(self.grants.items()))}
        if self.purifiers:
            recipe["purifiers"] = [{"defense": p.spec(self.facts), "states": s.recipe()} for p, s in self.purifiers]
        return recipe


@dataclass(frozen=True)
class _AttackStage(Stage):
    """The common fields of training and perturbing."""

    attack: Attack | AttackPart
    context: AttackContext
    states: StateKeys
    queries: Queries
    seed: int
    precision: Precision

    @property
    def access(self) -> Access:
        """What the attack gets from the attacked network."""
        return self.attack.access if isinstance(self.attack, Attack) else "gradient"

    def recipe(self) -> dict[str, Json]:
        access: dict[str, Json] = {} if self.access == "gradient" else {"access": self.access}
        return {
            **access,
            "attack": self.attack.spec(self.context.facts),
            "states": self.states.recipe(),
            "context": self.context.recipe(),
            "dataset": self.queries.fingerprint,
            "bits": self.context.facts.bits,
            "seed": self.seed,
            "precision": self.precision,
        }

    @property
    def network_precision(self) -> Precision:
        return self.precision

    @property
    def method(self) -> str:
        return f"{self.attack.name}{' through ' + self.context.purifiers[0][0].name if self.context.purifiers else ''}"

    @property
    def label(self) -> str:
        return f"{self.method} on {self.context.victim.hasher.name}, {self.queries}"

    @property
    def main_component(self) -> Component:
        return self.attack

    def _knowledge(self, load: Load, ctx: Context) -> Knowledge:
        """Return the data that the attack declares in `needs`, and nothing else."""
        dataset = self.queries.dataset
        grants: dict[Need, Tensor] = {}
        for need in self.attack.needs - {"training", "target_texts"}:
            if need == "database_labels":
                grants[need] = read_labels(dataset, "database", ctx.device)
            else:
                packed = load(self.context.grants[need]).tensors["codes"]
                grants[need] = unpack(packed, self.context.facts.bits).to(ctx.device)
        return Knowledge(
            network=self.context.victim.network(load, ctx.device),
            facts=self.context.facts,
            data=TrainingData(dataset, self.context.facts, ctx.device) if "training" in self.attack.needs else None,
            grants=MappingProxyType(grants),
        )


@dataclass(frozen=True)
class FitAttack(_AttackStage):
    """Trains an attack that learns before it perturbs queries."""

    name: ClassVar[str] = "fit_attack"

    @property
    def label(self) -> str:
        return f"{self.method} on {self.context.victim.hasher.name}, {self.context.facts.dataset}"

    def noise(self, device: torch.device) -> Noise:
        return Noise(self.seed, (self.attack.name,), device)

    def run(self, load: Load, ctx: Context) -> Outcome:
        ctx = replace(ctx, parts=self.states.load_parts(load, ctx.device))
        knowledge = self._knowledge(load, ctx)
        queries = self.queries.dataset.ids("query")
        network = make_fitting_network(self.attack, self.access, knowledge.network)
        with isolate(self.attack, {**list_knowledge(knowledge), **list_fit_inputs(ctx)}, queries):
            state = self.attack.fit(replace(knowledge, network=network), ctx)
        return Outcome(check_state(state, self.attack, self.states.parts), {})


@dataclass(frozen=True)
class FitAttackPart(FitAttack):
    """Trains a part of an attack.

    Attributes:
        owner_access: the access of the attack that owns the part.
    """

    name: ClassVar[str] = "fit_part"
    attack: AttackPart
    owner_access: Access = "gradient"

    @property
    def access(self) -> Access:
        return self.owner_access


@dataclass(frozen=True)
class Perturb(_AttackStage):
    """Perturbs one shard of queries.

    It runs in float32 at any precision of the run: published attacks do, and signs of gradients depend on last bits.
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
        # The attacker's own stream, so that an attack cannot reproduce the noise of a purifier.
        return Noise(self.seed, self.queries.ids, device).derive("attacker")

    def run(self, load: Load, ctx: Context) -> Outcome:
        knowledge = self._knowledge(load, ctx)
        ball = self.attack.ball  # read before the attack runs
        every_query = tuple(self.queries.dataset.ids("query"))
        module = load_frozen(self.attack, self.states, load, ctx.device, every_query)
        purifiers = [
            (purifier, load_frozen(purifier, states, load, ctx.device)) for purifier, states in self.context.purifiers
        ]
        modules = {f"the networks of {purifier.name}": module for purifier, module in purifiers}
        pipeline = AttackedPipeline(knowledge.network, purifiers, self.context.victim.hasher)
        batches = []
        with isolate(self.attack, {"its own networks": module, **modules, **list_knowledge(knowledge)}):
            for batch, noise in self._batches(load, ctx):
                network = make_attacked_network(self.attack, pipeline, batch, noise, self.seed)
                clean = batch.images.clone()  # perturbations are measured against images that no plugin has held
                with isolate(self.attack, list_batch(batch), every_query):
                    images = self.attack.perturb(replace(knowledge, network=network), batch, module, noise)
                images = project_into_ball(check_images(images, clean, self.attack), clean, ball, self.attack)
                images = quantize_images(images, clean) if self.quantize else images
                batches.append({"images": images.cpu(), **measure_images(images, clean), **_observe_use(network)})
        outcome = concatenate_batches(batches, (3, *self.context.facts.image_size))
        return Outcome(outcome, {"largest_linf": float(outcome["linf"].max()) if batches else 0.0})

    def _batches(self, load: Load, ctx: Context) -> Iterator[tuple[Batch, Noise]]:
        targets = load(self.targets).tensors
        rows, labels = list(self.queries.rows), self.queries.labels().to(ctx.device)
        target_labels, target_rows = (targets[name][rows].to(ctx.device) for name in ("labels", "rows"))
        for positions in ctx.batches(len(self.queries)):
            at = slice(positions.start, positions.stop)
            images = self.queries.images(positions, ctx.device)
            batch = Batch(self.queries.ids[at], images, labels[at], target_labels[at], target_rows[at])
            yield self._add_texts(batch, ctx.device), ctx.noise.rows(at.start, at.stop)

    def _add_texts(self, batch: Batch, device: torch.device) -> Batch:
        """Return a batch with the texts of its target rows if the attack needs them."""
        if "target_texts" not in self.attack.needs:
            return batch
        rows = batch.target_rows.clamp(min=0).tolist()
        texts = read_texts(self.queries.dataset, "database", rows, device) if any(batch.target_rows >= 0) else None
        if texts is None:
            texts = torch.zeros(len(rows), self.context.facts.text_width, device=device)
        return batch._replace(target_texts=texts * (batch.target_rows >= 0).to(texts)[:, None])


def _observe_use(network: HashNetwork) -> dict[str, Tensor]:
    """Return what an attacked network has observed: the queries used, or whether there were gradients."""
    if isinstance(network, QueriedNetwork):
        return {QUERIES_USED: network.used}
    return {GRADIENT: network.gradients} if isinstance(network, WhiteBoxNetwork) else {}


def list_batch(batch: Batch) -> dict[str, Input]:
    """Return the tensors of a batch, by the names in messages."""
    return {f"batch.{name}": value for name, value in batch._asdict().items() if isinstance(value, Tensor)}


def list_knowledge(knowledge: Knowledge) -> dict[str, Input]:
    """Return the networks and tensors that an attack knows, by the names in messages."""
    grants = {f"knowledge.{need}": tensor for need, tensor in knowledge.grants.items()}
    return {"the weights of the attacked network": knowledge.network, **grants}
