"""How similar DGCPN takes the training pairs to be: by their features, and by the neighbours that they share."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize


def graph_similarity(
    images: Tensor,
    texts: Tensor,
    *,
    neighbours: int,
    scale: float,
    text_weight: float = 0.01,
    coherence_weight: float = 0.3,
    block: int = 512,
) -> Tensor:
    """Returns S, float32 (n, n): the similarity of any two training pairs, which no label enters.

    With cos the cosines of the features' rows, a1 the `text_weight` and a2 the `coherence_weight`:

        A = a1 cos(texts) + (1 - a1) cos(images)
        P = A with the k largest entries of each row off its diagonal, the others 0, each row divided by its sum
        C = scale * P P'
        S = 2 ((1 - a2) A + a2 C) - 1

    Two pairs that share all k neighbours in equal parts have C = scale / k, so a scale of 2 k keeps C at 2 or below
    where all weigh alike. S is at least -1 where no feature is negative, and has no upper bound.

    The published code drops the largest entry of a row in place of the diagonal. Both are the same entry but for
    duplicates of a row. A row whose kept entries do not add up to more than 0 (no text and dead features) has no
    neighbours: its row of P is 0, where the published code divides by 0.

    Rows are worked on `block` at a time. At once alive are the normalised features, two (n, n) matrices and what a
    block needs, of which 5 (block, n) is the most: 0.88 GB and 0.11 GB for 10 500 rows.

    Args:
        images: float (n, F), features of the images; a row of zeros has cosine 0 with all.
        texts: float (n, T), in the same order.
        neighbours: k, at least 1 and below n. The published code takes n - k - 1, how many are dropped.
        scale: of the coherence; the published code has 4000 with 1999 neighbours.
        text_weight: a1, 0 to 1.
        coherence_weight: a2, 0 to 1.
        block: rows at once; it changes rounding alone.

    Raises:
        ValueError: as many neighbours as rows or more, another number of texts than of images,
            or features that are not finite.

    Source: Yu et al. 2021, Deep Graph-neighbor Coherence Preserving Network, AAAI; constants as in its code.
    """
    _check(images, texts, neighbours)
    images, texts = normalize(images.float()), normalize(texts.float())
    pairs = images.new_empty(len(images), len(images))
    shares = torch.empty_like(pairs)
    for rows in _blocks(len(pairs), block):
        pairs[rows] = _mixed(images[rows] @ images.T, texts[rows] @ texts.T, text_weight)
        shares[rows] = _neighbour_shares(pairs[rows], rows.start, neighbours)
    for rows in _blocks(len(pairs), block):
        coherence = shares[rows] @ shares.T
        _mixed(pairs[rows], coherence.mul_(scale), coherence_weight).mul_(2).sub_(1)
    return pairs


def _check(images: Tensor, texts: Tensor, neighbours: int) -> None:
    count = len(images)
    if len(texts) != count:
        raise ValueError(
            f"graph_similarity: wrong number of texts: got {len(texts)}, expected one for each of {count} images"
        )
    if not 1 <= neighbours < count:
        raise ValueError(
            f"graph_similarity: neighbours: got {neighbours}, expected 1 to {count - 1}, fewer than the {count} rows"
        )
    for name, rows in (("images", images), ("texts", texts)):
        wrong = int((~torch.isfinite(rows).all(dim=1)).sum())
        if wrong:
            raise ValueError(f"graph_similarity: {name}: got {wrong} rows that are not finite, expected none")


def _blocks(count: int, block: int) -> Iterator[slice]:
    for start in range(0, count, block):
        yield slice(start, min(start + block, count))


def _mixed(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Returns (1 - weight) * first + weight * second, in the memory of `first`."""
    return first.mul_(1 - weight).add_(second, alpha=weight)


def _neighbour_shares(pairs: Tensor, start: int, neighbours: int) -> Tensor:
    """Returns rows of P, float32 (B, n), from the rows of A that begin at `start`."""
    others = pairs.clone()
    own = torch.arange(len(pairs), device=pairs.device)
    others[own, start + own] = -torch.inf
    largest = others.topk(neighbours, dim=1)
    total = largest.values.sum(dim=1, keepdim=True)
    shares = largest.values / total.where(total > 0, torch.inf)
    return others.zero_().scatter_(1, largest.indices, shares)
