"""The contract checks of attacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retbench.contracts import Attack, Batch, Dataset, Facts, Knowledge, Noise
from retbench.stages.check import check_images, project_into_ball
from retbench.stages.fit import check_state
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

    The attack must also leave the weights of the attacked network unchanged.
    """
    knowledge = make_knowledge(attack, dataset, facts)
    before = {name: tensor.clone() for name, tensor in knowledge.network.state_dict().items()}
    parts = fit_parts(attack, dataset, facts)
    own = check_state(attack.fit(knowledge, make_context(attack.name, parts)), attack) if attack.learns else {}
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
    after = knowledge.network.state_dict()
    unchanged = all(torch.equal(before[name], after[name]) for name in before)
    require(attack, unchanged, "it must not change the weights of the attacked network")


def perturb(attack: Attack, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
    """Return the attack's images after the same checks as in a run."""
    images = check_images(attack.perturb(knowledge, batch, module, noise), batch.images, attack)
    return project_into_ball(images, batch.images, attack.ball, attack)
