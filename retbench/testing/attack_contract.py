"""The contract checks of attacks."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from retbench.contracts import Attack, Batch, Dataset, Facts, Knowledge, Noise, QueriedNetwork, State
from retbench.stages.attack import list_batch, list_knowledge
from retbench.stages.attacked_network import AttackedPipeline, make_attacked_network
from retbench.stages.check import check_images, check_state, project_into_ball
from retbench.stages.fit import list_fit_inputs
from retbench.stages.isolation import isolate
from retbench.stages.states import build_module
from retbench.testing.component_setup import (
    CPU,
    check_module,
    close_network,
    fit_parts,
    make_batch,
    make_context,
    make_knowledge,
    merge_states,
    require,
    require_close,
    slice_batch,
)

SEED = 0


def check_attack(attack: Attack, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless the attack's images are valid and independent of the batch.

    The attack must also leave everything unchanged that it is given.
    """
    knowledge = make_knowledge(attack, dataset, facts)
    parts = fit_parts(attack, dataset, facts)
    own = fit_attack(attack, knowledge, parts, dataset) if attack.learns else {}
    module = check_module(attack, build_module(attack, merge_states(own, parts), CPU, dataset.ids("query")))
    batch = make_batch(dataset, 3)
    noise = Noise(SEED, batch.ids)
    result = perturb(attack, knowledge, batch, module, noise)
    repeated = perturb(attack, knowledge, batch, module, noise)
    require_close(attack, repeated.images, result.images, "the same noise must give the same images")
    single = [perturb(attack, knowledge, slice_batch(batch, i, i + 1), module, noise.rows(i, i + 1)) for i in range(3)]
    images, queries = (torch.cat(each) for each in zip(*single, strict=True))
    require_close(attack, images, result.images, "images must not depend on the batch")
    got, expected = queries.tolist(), result.queries.tolist()
    require(attack, got == expected, f"queries must not depend on the batch: got {got} and {expected}")
    empty = perturb(attack, knowledge, slice_batch(batch, 0, 0), module, noise.rows(0, 0)).images
    require(attack, len(empty) == 0, f"no queries must give no images: got {len(empty)}")


class Perturbed(NamedTuple):
    """The images of an attack, and the queries that it used for each: int64 (B,), or (0,) unless it is black-box."""

    images: Tensor
    queries: Tensor


def fit_attack(attack: Attack, knowledge: Knowledge, parts: dict[str, State], dataset: Dataset) -> State:
    """Return the state of an attack that learns, after the same checks as in a run."""
    ctx = make_context(attack.name, parts)
    with isolate(attack, {**list_knowledge(knowledge), **list_fit_inputs(ctx)}, dataset.ids("query")):
        state = attack.fit(close_network(attack, attack.access, knowledge), ctx)
    return check_state(state, attack, parts)


def perturb(attack: Attack, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Perturbed:
    """Return the attack's images after the same checks as in a run, and with the same access to the network."""
    inputs = {"its own networks": module, **list_knowledge(knowledge), **list_batch(batch)}
    clean = batch.images.clone()
    network = make_attacked_network(attack, AttackedPipeline(knowledge.network), batch, noise, SEED)
    with isolate(attack, inputs, batch.ids):
        images = attack.perturb(replace(knowledge, network=network), batch, module, noise)
    used = network.used if isinstance(network, QueriedNetwork) else torch.zeros(0, dtype=torch.int64)
    return Perturbed(project_into_ball(check_images(images, clean, attack), clean, attack.ball, attack), used)
