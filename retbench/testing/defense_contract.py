"""What every purifier and every hardening must do."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retbench.contracts import Dataset, Facts, Hardening, Noise, Purifier, TrainingData
from retbench.stages.check import checked_images
from retbench.stages.fit import checked_state
from retbench.testing.rig import (
    CPU,
    checked_module,
    context,
    fit_hasher,
    fit_parts,
    merged,
    queries,
    require,
    require_close,
    require_gradient,
)
from retbench.testing.toys import ToyHasher


def check_purifier(purifier: Purifier, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless its images keep the contract whatever the batch, with gradients if it says so."""
    parts = fit_parts(purifier, dataset)
    data = TrainingData(dataset, dataset.facts(), CPU)
    own = checked_state(purifier.fit(data, context(purifier.name, parts)), purifier) if purifier.learns else {}
    module = checked_module(purifier, purifier.module(merged(own, parts), CPU))
    batch = queries(dataset, 3)
    noise = Noise(0, batch.ids)
    images = purified(purifier, batch.images, module, noise)
    again = purified(purifier, batch.images, module, noise)
    require_close(purifier, again, images, "the same noise must give the same images")
    alone = [purified(purifier, batch.images[i : i + 1], module, noise.rows(i, i + 1)) for i in range(3)]
    require_close(purifier, torch.cat(alone), images, "images must not depend on the batch")
    none = purified(purifier, batch.images[:0], module, noise.rows(0, 0))
    require(purifier, len(none) == 0, f"no images must give none: got {len(none)}")
    if purifier.differentiable:
        pixels = batch.images.clone().requires_grad_()
        output = purifier.purify(pixels, module, noise)
        require_gradient(purifier, output, pixels, "it says it is differentiable, but no gradient passes")


def purified(purifier: Purifier, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
    """Return the purifier's images, checked as the core checks them."""
    with torch.no_grad():
        return checked_images(purifier.purify(images, module, noise), images, purifier)


def check_hardening(hardening: Hardening, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless it returns finite weights of the hasher's names and shapes."""
    hasher = ToyHasher()
    before = fit_hasher(hasher, dataset, facts)
    ctx = context(hardening.name, fit_parts(hardening, dataset))
    after = checked_state(hardening.fit(hasher, before, TrainingData(dataset, facts, CPU), ctx), hardening)
    shapes = {name: tensor.shape for name, tensor in before.items()}
    same = shapes == {name: tensor.shape for name, tensor in after.items()}
    require(hardening, same, "names and shapes of the weights must stay")
