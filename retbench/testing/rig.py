"""Runs a component by hand as the core would, for the contract suite."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retbench.contracts import (
    Attack,
    AttackPart,
    Batch,
    Component,
    Context,
    Dataset,
    Facts,
    Hasher,
    HashNetwork,
    Knowledge,
    Noise,
    Part,
    State,
    TrainingData,
    sign,
    unit_images,
)
from retbench.contracts.attack import Need
from retbench.contracts.facts import Split
from retbench.errors import ContractBreach
from retbench.stages.fit import checked_state
from retbench.testing.toys import ToyHasher

CPU = torch.device("cpu")
TOLERANCE = 1e-4
"""How far pixels and logits may be apart when only the batch differs: float32 sums in another order."""

CODES: dict[Need, Split] = {"database_codes": "database", "training_codes": "train"}


def require(component: Component, holds: bool, problem: str) -> None:
    """Raise ContractBreach naming the component unless the condition holds."""
    if not holds:
        raise ContractBreach(str(component), problem)


def require_close(component: Component, got: Tensor, expected: Tensor, problem: str) -> None:
    """Raise ContractBreach unless two tensors agree within `TOLERANCE`."""
    apart = float((got - expected).detach().abs().max()) if got.numel() else 0.0
    require(component, apart <= TOLERANCE, f"{problem}: got {apart:.3g} apart, expected at most {TOLERANCE:g}")


def require_gradient(component: Component, output: Tensor, pixels: Tensor, problem: str) -> None:
    """Raise ContractBreach unless a gradient of `output` reaches `pixels`."""
    found = torch.autograd.grad(output.sum(), pixels, allow_unused=True)[0] if output.requires_grad else None
    require(component, found is not None and bool(found.abs().sum() > 0), problem)


def context(name: str, parts: dict[str, State]) -> Context:
    """Return the context of a fit on a CPU in float32."""
    return Context(CPU, "float32", Noise(0, (name,)), parts)


def fit_parts(owner: Component, dataset: Dataset, facts: Facts | None = None) -> dict[str, State]:
    """Return the fitted parts of a component by role, each checked to give a frozen module in eval mode.

    `facts` are those of the cell, which the parts of an attack see; by default the dataset's.
    """
    facts = facts or dataset.facts()
    return {role: fit_part(part, dataset, facts) for role, part in owner.parts(facts).items()}


def fit_part(part: Part | AttackPart, dataset: Dataset, facts: Facts) -> State:
    """Return the state of a fitted part, after checking that it gives a frozen module in eval mode."""
    ctx = context(part.name, {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if isinstance(part, AttackPart):
            state = part.fit(knowledge(part, dataset, facts), ctx)
        else:
            state = part.fit(TrainingData(dataset, dataset.facts(), CPU), ctx)
    checked_module(part, part.module(checked_state(state, part), CPU))
    return state


def checked_module(owner: Component, module: nn.Module) -> nn.Module:
    """Return the module of a component after checking that it is frozen and in eval mode."""
    require(owner, not any(inner.training for inner in module.modules()), "its module must be in eval mode")
    require(owner, not any(weight.requires_grad for weight in module.parameters()), "its module must be frozen")
    return module


def merged(own: State, parts: dict[str, State]) -> State:
    """Return a component's own state with its parts' under `<role>/<name>`."""
    prefixed = {f"{role}/{name}": tensor for role, state in parts.items() for name, tensor in state.items()}
    return {**own, **prefixed}


def fit_hasher(hasher: Hasher, dataset: Dataset, facts: Facts) -> State:
    """Return the state of a trained hasher."""
    parts = fit_parts(hasher, dataset)
    data = TrainingData(dataset, facts, CPU, features(hasher, dataset, parts))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return checked_state(hasher.fit(data, context(hasher.name, parts)), hasher)


def features(hasher: Hasher, dataset: Dataset, parts: dict[str, State]) -> tuple[Tensor, ...]:
    """Return the features of the training split by a hasher's cached part, in one shard; nothing without such a part.

    `parts` are the states of its fitted parts, by role.
    """
    if hasher.cached is None:
        return ()
    part = hasher.parts(dataset.facts())[hasher.cached]
    rows = range(dataset.facts().sizes["train"])
    with torch.no_grad():
        return (part.module(parts[hasher.cached], CPU)(unit_images(dataset.images("train", rows), CPU)),)


def frozen_network(hasher: Hasher, state: State) -> HashNetwork:
    """Return a trained hasher's network, frozen and in eval mode."""
    return hasher.network(state, CPU).eval().requires_grad_(False)


def queries(dataset: Dataset, count: int) -> Batch:
    """Return the first queries of a dataset, each aimed at a database row."""
    rows = torch.arange(count)
    images = unit_images(dataset.images("query", range(count)), CPU)
    targets = dataset.labels("database")[rows], rows
    texts = dataset.texts("database", range(count)) if dataset.facts().text_width else None
    return Batch(tuple(dataset.ids("query")[:count]), images, dataset.labels("query")[:count], *targets, texts)


def part_of(batch: Batch, start: int, stop: int) -> Batch:
    """Return the queries `start` to `stop` of a batch."""
    rows = slice(start, stop)
    texts = None if batch.target_texts is None else batch.target_texts[rows]
    targets = batch.target_labels[rows], batch.target_rows[rows], texts
    return Batch(batch.ids[rows], batch.images[rows], batch.labels[rows], *targets)


def knowledge(seeing: Attack | AttackPart, dataset: Dataset, facts: Facts) -> Knowledge:
    """Return what an attack, or a part of one, needs of a toy hasher trained on the dataset."""
    hasher = ToyHasher()
    network = frozen_network(hasher, fit_hasher(hasher, dataset, facts))
    grants: dict[Need, Tensor] = {}
    for need, split in CODES.items():
        rows = range(facts.sizes[split])
        if need in seeing.needs:
            grants[need] = sign(network.image(unit_images(dataset.images(split, rows), CPU)))
    if "database_labels" in seeing.needs:
        grants["database_labels"] = dataset.labels("database")
    data = TrainingData(dataset, facts, CPU) if "training" in seeing.needs else None
    return Knowledge(network, facts, data, grants)
