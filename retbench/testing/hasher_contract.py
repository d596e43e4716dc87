"""What every hasher must do."""

from __future__ import annotations

import torch

from retbench.contracts import Dataset, Facts, Hasher
from retbench.testing.rig import fit_hasher, frozen_network, queries, require, require_close, require_gradient


def check_hasher(hasher: Hasher, dataset: Dataset, facts: Facts) -> None:
    """Raises ContractBreach unless it trains alike twice and encodes with gradients down to the pixels."""
    first, second = (fit_hasher(hasher, dataset, facts) for _ in range(2))
    require(hasher, all(torch.equal(first[n], second[n]) for n in first), "the same fit must give the same weights")
    network = frozen_network(hasher, first)
    images = queries(dataset, 3).images.requires_grad_()
    logits = network.image(images)
    require(
        hasher, tuple(logits.shape) == (3, facts.bits), f"logits: got {tuple(logits.shape)}, expected (3, {facts.bits})"
    )
    require_gradient(hasher, logits, images, "no gradient reaches the pixels")
    alone = torch.cat([network.image(image[None]) for image in images])
    require_close(hasher, alone, logits, "logits must not depend on the batch")
    require(hasher, tuple(network.image(images[:0]).shape) == (0, facts.bits), "no images must give no logits")
    if type(hasher).loss is not Hasher.loss:
        check_loss(hasher, dataset, facts)


def check_loss(hasher: Hasher, dataset: Dataset, facts: Facts) -> None:
    """Raises ContractBreach unless a label-less batch has a finite loss and gradient."""
    labels = dataset.labels("train").clone()
    labels[0] = 0
    rows = torch.tensor([0, 0])
    outputs = torch.full((2, facts.bits), 0.5, requires_grad=True)
    memory = torch.zeros(len(labels), facts.bits)
    loss = hasher.loss(outputs, labels, rows, memory)
    require(
        hasher, loss.ndim == 0 and bool(torch.isfinite(loss)), f"a label-less batch must have a finite loss: {loss}"
    )
    (gradient,) = torch.autograd.grad(loss, outputs)
    require(hasher, bool(torch.isfinite(gradient).all()), "a label-less batch must have a finite gradient")
