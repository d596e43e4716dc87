"""The contract checks of attacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retbench.contracts import Attack, Batch, Dataset, Facts, Knowledge, Noise, State
from retbench.stages.attack import list_batch, list_knowledge
from retbench.stages.check import check_images, check_state, project_into_ball
from retbench.stages.fit import list_fit_inputs
from retbench.stages.isolation import isolate
from retbench.testing.component_setup import (
    CPU,
    check_module,
    fit_parts,
    make_batch,
    make_context,
    make_knowledge,
    merge_states,
    require,
    require_close,
    slice_batch,
)


def check_attack(attack: Attack, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless the attack's images are valid and independent of the batch.

    The attack must also leave everything unchanged that it is given.
    """
    knowledge = make_knowledge(attack, dataset, facts)
    parts = fit_parts(attack, dataset, facts)
    own = fit_attack(attack, knowledge, parts, dataset) if attack.learns else {}
    module = check_module(attack, attack.module(merge_states(own, parts), CPU))
    batch = make_batch(dataset, 3)
    noise = Noise(0, batch.ids)
    images = perturb(attack, knowledge, batch, module, noise)
    repeated = perturb(attack, knowledge, batch, module, noise)
    require_close(attack, repeated, images, "the same noise must give the same images")
    single = [perturb(attack, knowledge, slice_batch(batch, i, i + 1), module, noise.rows(i, i + 1)) for i in range(3)]
    require_close(attack, torch.cat(single), images, "images must not depend on the batch")
    empty = perturb(attack, knowledge, slice_batch(batch, 0, 0), module, noise.rows(0, 0))
    require(attack, len(empty) == 0, f"no queries must give no images: got {len(empty)}")


def fit_attack(attack: Attack, knowledge: Knowledge, parts: dict[str, State], dataset: Dataset) -> State:
    """Return the state of an attack that learns, after the same checks as in a run."""
    ctx = make_context(attack.name, parts)
    with isolate(attack, {**list_knowledge(knowledge), **list_fit_inputs(ctx)}, dataset.ids("query")):
        state = attack.fit(knowledge, ctx)
    return check_state(state, attack)


def perturb(attack: Attack, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
    """Return the attack's images after the same checks as in a run."""
    inputs = {"its own networks": module, **list_knowledge(knowledge), **list_batch(batch)}
    clean = batch.images.clone()
    with isolate(attack, inputs, batch.ids):
        images = attack.perturb(knowledge, batch, module, noise)
    return project_into_ball(check_images(images, clean, attack), clean, attack.ball, attack)
