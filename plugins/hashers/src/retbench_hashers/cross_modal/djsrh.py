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
"""Names of the fully connected layers of each backbone."""


class DJSRH(JointSimilarityHasher):
    """Codes whose cosines reconstruct a joint similarity of images and texts, of first and second order.

    With S_I = 2 cos - 1 of the images' features, S_T the same of the texts, and m pairs in the batch,

        S~ = beta S_I + (1 - beta) S_T,    S = mu [ (1 - eta) S~ + eta S~ S~' / m ],
        L  = l1 mse(cos(u, u), S) + mse(cos(u, v), S) + l2 mse(cos(v, v), S)

    for relaxed codes u of images and v of texts. The features in S are computed once, by the backbone before training;
    the backbone under the codes is trained (`trained`), so no features are stored for it. Published values:

    | dataset | image_share | intra weights | epochs | image_learning_rate | text_learning_rate | trained |
    | --- | --- | --- | --- | --- | --- | --- |
    | FLICKR-25K, the defaults | 0.9 | 0.1 | 80 | 0.001 | 0.01 | all |
    | NUS-WIDE | 0.6 | 0.1 | 80 | 0.001 | 0.01 | all |
    | WIKI | 0.3 | 0.3 | 200 | 0.01 | 0.01 | hidden |

    They are for AlexNet. Its dropout is active where it is trained and off where it is not.
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
        of_images, of_texts = (2 * cosines(rows, rows) - 1 for rows in (features, texts))
        joint = self.image_share * of_images + (1 - self.image_share) * of_texts
        return self.scale * ((1 - self.second_order) * joint + self.second_order * (joint @ joint.T) / len(joint))

    def mismatch(self, images: Tensor, texts: Tensor, similarity: Tensor) -> Tensor:
        across = mse_loss(cosines(images, texts), similarity)
        within_images = mse_loss(cosines(images, images), similarity)
        within_texts = mse_loss(cosines(texts, texts), similarity)
        return across + self.image_weight * within_images + self.text_weight * within_texts

    def learners(self, network: CrossModalNetwork) -> list[nn.Module]:
        if self.trained == "none":
            return [network.image_head]
        if self.trained == "all":
            return [network.image_head, network.features]
        return [network.image_head, *(network.features.get_submodule(name) for name in HIDDEN_LAYERS[self.backbone])]

    def reader(self, network: CrossModalNetwork, data: TrainingData, ctx: Context) -> ImageReader:
        features = start_features(network, data, ctx)

        def read(rows: Tensor) -> ImageBatch:
            start = features[rows.to(ctx.device)]
            if self.trained == "none":
                return ImageBatch(start, network.from_features(start))
            return ImageBatch(start, network.image(data.images(rows.tolist())))

        return read


def start_features(network: CrossModalNetwork, data: TrainingData, ctx: Context) -> Tensor:
    """Return float32 (N, F): the features of all training images, by the backbone before training."""
    with torch.no_grad(), ctx.autocast():
        return torch.cat([network.features(data.images(rows)).float() for rows in ctx.batches(len(data))])
