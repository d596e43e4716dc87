"""Toy components of every kind, which run in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench.contracts import (
    Attack,
    AttackPart,
    Ball,
    Batch,
    BlackBoxAttack,
    Component,
    Context,
    Dataset,
    Facts,
    Hardening,
    Hasher,
    HashNetwork,
    Knowledge,
    Noise,
    Part,
    Purifier,
    State,
    TrainingData,
    part_state,
    relax,
)
from retbench.contracts.attack import Need
from retbench.contracts.facts import Split
from retbench.contracts.hasher import Modality
from retbench.contracts.threat import BlackBoxAccess, Goal


class ToyDataset(Dataset):
    """Images of a flat color with noise; one or two of three classes, which the text names too."""

    name: ClassVar[str] = "toy"
    source: ClassVar[str] = "made for tests"

    queries: int = Field(10, ge=0, description="size of the query split")
    database: int = Field(40, ge=1, description="size of the database; its first half is the training split")
    side: int = Field(12, ge=8, description="height and width in pixels")

    def facts(self) -> Facts:
        sizes: dict[Split, int] = {"train": self.database // 2, "query": self.queries, "database": self.database}
        return Facts(self.name, (self.side, self.side), ("red", "green", "blue"), sizes, text_width=3)

    def ids(self, split: Split) -> Sequence[str]:
        prefix = "query" if split == "query" else "item"
        return [f"toy-{prefix}-{row}" for row in range(self.facts().sizes[split])]

    def labels(self, split: Split) -> Tensor:
        labels = torch.zeros(self.facts().sizes[split], 3, dtype=torch.uint8)
        rows = torch.arange(len(labels))
        labels[rows, rows % 3] = 1
        labels[rows[rows % 5 == 0], (rows[rows % 5 == 0] + 1) % 3] = 1
        return labels

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        rows = list(rows)
        colors = self.labels(split)[rows].float() * 150 + 40
        noise = Noise(0, tuple(self.ids(split)[row] for row in rows)).uniform("toy", (3, self.side, self.side)) * 50
        return (colors[:, :, None, None] + noise).to(torch.uint8)

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        return self.labels(split)[list(rows)].float()


class ToyPart(Part):
    """Learns the mean color of the training images."""

    name: ClassVar[str] = "toy-mean"
    source: ClassVar[str] = "made for tests"

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        return {"mean": inputs.images(range(len(inputs))).mean(dim=(0, 2, 3))}

    def module(self, state: State, device: torch.device) -> nn.Module:
        module = nn.Linear(3, 1, bias=False, device=device).requires_grad_(False)
        module.weight.copy_(state["mean"][None])
        return module.eval()


class ToyNetwork(HashNetwork):
    """A random projection of the mean color, centered at the mean of the training images."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.weight = nn.Parameter(state["weight"].clone())
        self.mean = nn.Parameter(state["mean"].clone())

    def image(self, images: Tensor) -> Tensor:
        return (images.mean(dim=(2, 3)) - self.mean) @ self.weight.T

    def text(self, texts: Tensor) -> Tensor:
        return (texts - texts.mean(dim=1, keepdim=True)) @ self.weight.T


class ToyHasher(Hasher):
    """Projects the mean color of an image at random; learns only the mean of the training images."""

    name: ClassVar[str] = "toy"
    source: ClassVar[str] = "made for tests"
    modalities: ClassVar[frozenset[Modality]] = frozenset({"image", "text"})
    supervised: ClassVar[bool] = True

    gain: float = Field(8.0, gt=0, le=100, description="scale of the logits")

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"mean": ToyPart()}

    def fit(self, data: TrainingData, ctx: Context) -> State:
        weight = torch.randn(data.facts.bits, 3, generator=ctx.noise.generator("weight")).to(ctx.device)
        return {"weight": self.gain * weight, "mean": ctx.parts["mean"]["mean"]}

    def network(self, state: State, device: torch.device) -> ToyNetwork:
        return ToyNetwork(state).to(device)

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        similar = (labels[rows].float() @ labels.float().T > 0).float()
        return ((outputs @ memory.T / outputs.shape[1] - (2 * similar - 1)) ** 2).mean()


class ToyBackbone(Part):
    """Maps an image to its mean color; learns nothing."""

    name: ClassVar[str] = "toy-backbone"
    source: ClassVar[str] = "made for tests"

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        return {}

    def module(self, state: State, device: torch.device) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


class ToyCached(ToyHasher):
    """Projects the mean color, computed by a part whose features the core stores."""

    name: ClassVar[str] = "toy-cached"
    cached: ClassVar[str | None] = "backbone"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"backbone": ToyBackbone()}

    def fit(self, data: TrainingData, ctx: Context) -> State:
        weight = torch.randn(data.facts.bits, 3, generator=ctx.noise.generator("weight")).to(ctx.device)
        return {"weight": self.gain * weight, "mean": data.features(range(len(data))).mean(dim=0)}

    def network(self, state: State, device: torch.device) -> ToyNetwork:
        return ToyCachedNetwork(state).to(device)


class ToyCachedNetwork(ToyNetwork):
    """The network of `ToyHasher`, which also accepts mean colors as features."""

    def from_features(self, features: Tensor) -> Tensor:
        return (features - self.mean) @ self.weight.T


class ToyAttack(Attack):
    """Takes one signed gradient step towards the code of the target row."""

    name: ClassVar[str] = "toy"
    source: ClassVar[str] = "made for tests"
    needs: ClassVar[frozenset[Need]] = frozenset({"database_codes"})

    eps: float = Field(0.2, gt=0, le=1, description="radius of the L-infinity ball, images in [0, 1]")

    @property
    def ball(self) -> Ball:
        return Ball("linf", self.eps)

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        images = batch.images.detach().clone().requires_grad_()
        target_codes = knowledge.grant("database_codes")[batch.target_rows].float()
        loss = -(relax(knowledge.network.image(images), 0.1) * target_codes).mean(1).sum()
        (gradient,) = torch.autograd.grad(loss, images)
        return (batch.images - self.eps * gradient.sign()).clamp(0, 1)


class ToyScoreAttack(BlackBoxAttack):
    """Searches at random for the shift of the mean color that brings the relaxed code closest to the target's code."""

    name: ClassVar[str] = "toy-score"
    source: ClassVar[str] = "made for tests"
    needs: ClassVar[frozenset[Need]] = frozenset({"database_codes"})
    access: ClassVar[BlackBoxAccess] = "score"

    eps: float = Field(0.2, gt=0, le=1, description="radius of the L-infinity ball, images in [0, 1]")
    query_budget: int = Field(20, ge=1, description="candidates that are tried for each query image")

    @property
    def ball(self) -> Ball:
        return Ball("linf", self.eps)

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        target_codes = knowledge.grant("database_codes")[batch.target_rows].float()
        best, lowest = batch.images.clone(), torch.full((len(batch.ids),), torch.inf, device=batch.images.device)
        for step in range(self.query_budget):
            candidates = shift_colors(batch.images, self.eps, noise, step)
            losses = -(knowledge.network.image(candidates) * target_codes).mean(1)
            best[losses < lowest] = candidates[losses < lowest]
            lowest = torch.minimum(losses, lowest)
        return best


class ToyDecisionAttack(ToyScoreAttack):
    """Searches at random for a shift of the mean color that gives the target's code; stops at a query that has it."""

    name: ClassVar[str] = "toy-decision"
    access: ClassVar[BlackBoxAccess] = "decision"

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        target_codes = knowledge.grant("database_codes")[batch.target_rows].float()
        best, nearest = batch.images.clone(), torch.full((len(batch.ids),), torch.inf, device=batch.images.device)
        for step in range(self.query_budget):
            rows = (nearest > 0).nonzero()[:, 0]
            candidates = shift_colors(batch.images, self.eps, noise, step)[rows]
            distances = (knowledge.queried.query(candidates, rows) != target_codes[rows]).sum(1).float()
            closer = distances < nearest[rows]
            best[rows[closer]], nearest[rows[closer]] = candidates[closer], distances[closer]
        return best


def shift_colors(images: Tensor, eps: float, noise: Noise, step: int) -> Tensor:
    """Return images with each channel shifted by a random number in [-eps, eps]."""
    shift = (2 * noise.uniform("shift", (3,), step) - 1) * eps
    return (images + shift[:, :, None, None]).clamp(0, 1)


class ToyPrototype(AttackPart):
    """Learns the mean training code of the attacked hasher."""

    name: ClassVar[str] = "toy-prototype"
    source: ClassVar[str] = "made for tests"
    needs: ClassVar[frozenset[Need]] = frozenset({"training_codes"})

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        return {"code": knowledge.grant("training_codes").float().mean(dim=0)}

    def module(self, state: State, device: torch.device) -> nn.Module:
        module = nn.Linear(1, len(state["code"]), bias=False, device=device).requires_grad_(False)
        module.weight.copy_(state["code"][:, None])
        return module.eval()


class ToyUntargeted(ToyAttack):
    """Takes one signed gradient step away from the mean training code, which a part learns."""

    name: ClassVar[str] = "toy-untargeted"

    @property
    def goal(self) -> Goal:
        return "untargeted"

    def parts(self, facts: Facts) -> dict[str, AttackPart]:
        return {"prototype": ToyPrototype()}

    def module(self, state: State, device: torch.device) -> nn.Module:
        return ToyPrototype().module(part_state(state, "prototype"), device)

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        images = batch.images.detach().clone().requires_grad_()
        code = module(torch.ones(1, device=images.device))
        loss = (relax(knowledge.network.image(images), 0.1) * code).mean(1).sum()
        (gradient,) = torch.autograd.grad(loss, images)
        return (batch.images - self.eps * gradient.sign()).clamp(0, 1)


class ToyPurifier(Purifier):
    """Pulls images towards their mean color and adds a little noise; shares a part with `ToyHasher`."""

    name: ClassVar[str] = "toy"
    source: ClassVar[str] = "made for tests"

    strength: float = Field(0.5, ge=0, le=1, description="weight of the mean color")

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"mean": ToyPart()}

    def module(self, state: State, device: torch.device) -> nn.Module:
        return ToyPart().module(part_state(state, "mean"), device)

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        brightness: Tensor = module(images.mean(dim=(2, 3)))
        flat = images.mean(dim=(2, 3), keepdim=True) + 0.0 * brightness[:, :, None, None]
        jitter = 0.01 * noise.normal("jitter", tuple(images.shape[1:]))
        return (images + self.strength * (flat - images) + jitter).clamp(0, 1)


class ToyHardening(Hardening):
    """Doubles the weights of the hasher's projection."""

    name: ClassVar[str] = "toy-hardening"
    source: ClassVar[str] = "made for tests"

    def fit(self, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> State:
        return {**state, "weight": 2 * state["weight"]}


class FaultyAttack(ToyAttack):
    """Breaks the attack contract; its option selects how."""

    name: ClassVar[str] = "faulty"

    fault: Literal["nan", "shape", "dtype", "range", "ball", "type", "raise"] = Field("nan", description="the fault")

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        images = super().perturb(knowledge, batch, module, noise)
        return apply_fault(images, self.fault)


class FaultyPurifier(ToyPurifier):
    """Breaks the purifier contract; its option selects how."""

    name: ClassVar[str] = "faulty"

    fault: Literal["nan", "shape", "dtype", "range", "type", "raise"] = Field("nan", description="the fault")

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return apply_fault(super().purify(images, module, noise), self.fault)


def apply_fault(images: Tensor, fault: str) -> Tensor:
    """Return the images with a fault, or raise for the fault `raise`."""
    if fault == "nan":
        return images * float("nan")
    if fault == "shape":
        return images[:, :, 1:]
    if fault == "dtype":
        return images.double()
    if fault == "range":
        return images + 0.5
    if fault == "ball":
        return 1.0 - images
    if fault == "type":
        return images.tolist()  # type: ignore[return-value]  # the fault is the type
    raise ZeroDivisionError("a bug in a plugin")


TOYS: tuple[type[Component], ...] = (
    ToyDataset,
    ToyHasher,
    ToyCached,
    ToyAttack,
    ToyUntargeted,
    ToyScoreAttack,
    ToyDecisionAttack,
    ToyPurifier,
    ToyHardening,
    FaultyAttack,
    FaultyPurifier,
)
