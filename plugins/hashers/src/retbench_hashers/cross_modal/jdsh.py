"""Joint-modal distribution-based similarity hashing.

Liu et al. 2020, "Joint-modal Distribution-based Similarity Hashing for Large-scale Unsupervised Deep Cross-modal
Retrieval", SIGIR.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from retbench import Context, TrainingData
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalNetwork
from retbench_hashers.cross_modal.joint_similarity_hasher import ImageBatch, ImageReader, JointSimilarityHasher, cosines


class JDSH(JointSimilarityHasher):
    """Codes whose cosines follow a joint similarity that amplifies clear cases, on a frozen backbone.

    With S_I = 2 cos - 1 of the images' features, S_T the same of the texts, and H_ij the cosine of row i of S_I with
    row j of S_T, the joint similarity of a batch is

        s = alpha S_I + beta S_T + lambda (H + H') / 2,
        S = mu s g,    g = 1 + L1 exp(MIN - s) where s < left,    1 + L2 exp(s - MAX) where s > right,    else 1,
        left = left_location - 2 left_scale,    right = right_location + 4 right_scale,

    where locations and scales describe the two halves of the distribution of s in the training split, and

        L = w mse(cos(u, u), S) + mse(cos(u, v), S) + mse(cos(v, u), S) + w mse(cos(v, v), S) - mean_i cos(u_i, v_i)

    for relaxed codes u of images and v of texts. The defaults are the published values for FLICKR-25K over AlexNet;
    those for NUS-WIDE are alpha 0.4, beta 0.3, lambda 0.3, MIN -0.64, MAX 0.75, locations -0.62, scales 0.0128 and
    0.086, L1 0.2, L2 0.2. Another backbone has another distribution.

    In the published code the head gets raw features; normalized ones are used in the similarity only, where they change
    nothing. With `unit_features` the head gets normalized features. In that code AlexNet's dropout is active; here the
    cached features are computed without it.
    """

    name: ClassVar[str] = "jdsh"
    source: ClassVar[str] = "Liu et al. 2020, similarity weighted by its distribution; constants as in the code of JDSH"

    epochs: int = Field(300, ge=1, le=10_000, description="passes over the training split")
    image_learning_rate: float = Field(1e-2, gt=0, le=10, description="learning rate of the image head")
    image_share: float = Field(0.5, ge=0, le=1, description="alpha, share of the images in the joint similarity")
    text_share: float = Field(0.1, ge=0, le=1, description="beta, share of the texts")
    high_order: float = Field(0.4, ge=0, le=1, description="lambda, share of the similarity across modalities")
    scale: float = Field(1.4, gt=0, le=100, description="mu, factor of the similarity")
    lowest: float = Field(-0.52, ge=-10, le=10, description="MIN, reference similarity of dissimilar pairs")
    highest: float = Field(0.68, ge=-10, le=10, description="MAX, reference similarity of similar pairs")
    left_location: float = Field(-0.49, ge=-10, le=10, description="location of the dissimilar pairs' distribution")
    left_scale: float = Field(0.019, ge=0, le=10, description="scale of the dissimilar pairs' distribution")
    right_location: float = Field(-0.49, ge=-10, le=10, description="location of the similar pairs' distribution")
    right_scale: float = Field(0.088, ge=0, le=10, description="scale of the similar pairs' distribution")
    left_gain: float = Field(0.1, ge=0, le=10, description="L1, strength of pushing dissimilar pairs apart")
    right_gain: float = Field(0.2, ge=0, le=10, description="L2, strength of pulling similar pairs together")
    intra_weight: float = Field(0.1, ge=0, le=1000, description="w, weight of the codes of one modality")
    unit_features: bool = Field(False, description="normalize the features before the image head")

    @property
    def thresholds(self) -> tuple[float, float]:
        """Left and right threshold: pairs below the left are clearly dissimilar, above the right clearly similar."""
        return self.left_location - 2 * self.left_scale, self.right_location + 4 * self.right_scale

    def image_head(self, width: int, bits: int) -> nn.Module:
        hash_layer = super().image_head(width, bits)
        return nn.Sequential(_UnitLength(), hash_layer) if self.unit_features else hash_layer

    def similarity(self, features: Tensor, texts: Tensor) -> Tensor:
        image_similarity, text_similarity = (2 * cosines(rows, rows) - 1 for rows in (features, texts))
        high_order = cosines(image_similarity, text_similarity)
        mixed = self.image_share * image_similarity + self.text_share * text_similarity
        mixed = mixed + self.high_order * (high_order + high_order.T) / 2
        left, right = self.thresholds
        pushed = mixed * (1 + self.left_gain * (self.lowest - mixed).exp())
        pulled = mixed * (1 + self.right_gain * (mixed - self.highest).exp())
        return self.scale * mixed.where(mixed >= left, pushed).where(mixed <= right, pulled)

    def similarity_loss(self, images: Tensor, texts: Tensor, similarity: Tensor) -> Tensor:
        cross_cosines = cosines(images, texts)
        within = mse_loss(cosines(images, images), similarity) + mse_loss(cosines(texts, texts), similarity)
        cross_modal = mse_loss(cross_cosines, similarity) + mse_loss(cross_cosines.T, similarity)
        return self.intra_weight * within + cross_modal - cross_cosines.diagonal().mean()

    def image_reader(self, network: CrossModalNetwork, data: TrainingData, ctx: Context) -> ImageReader:
        def read(rows: Tensor) -> ImageBatch:
            features = data.features(rows.tolist())
            return ImageBatch(features, network.from_features(features))

        return read


class _UnitLength(nn.Module):
    """Scaling of features to unit length; a row of zeros stays zero."""

    def forward(self, features: Tensor) -> Tensor:
        return normalize(features)
