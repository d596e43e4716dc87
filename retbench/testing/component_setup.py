"""Fit components and prepare their inputs as the core does, for the contract checks."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from retbench.contracts import (
    Access,
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
)
from retbench.contracts.attack import Need
from retbench.contracts.tensors import read_images, read_labels, read_texts
from retbench.errors import ContractBreach
from retbench.plan import CODE_SPLITS
from retbench.stages.attack import list_knowledge
from retbench.stages.attacked_network import make_fitting_network
from retbench.stages.check import check_outputs, check_state
from retbench.stages.fit import list_fit_inputs
from retbench.stages.isolation import isolate
from retbench.stages.states import build_module, build_network
from retbench.testing.toys import ToyHasher

CPU = torch.device("cpu")
TOLERANCE = 1e-4
"""Largest difference of pixels and logits between batches, where float32 sums have another order."""


def require(component: Component, condition: bool, problem: str) -> None:
    """Raise ContractBreach for the component unless the condition is true."""
    if not condition:
        raise ContractBreach(str(component), problem)


def require_close(component: Component, got: Tensor, expected: Tensor, problem: str) -> None:
    """Raise ContractBreach unless two tensors agree within `TOLERANCE`."""
    difference = float((got - expected).detach().abs().max()) if got.numel() else 0.0
    require(
        component,
        difference <= TOLERANCE,
        f"{problem}: got a difference of {difference:.3g}, expected at most {TOLERANCE:g}",
    )


def require_gradient(component: Component, output: Tensor, pixels: Tensor, problem: str) -> None:
    """Raise ContractBreach unless a gradient of `output` reaches `pixels`."""
    gradient = torch.autograd.grad(output.sum(), pixels, allow_unused=True)[0] if output.requires_grad else None
    require(component, gradient is not None and bool(gradient.abs().sum() > 0), problem)


def make_context(name: str, parts: dict[str, State]) -> Context:
    """Return the context of a fit on the CPU in float32."""
    return Context(CPU, "float32", Noise(0, (name,)), parts)


def fit_parts(owner: Component, dataset: Dataset, facts: Facts | None = None) -> dict[str, State]:
    """Return the fitted parts of a component by role, after checking that their modules are frozen and in eval mode.

    Args:
        owner: the component.
        dataset: the dataset to fit on.
        facts: the facts of the cell, for parts of an attack; by default those of the dataset.
    """
    facts = facts or dataset.facts()
    access = owner.access if isinstance(owner, Attack) else "gradient"
    return {role: fit_part(part, dataset, facts, access) for role, part in owner.parts(facts).items()}


def fit_part(part: Part | AttackPart, dataset: Dataset, facts: Facts, access: Access = "gradient") -> State:
    """Return the state of a fitted part, after checking that its module is frozen and in eval mode.

    Args:
        part: the part.
        dataset: the dataset to fit on.
        facts: the facts of the cell.
        access: the access of the attack that owns the part.
    """
    ctx = make_context(part.name, {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if isinstance(part, AttackPart):
            knowledge = make_knowledge(part, dataset, facts)
            with isolate(part, list_knowledge(knowledge), dataset.ids("query")):
                state = part.fit(close_network(part, access, knowledge), ctx)
        else:
            with isolate(part, list_fit_inputs(ctx), dataset.ids("query")):
                state = part.fit(TrainingData(dataset, dataset.facts(), CPU), ctx)
    check_module(part, build_module(part, check_state(state, part), CPU, dataset.ids("query")))
    return state


def check_module(owner: Component, module: nn.Module) -> nn.Module:
    """Return the module of a component, after checking that it is frozen and in eval mode."""
    require(owner, not any(child.training for child in module.modules()), "its module must be in eval mode")
    require(owner, not any(weight.requires_grad for weight in module.parameters()), "its module must be frozen")
    return module


def merge_states(own: State, parts: dict[str, State]) -> State:
    """Return a component's own state, with the states of its parts under `<role>/<name>`."""
    prefixed = {f"{role}/{name}": tensor for role, state in parts.items() for name, tensor in state.items()}
    return {**own, **prefixed}


def fit_hasher(hasher: Hasher, dataset: Dataset, facts: Facts) -> State:
    """Return the state of a trained hasher."""
    parts = fit_parts(hasher, dataset)
    data = TrainingData(dataset, facts, CPU, compute_features(hasher, dataset, parts))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ctx = make_context(hasher.name, parts)
        with isolate(hasher, list_fit_inputs(ctx, data.shards), dataset.ids("query")):
            state = hasher.fit(data, ctx)
        return check_state(state, hasher)


def compute_features(hasher: Hasher, dataset: Dataset, parts: dict[str, State]) -> tuple[Tensor, ...]:
    """Return the training split's features by the cached part of a hasher, as one shard; empty without such a part.

    Args:
        hasher: the hasher.
        dataset: the dataset.
        parts: the states of the hasher's parts, by role.
    """
    if hasher.cached is None:
        return ()
    part = hasher.parts(dataset.facts())[hasher.cached]
    module = build_module(part, parts[hasher.cached], CPU)
    images = read_images(dataset, "train", range(dataset.facts().sizes["train"]), CPU)
    with isolate(part, {"its own networks": module, "the images": images}), torch.inference_mode():
        features = module(images)
    return (check_outputs(features, part, "features", (len(images), None), CPU),)


def make_frozen_network(hasher: Hasher, state: State) -> HashNetwork:
    """Return a trained hasher's network, frozen and in eval mode."""
    return build_network(hasher, state, CPU)


def make_batch(dataset: Dataset, count: int) -> Batch:
    """Return the first queries of a dataset, with the first database rows as targets."""
    rows = torch.arange(count)
    images = read_images(dataset, "query", range(count), CPU)
    targets = read_labels(dataset, "database")[rows], rows
    texts = read_texts(dataset, "database", range(count), CPU) if dataset.facts().text_width else None
    return Batch(tuple(dataset.ids("query")[:count]), images, read_labels(dataset, "query")[:count], *targets, texts)


def slice_batch(batch: Batch, start: int, stop: int) -> Batch:
    """Return the queries of a batch from position `start` to before `stop`."""
    rows = slice(start, stop)
    texts = None if batch.target_texts is None else batch.target_texts[rows]
    targets = batch.target_labels[rows], batch.target_rows[rows], texts
    return Batch(batch.ids[rows], batch.images[rows], batch.labels[rows], *targets)


def close_network(component: Component, access: Access, knowledge: Knowledge) -> Knowledge:
    """Return the knowledge that an attack, or a part of one, has in its fit: black-box access closes the network."""
    return replace(knowledge, network=make_fitting_network(component, access, knowledge.network))


def make_knowledge(attack: Attack | AttackPart, dataset: Dataset, facts: Facts) -> Knowledge:
    """Return the knowledge that an attack, or a part of one, needs about a toy hasher trained on the dataset."""
    hasher = ToyHasher()
    network = make_frozen_network(hasher, fit_hasher(hasher, dataset, facts))
    grants: dict[Need, Tensor] = {}
    for need, split in CODE_SPLITS.items():
        rows = range(facts.sizes[split])
        if need in attack.needs:
            grants[need] = sign(network.image(read_images(dataset, split, rows, CPU)))
    if "database_labels" in attack.needs:
        grants["database_labels"] = read_labels(dataset, "database")
    data = TrainingData(dataset, facts, CPU) if "training" in attack.needs else None
    return Knowledge(network, facts, data, grants)
