"""The contract checks of purifiers and hardenings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retbench.contracts import Dataset, Facts, Hardening, Noise, Purifier, State, TrainingData
from retbench.stages.check import check_images, check_state
from retbench.stages.fit import list_fit_inputs
from retbench.stages.isolation import isolate
from retbench.stages.states import build_module
from retbench.testing.component_setup import (
    CPU,
    check_module,
    fit_hasher,
    fit_parts,
    make_batch,
    make_context,
    merge_states,
    require,
    require_close,
    require_gradient,
)
from retbench.testing.toys import ToyHasher


def check_purifier(purifier: Purifier, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless the purifier's images are valid and independent of the batch.

    A purifier that declares itself differentiable must pass gradients.
    """
    parts = fit_parts(purifier, dataset)
    data = TrainingData(dataset, dataset.facts(), CPU)
    own = fit_purifier(purifier, data, parts) if purifier.learns else {}
    module = check_module(purifier, build_module(purifier, merge_states(own, parts), CPU))
    batch = make_batch(dataset, 3)
    noise = Noise(0, batch.ids)
    images = purify(purifier, batch.images, module, noise)
    repeated = purify(purifier, batch.images, module, noise)
    require_close(purifier, repeated, images, "the same noise must give the same images")
    single = [purify(purifier, batch.images[i : i + 1], module, noise.rows(i, i + 1)) for i in range(3)]
    require_close(purifier, torch.cat(single), images, "images must not depend on the batch")
    empty = purify(purifier, batch.images[:0], module, noise.rows(0, 0))
    require(purifier, len(empty) == 0, f"no images must give no images: got {len(empty)}")
    if purifier.differentiable:
        pixels = batch.images.clone().requires_grad_()
        perturbed = pixels * 1.0  # as an attack passes them: not a leaf, which torch itself would protect
        with isolate(purifier, {"its own networks": module, "the images": perturbed}, noise.ids):
            output = purifier.purify(perturbed, module, noise)
        require_gradient(
            purifier, output, pixels, "it declares itself differentiable, but no gradient reaches the pixels"
        )


def purify(purifier: Purifier, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
    """Return the purifier's images after the same checks as in a run."""
    with isolate(purifier, {"its own networks": module, "the images": images}, noise.ids), torch.no_grad():
        purified = purifier.purify(images, module, noise)
    return check_images(purified, images, purifier)


def fit_purifier(purifier: Purifier, data: TrainingData, parts: dict[str, State]) -> State:
    """Return the state of a purifier that learns, after the same checks as in a run."""
    ctx = make_context(purifier.name, parts)
    with isolate(purifier, list_fit_inputs(ctx)):
        state = purifier.fit(data, ctx)
    return check_state(state, purifier, parts)


def check_hardening(hardening: Hardening, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless the hardening returns finite weights with the names and shapes of the hasher's."""
    hasher = ToyHasher()
    before = fit_hasher(hasher, dataset, facts)
    ctx = make_context(hardening.name, fit_parts(hardening, dataset))
    with isolate(hardening, {"the weights of the hasher": before, **list_fit_inputs(ctx)}):
        state = hardening.fit(hasher, before, TrainingData(dataset, facts, CPU), ctx)
    after = check_state(state, hardening)
    shapes = {name: tensor.shape for name, tensor in before.items()}
    same = shapes == {name: tensor.shape for name, tensor in after.items()}
    require(hardening, same, "it must keep the names and shapes of the hasher's weights")
