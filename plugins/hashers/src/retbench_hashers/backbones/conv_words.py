"""The small backbone, trained on the texts of the training images instead of their labels."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from retbench import Context, Facts, State, TrainingData
from retbench_hashers.backbones.backbone import Backbone
from retbench_hashers.backbones.conv import ConvFeatures
from retbench_hashers.optimizer_settings import OptimizerSettings
from retbench_hashers.training import Training, TrainingStep

MIN_DEVIATION = 1e-6
"""A column of the texts with a smaller standard deviation counts as constant and is not scaled."""


class ConvWords(Backbone):
    """`conv`, trained to predict the text paired with an image; labels are not used.

    An unsupervised hasher must not start from features that were learned from labels. The loss is the mean squared
    error of the text. Each column is standardized over the training split, so that rare words weigh as much as
    frequent ones.
    """

    name: ClassVar[str] = "conv-words"
    source: ClassVar[str] = "this benchmark's own network; regression of the paired text"

    epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split")
    peak_learning_rate: float = Field(2e-3, gt=0, le=1, description="highest learning rate of the one-cycle schedule")
    batch_size: int = Field(32, ge=2, le=65_536, description="maximum number of training images per step")

    def build(self) -> ConvFeatures:
        return ConvFeatures()

    def supports(self, facts: Facts) -> str | None:
        if not facts.text_width:
            return f"needs texts: dataset {facts.dataset} has no texts; take one with texts"
        return super().supports(facts)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Return the weights of the features without the text layer; record the mean `loss` of each epoch."""
        features = self.build()
        predictor = nn.Sequential(features, nn.Linear(features.width, inputs.facts.text_width)).to(ctx.device)
        texts = standardize(inputs.texts(range(len(inputs))))

        def batch_loss(rows: Tensor, step: TrainingStep) -> Tensor:
            images = inputs.images(rows.tolist())
            with ctx.autocast():
                predicted = predictor(images)
            return mse_loss(predicted.float(), texts[rows.to(ctx.device)])

        training = Training(self.epochs, self.batch_size, OptimizerSettings("adamw", self.peak_learning_rate))
        training.run(predictor, batch_loss, len(inputs), ctx)
        return features.state_dict()


def standardize(texts: Tensor) -> Tensor:
    """Return texts (N, T) with mean 0 and deviation 1 in each column; a constant column becomes 0."""
    deviations = texts.std(dim=0, correction=0)
    return (texts - texts.mean(dim=0)) / deviations.where(deviations > MIN_DEVIATION, 1.0)
