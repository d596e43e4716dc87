"""Deep joint-semantics reconstructing hashing.

Su, Zhong and Zhang 2019, "Deep Joint-Semantics Reconstructing Hashing for Large-Scale Unsupervised Cross-Modal
Retrieval", ICCV.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from retbench import Context, TrainingData
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalNetwork
from retbench_hashers.cross_modal.joint_similarity_hasher import ImageBatch, ImageReader, JointSimilarityHasher, cosines

HIDDEN_LAYERS = {"conv": ("hidden",), "cnn-f": ("fc6", "fc7"), "alexnet": ("classifier",), "vgg11": ("classifier",)}
"""Modules with the fully connected layers of each backbone."""


class DJSRH(JointSimilarityHasher):
    """Codes whose cosines reconstruct a joint similarity of images and texts, of first and second order.

    With S_I = 2 cos - 1 of the images' features, S_T the same of the texts, and m pairs in the batch,

        S~ = beta S_I + (1 - beta) S_T,    S = mu [ (1 - eta) S~ + eta S~ S~' / m ],
        L  = l1 mse(cos(u, u), S) + mse(cos(u, v), S) + l2 mse(cos(v, v), S)

    for relaxed codes u of images and v of texts. The features in S are computed once, by the backbone before training.
    The backbone itself is trained further (`trained`), so no features are cached. Published values:

    | dataset | image_share | intra weights | epochs | image_learning_rate | text_learning_rate | trained |
    | --- | --- | --- | --- | --- | --- | --- |
    | FLICKR-25K, the defaults | 0.9 | 0.1 | 80 | 0.001 | 0.01 | all |
    | NUS-WIDE | 0.6 | 0.1 | 80 | 0.001 | 0.01 | all |
    | WIKI | 0.3 | 0.3 | 200 | 0.01 | 0.01 | hidden |

    They are for AlexNet. Its dropout is active in trained layers only.
    """

    name: ClassVar[str] = "djsrh"
    source: ClassVar[str] = "Su et al. 2019, section 3; constants as in the code of DJSRH"
    cached: ClassVar[str | None] = None

    image_share: float = Field(0.9, ge=0, le=1, description="beta, share of the images in the joint similarity")
    second_order: float = Field(0.4, ge=0, le=1, description="eta, share of the similarity of similarities")
    scale: float = Field(1.5, gt=0, le=100, description="mu, factor of the similarity")
    image_weight: float = Field(0.1, ge=0, le=1000, description="l1, weight of image codes against each other")
    text_weight: float = Field(0.1, ge=0, le=1000, description="l2, weight of text codes against each other")
    trained: Literal["all", "hidden", "none"] = Field(
        "all", description="trained layers of the backbone: all of them, the fully connected ones, or none"
    )

    def similarity(self, features: Tensor, texts: Tensor) -> Tensor:
        image_similarity, text_similarity = (2 * cosines(rows, rows) - 1 for rows in (features, texts))
        joint = self.image_share * image_similarity + (1 - self.image_share) * text_similarity
        return self.scale * ((1 - self.second_order) * joint + self.second_order * (joint @ joint.T) / len(joint))

    def similarity_loss(self, images: Tensor, texts: Tensor, similarity: Tensor) -> Tensor:
        cross_modal = mse_loss(cosines(images, texts), similarity)
        within_images = mse_loss(cosines(images, images), similarity)
        within_texts = mse_loss(cosines(texts, texts), similarity)
        return cross_modal + self.image_weight * within_images + self.text_weight * within_texts

    def trained_image_modules(self, network: CrossModalNetwork) -> list[nn.Module]:
        if self.trained == "none":
            return [network.image_head]
        if self.trained == "all":
            return [network.image_head, network.features]
        return [network.image_head, *(network.features.get_submodule(name) for name in HIDDEN_LAYERS[self.backbone])]

    def image_reader(self, network: CrossModalNetwork, data: TrainingData, ctx: Context) -> ImageReader:
        features = initial_features(network, data, ctx)

        def read(rows: Tensor) -> ImageBatch:
            initial = features[rows.to(ctx.device)]
            if self.trained == "none":
                return ImageBatch(initial, network.from_features(initial))
            return ImageBatch(initial, network.image(data.images(rows.tolist())))

        return read


def initial_features(network: CrossModalNetwork, data: TrainingData, ctx: Context) -> Tensor:
    """Return the features of all training images by the backbone before training: float32 (N, F)."""
    with torch.no_grad(), ctx.autocast():
        return torch.cat([network.features(data.images(rows)).float() for rows in ctx.batches(len(data))])
