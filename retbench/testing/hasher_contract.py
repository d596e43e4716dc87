"""The contract checks of hashers."""

from __future__ import annotations

import torch
from torch import Tensor

from retbench.contracts import Dataset, Facts, Hasher, HashNetwork
from retbench.contracts.tensors import read_labels, read_texts
from retbench.stages.check import check_outputs
from retbench.stages.isolation import isolate
from retbench.stages.states import build_module
from retbench.testing.component_setup import (
    CPU,
    fit_hasher,
    fit_parts,
    make_batch,
    make_frozen_network,
    require,
    require_close,
    require_gradient,
)


def check_hasher(hasher: Hasher, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless training is reproducible, and logits are valid with gradients down to the pixels."""
    first, second = (fit_hasher(hasher, dataset, facts) for _ in range(2))
    require(hasher, all(torch.equal(first[n], second[n]) for n in first), "the same fit must give the same weights")
    network = make_frozen_network(hasher, first)
    images = make_batch(dataset, 3).images
    with isolate(hasher, {"its own networks": network, "the images": images}), torch.inference_mode():
        encoded = network.image(images)
    check_outputs(encoded, hasher, "logits", (3, facts.bits), CPU)
    images.requires_grad_()
    perturbed = images * 1.0  # as an attack passes them: not a leaf, which torch itself would protect
    with isolate(hasher, {"the images": perturbed}):
        logits = network.image(perturbed)
    require_gradient(hasher, logits, images, "no gradient reaches the pixels")
    single = torch.cat([network.image(image[None]) for image in images])
    require_close(hasher, single, logits, "logits must not depend on the batch")
    require(hasher, tuple(network.image(images[:0]).shape) == (0, facts.bits), "no images must give no logits")
    if "text" in hasher.modalities:
        check_texts(hasher, network, dataset, facts)
    if hasher.cached is not None:
        check_cached(hasher, network, dataset, logits)
    if hasher.supervised:
        check_loss(hasher, dataset, facts)


def check_texts(hasher: Hasher, network: HashNetwork, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless texts, also empty ones, have finite logits that do not depend on the batch."""
    texts = read_texts(dataset, "query", range(3), CPU)
    texts[0] = 0
    with isolate(hasher, {"its own networks": network, "the texts": texts}):
        logits = network.text(texts)
    check_outputs(logits, hasher, "logits of texts, one of them empty", (3, facts.bits), CPU)
    single = torch.cat([network.text(text[None]) for text in texts])
    require_close(hasher, single, logits, "logits of texts must not depend on the batch")
    require(hasher, tuple(network.text(texts[:0]).shape) == (0, facts.bits), "no texts must give no logits")


def check_cached(hasher: Hasher, network: HashNetwork, dataset: Dataset, logits: Tensor) -> None:
    """Raise ContractBreach unless the features of the cached part lead to the same logits as the images."""
    role, parts = hasher.cached or "", fit_parts(hasher, dataset)
    module = build_module(hasher.parts(dataset.facts())[role], parts[role], CPU)
    features = module(make_batch(dataset, 3).images)
    with isolate(hasher, {"its own networks": network, "the features": features}):
        from_features = network.from_features(features)
    check_outputs(from_features, hasher, "logits of features", tuple(logits.shape), CPU)
    require_close(hasher, from_features, logits, "logits of features must equal those of their images")


def check_loss(hasher: Hasher, dataset: Dataset, facts: Facts) -> None:
    """Raise ContractBreach unless a batch without labels has a finite loss and gradient."""
    labels = read_labels(dataset, "train")
    labels[0] = 0
    rows = torch.tensor([0, 0])
    outputs = torch.full((2, facts.bits), 0.5, requires_grad=True)
    memory = torch.zeros(len(labels), facts.bits)
    with isolate(hasher, {"the outputs": outputs, "the labels": labels, "the rows": rows, "the memory": memory}):
        loss = hasher.loss(outputs, labels, rows, memory)
    require(
        hasher,
        loss.ndim == 0 and bool(torch.isfinite(loss)),
        f"a batch without labels must have a finite scalar loss: got {loss}",
    )
    (gradient,) = torch.autograd.grad(loss, outputs)
    require(hasher, bool(torch.isfinite(gradient).all()), "a batch without labels must have a finite gradient")
