"""The losses of DADH, and the closed form of its codes.

Bai, Zeng, Ma, Zhang and Chen 2020, "Deep Adversarial Discrete Hashing for Cross-Modal Retrieval", ICMR. Where the paper
and the published code differ, the code is followed, as of March 2021.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from retbench import sign

WEIGHTED = 10 * 1.1**2
"""Factor in front of weighted triplets."""

UNWEIGHTED = 1.1
"""Factor in front of unweighted triplets. The code has (beta - 0.1) gamma + 0.1 for 1.1, beta and gamma at their
defaults; here it is constant, so that an option changes its own term alone."""

Interpolation = Literal["element", "sample"]


def triplet_loss(anchors: Tensor, candidates: Tensor, labels: Tensor, margin: float, *, weighted: bool) -> Tensor:
    """Return the cosine triplet loss, a scalar: the sum over all triplets of a batch.

    With s_ij the number of shared classes, d_ij = max(0, 1 - cos(a_i, c_j)), and w the weights of `gain_weights`,

        T = 12.1 sum_ijk [s_ij > 0] [s_ik = 0] w_ij max(0, d_ij - d_ik + margin);

    unweighted, w_ij is 1 and the factor 1.1. The published code has w_ij - w_ik, where w_ik = 0 because s_ik = 0.
    Negatives are sorted and summed up once for each anchor, so that B^2 numbers are held, not B^3.

    Args:
        anchors: float32 (B, K), relaxed codes of one modality.
        candidates: float32 (B, K), of the other modality, of the same rows.
        labels: multi-hot (B, C) of the rows. A row without a label is never an anchor, and a negative of all others.
        margin: distance by which a negative has to be farther away.
        weighted: whether pairs that share more classes weigh more.

    Source: the published code of DADH.
    """
    shared = labels.float() @ labels.float().T
    distances = (1 - normalize(anchors) @ normalize(candidates).T).clamp(min=0)
    sums = hinge_sums(distances, shared == 0, margin)
    if weighted:
        return WEIGHTED * (gain_weights(shared) * sums).sum()
    return UNWEIGHTED * ((shared > 0) * sums).sum()


def gain_weights(shared: Tensor) -> Tensor:
    """Return float32 (B, B), the weight of each candidate for each anchor: 0 for one that shares no class.

    w_ij = (2^s_ij - 1) / Z_i, where Z_i is the discounted gain of the best order of the candidates, as in NDCG. It is 0
    for an anchor without labels, whose Z_i is 0: the published code divides by it, and its loss is NaN from the first
    such batch on. Gains are halved together until the largest of an anchor is below 1, which changes no weight: rows of
    128 classes or more would exceed float32.

    Args:
        shared: float32 (B, B), the number of classes that two rows share.
    """
    most = shared.amax(dim=1, keepdim=True)
    gains = torch.exp2(shared - most) - torch.exp2(-most)
    best = gains.sort(dim=1, descending=True).values
    ranks = torch.arange(1, shared.shape[1] + 1, device=shared.device)
    ideal = (best / torch.log2(1.0 + ranks)).sum(dim=1, keepdim=True)
    return gains / ideal.where(ideal > 0, 1.0)


def hinge_sums(distances: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return float32 (B, B): at (i, j) the sum over the negatives k of i of max(0, d_ij - d_ik + margin).

    Where a_1 <= a_2 <= ... are the distances of the negatives of i and n of them are below d_ij + margin, it is
    n (d_ij + margin) - (a_1 + ... + a_n).

    Args:
        distances: float32 (B, B).
        negative: bool (B, B), which candidates are negatives of each anchor; an anchor may have none.
        margin: the hinge's margin.
    """
    reach = distances + margin
    ordered = distances.masked_fill(~negative, torch.inf).sort(dim=1).values
    below = torch.searchsorted(ordered.detach(), reach.detach())
    totals = torch.cat([torch.zeros_like(ordered[:, :1]), ordered.cumsum(dim=1)], dim=1)
    return below * reach - totals.gather(1, below)


def quantization_loss(codes: Tensor, image_codes: Tensor, text_codes: Tensor) -> Tensor:
    """Return the squared distance of both modalities' relaxed codes (B, K) to `codes` (B, K), summed over all bits."""
    return (codes - image_codes).square().sum() + (codes - text_codes).square().sum()


def discriminator_loss(
    discriminator: nn.Module, images: Tensor, texts: Tensor, *, weight: float, penalty: float, between: Interpolation
) -> Tensor:
    """Return the loss of a discriminator of images, the real ones, and texts, with unit slope between them.

    The cross-entropy of its logits for both, each averaged over the batch, and the gradient penalty.

    Args:
        discriminator: from (B, F) to logits (B, 1).
        images: float32 (B, F), features or relaxed codes of images, without a gradient.
        texts: float32 (B, F), of texts.
        weight: of the cross-entropy, gamma.
        penalty: weight of the gradient penalty.
        between: how the points of the penalty are drawn, as in `interpolated`.
    """
    entropy = softplus(-discriminator(images)).mean() + softplus(discriminator(texts)).mean()
    points = interpolated(images, texts, between)
    return weight * entropy + penalty * gradient_penalty(discriminator, points)


def interpolated(images: Tensor, texts: Tensor, between: Interpolation) -> Tensor:
    """Return a X + (1 - a) Y, with a uniform in [0, 1) from torch's global generator.

    The published code draws `a` for each element; Gulrajani et al. 2017, who proposed the penalty, for each sample.
    """
    width = images.shape[1] if between == "element" else 1
    share = torch.rand(len(images), width, device=images.device)
    return share * images + (1 - share) * texts


def gradient_penalty(discriminator: nn.Module, points: Tensor) -> Tensor:
    """Return the mean over `points` (B, F) of (|g| - 1)^2, g the gradient of a point's logit.

    Source: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", NeurIPS, equation 3.
    """
    points = points.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
    slopes: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    return (slopes - 1).square().mean()


def adversarial_loss(logits: Tensor) -> Tensor:
    """Return the mean of -log sigmoid of a discriminator's logits (B, 1) of texts: small if they look like images."""
    return softplus(-logits).mean()


def updated_codes(codes: Tensor, labels: Tensor, outputs: Tensor, *, ridge: float, share: float) -> Tensor:
    """Return float32 (N, K) in {-1, +1}: the codes for the next epoch, in closed form.

        P = (L'L + ridge I)^-1 L'B,    B = sign(L P + share / 2 H),

    A bit of exactly 0 becomes +1. The share is tiny, so the codes depend on the label vector, and on the outputs for
    a row without labels. Solved in double precision, so that rounding errors of P are small beside the share, too.

    Args:
        codes: float32 (N, K), B of the last epoch.
        labels: uint8 (N, C), L, multi-hot.
        outputs: float32 (N, K), H: the relaxed codes of images and of texts, summed, as they were in the epoch.
        ridge: lambda, above 0.
        share: mu.
    """
    named = labels.double()
    gram = named.T @ named + ridge * torch.eye(named.shape[1], dtype=named.dtype, device=named.device)
    projection = torch.linalg.solve(gram, named.T @ codes.double())
    return sign(named @ projection + share / 2 * outputs.double()).to(codes.dtype)
