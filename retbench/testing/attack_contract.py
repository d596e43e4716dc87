"""What every attack must do."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retbench.contracts import Attack, Batch, Dataset, Facts, Knowledge, Noise
from retbench.stages.check import checked_images, inside_ball
from retbench.stages.fit import checked_state
from retbench.testing.rig import (
    CPU,
    checked_module,
    context,
    fit_parts,
    knowledge,
    merged,
    part_of,
    queries,
    require,
    require_close,
)


def check_attack(attack: Attack, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless its images keep the contract whatever the batch, and the network stays as it was."""
    known = knowledge(attack, dataset, facts)
    before = {name: tensor.clone() for name, tensor in known.network.state_dict().items()}
    parts = fit_parts(attack, dataset, facts)
    own = checked_state(attack.fit(known, context(attack.name, parts)), attack) if attack.learns else {}
    module = checked_module(attack, attack.module(merged(own, parts), CPU))
    batch = queries(dataset, 3)
    noise = Noise(0, batch.ids)
    images = perturbed(attack, known, batch, module, noise)
    again = perturbed(attack, known, batch, module, noise)
    require_close(attack, again, images, "the same noise must give the same images")
    alone = [perturbed(attack, known, part_of(batch, i, i + 1), module, noise.rows(i, i + 1)) for i in range(3)]
    require_close(attack, torch.cat(alone), images, "images must not depend on the batch")
    none = perturbed(attack, known, part_of(batch, 0, 0), module, noise.rows(0, 0))
    require(attack, len(none) == 0, f"no queries must give no images: got {len(none)}")
    after = known.network.state_dict()
    require(attack, all(torch.equal(before[name], after[name]) for name in before), "it changed the network it attacks")


def perturbed(attack: Attack, known: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
    """Return the attack's images, checked as the core checks them."""
    images = checked_images(attack.perturb(known, batch, module, noise), batch.images, attack)
    return inside_ball(images, batch.images, attack.ball, attack)
