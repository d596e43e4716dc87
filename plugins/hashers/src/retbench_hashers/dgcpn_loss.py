"""What DGCPN minimises on a batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, normalize


class CoherenceLoss(NamedTuple):
    """A weighted sum of three losses of the codes' cosines, each cosine between two rows of a batch.

    With II, TT and IT the cosines (B, B) of image codes, of text codes, and of image with text codes, S the similarity
    of the batch and mse the mean over all entries:

        pair        = mse(diag IT, K)
        similarity  = sum of mse(M, S) over M = II, TT and IT, both without their diagonals (those entries count as 0)
        consistency = mse(IT, II) + mse(IT, TT) + mse(II, TT) + mse(IT, IT')

    K is above 1 on purpose: no cosine reaches it, so a pair is pulled together to the end.

    Attributes:
        pair_target: K.
        pair_weight: weight of `pair`.
        similarity_weight: weight of `similarity`.
        consistency_weight: weight of `consistency`.

    Source: Yu et al. 2021, Deep Graph-neighbor Coherence Preserving Network, AAAI; constants as in its code.
    """

    pair_target: float = 1.5
    pair_weight: float = 1.0
    similarity_weight: float = 1.0
    consistency_weight: float = 1.0

    def __call__(self, images: Tensor, texts: Tensor, similarity: Tensor) -> Tensor:
        """Returns the scalar loss of a batch.

        Args:
            images: relaxed or binary codes float32 (B, K) of the images; a row of zeros has cosine 0 with all.
            texts: the same of their texts.
            similarity: float32 (B, B), the rows and columns of S that belong to the batch.
        """
        images, texts = normalize(images), normalize(texts)
        within_images, within_texts, across = images @ images.T, texts @ texts.T, images @ texts.T
        wanted = _off_diagonal(similarity)
        pair = (across.diagonal() - self.pair_target).square().mean()
        followed = mse_loss(_off_diagonal(within_images), wanted) + mse_loss(_off_diagonal(within_texts), wanted)
        followed = followed + mse_loss(_off_diagonal(across), wanted)
        alike = mse_loss(across, within_images) + mse_loss(across, within_texts)
        alike = alike + mse_loss(within_images, within_texts) + mse_loss(across, across.T)
        return self.pair_weight * pair + self.similarity_weight * followed + self.consistency_weight * alike


def _off_diagonal(square: Tensor) -> Tensor:
    """Returns `square` (B, B) with zeros on its diagonal."""
    return square * (1 - torch.eye(len(square), device=square.device))
