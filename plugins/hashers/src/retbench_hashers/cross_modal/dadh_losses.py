"""The losses of DADH, and the closed-form update of its codes.

Bai, Zeng, Ma, Zhang and Chen 2020, "Deep Adversarial Discrete Hashing for Cross-Modal Retrieval", ICMR. Where paper
and published code differ, these follow the code as of March 2021.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from retbench import sign

WEIGHTED_FACTOR = 10 * 1.1**2
"""Factor of weighted triplets."""

UNWEIGHTED_FACTOR = 1.1
"""Factor of unweighted triplets. The code computes 1.1 as (beta - 0.1) gamma + 0.1 with beta and gamma at their
defaults; here it is constant, so that each option changes its own term only."""

Interpolation = Literal["element", "sample"]


def triplet_loss(anchors: Tensor, candidates: Tensor, labels: Tensor, margin: float, *, weighted: bool) -> Tensor:
    """Return the cosine triplet loss, summed over all triplets of a batch: a scalar.

    With s_ij the number of shared classes, d_ij = max(0, 1 - cos(a_i, c_j)), and w the weights of `gain_weights`,

        T = 12.1 sum_ijk [s_ij > 0] [s_ik = 0] w_ij max(0, d_ij - d_ik + margin);

    unweighted, w_ij is 1 and the factor is 1.1. The published code has w_ij - w_ik, but w_ik = 0 because s_ik = 0. The
    negatives of each anchor are sorted and summed once, so that memory is of order B^2, not B^3.

    Args:
        anchors: float32 (B, K), relaxed codes of one modality.
        candidates: float32 (B, K), of the other modality, of the same rows.
        labels: multi-hot (B, C) of the rows. A row without labels is never an anchor, and a negative of all others.
        margin: margin of the hinge, in cosine distance.
        weighted: whether pairs that share more classes weigh more.

    Source: the published code of DADH.
    """
    shared = labels.float() @ labels.float().T
    distances = (1 - normalize(anchors) @ normalize(candidates).T).clamp(min=0)
    sums = hinge_sums(distances, shared == 0, margin)
    if weighted:
        return WEIGHTED_FACTOR * (gain_weights(shared) * sums).sum()
    return UNWEIGHTED_FACTOR * ((shared > 0) * sums).sum()


def gain_weights(shared: Tensor) -> Tensor:
    """Return the weight of each candidate for each anchor: float32 (B, B), 0 if they share no class.

    w_ij = (2^s_ij - 1) / Z_i, where Z_i is the discounted gain of the best order of the candidates, as in NDCG. For an
    anchor without labels Z_i is 0 and so are its weights; the published code divides by it, and its loss is NaN from
    the first such batch on. The gains of an anchor are scaled down to below 1, which changes no weight: with 128 shared
    classes or more they would exceed float32.

    Args:
        shared: float32 (B, B), number of classes that two rows share.
    """
    max_shared = shared.amax(dim=1, keepdim=True)
    gains = torch.exp2(shared - max_shared) - torch.exp2(-max_shared)
    best = gains.sort(dim=1, descending=True).values
    ranks = torch.arange(1, shared.shape[1] + 1, device=shared.device)
    ideal = (best / torch.log2(1.0 + ranks)).sum(dim=1, keepdim=True)
    return gains / ideal.where(ideal > 0, 1.0)


def hinge_sums(distances: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return, at (i, j), the sum over the negatives k of i of max(0, d_ij - d_ik + margin): float32 (B, B).

    With a_1 <= a_2 <= ... the distances of the negatives of i, and n the number of those below d_ij + margin, this is
    n (d_ij + margin) - (a_1 + ... + a_n).

    Args:
        distances: float32 (B, B).
        negative: bool (B, B), whether a candidate is a negative of an anchor; an anchor may have none.
        margin: margin of the hinge.
    """
    limits = distances + margin
    ordered = distances.masked_fill(~negative, torch.inf).sort(dim=1).values
    counts = torch.searchsorted(ordered.detach(), limits.detach())
    cumulative = torch.cat([torch.zeros_like(ordered[:, :1]), ordered.cumsum(dim=1)], dim=1)
    return counts * limits - cumulative.gather(1, counts)


def quantization_loss(codes: Tensor, image_codes: Tensor, text_codes: Tensor) -> Tensor:
    """Return the squared distance of both modalities' relaxed codes (B, K) from `codes` (B, K), summed over bits."""
    return (codes - image_codes).square().sum() + (codes - text_codes).square().sum()


def discriminator_loss(
    discriminator: nn.Module,
    images: Tensor,
    texts: Tensor,
    *,
    weight: float,
    penalty: float,
    interpolation: Interpolation,
) -> Tensor:
    """Return the loss of a discriminator of images (real) and texts (fake), with a gradient penalty between them.

    It is the cross-entropy of the logits, averaged over the batch for each of the two, plus the gradient penalty.

    Args:
        discriminator: from (B, F) to logits (B, 1).
        images: float32 (B, F), features or relaxed codes of images, without a gradient.
        texts: float32 (B, F), the same of texts, without a gradient.
        weight: gamma, weight of the cross-entropy.
        penalty: weight of the gradient penalty.
        interpolation: how the points of the penalty are drawn, see `interpolate`.
    """
    entropy = softplus(-discriminator(images)).mean() + softplus(discriminator(texts)).mean()
    points = interpolate(images, texts, interpolation)
    return weight * entropy + penalty * gradient_penalty(discriminator, points)


def interpolate(images: Tensor, texts: Tensor, interpolation: Interpolation) -> Tensor:
    """Return a * images + (1 - a) * texts, with `a` uniform in [0, 1) from torch's global generator.

    The published code draws `a` per element; Gulrajani et al. 2017, who proposed the penalty, per sample.
    """
    width = images.shape[1] if interpolation == "element" else 1
    share = torch.rand(len(images), width, device=images.device)
    return share * images + (1 - share) * texts


def gradient_penalty(discriminator: nn.Module, points: Tensor) -> Tensor:
    """Return the mean over `points` (B, F) of (|g| - 1)^2, with g the gradient of a point's logit.

    Source: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", NeurIPS, equation 3.
    """
    points = points.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
    slopes: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    return (slopes - 1).square().mean()


def adversarial_loss(logits: Tensor) -> Tensor:
    """Return the mean of -log sigmoid(logits) for logits (B, 1) of texts; small if they look like images."""
    return softplus(-logits).mean()


def update_codes(codes: Tensor, labels: Tensor, outputs: Tensor, *, ridge: float, share: float) -> Tensor:
    """Return the codes of the next epoch in closed form: float32 (N, K), -1 or +1.

        P = (L'L + ridge I)^-1 L'B,    B = sign(L P + share / 2 H),

    A bit of exactly 0 becomes +1. The share is tiny, so codes depend on the label vectors, and on the outputs only for
    rows without labels. The solution is in double precision, so that its rounding errors are small compared with the
    share.

    Args:
        codes: B of the last epoch, float32 (N, K).
        labels: L, multi-hot uint8 (N, C).
        outputs: H, float32 (N, K), the sum of the relaxed codes of image and text in the last epoch.
        ridge: lambda, above 0.
        share: mu.
    """
    label_vectors = labels.double()
    identity = torch.eye(labels.shape[1], dtype=label_vectors.dtype, device=labels.device)
    gram = label_vectors.T @ label_vectors + ridge * identity
    projection = torch.linalg.solve(gram, label_vectors.T @ codes.double())
    return sign(label_vectors @ projection + share / 2 * outputs.double()).to(codes.dtype)
