"""The small backbone, taught by the texts of the training pictures in place of their labels."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from retbench import Context, Facts, State, TrainingData
from retbench_hashers.backbone import Backbone
from retbench_hashers.conv import ConvFeatures
from retbench_hashers.optimisation import Optimisation
from retbench_hashers.training import Moment, Training

SPREAD = 1e-6
"""Deviation below which a column of the texts says nothing and is left as it is."""


class ConvWords(Backbone):
    """`conv`, taught to read the text that goes with a picture: no label is looked at.

    An unsupervised hasher must not start from features that labels taught. Mean squared error of the text, each of its
    columns standardised over the training split, so that rare words and dense features count alike.
    """

    name: ClassVar[str] = "conv-words"
    source: ClassVar[str] = "this benchmark's own network; regression of the paired text"

    epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split")
    peak: float = Field(2e-3, gt=0, le=1, description="highest learning rate of the one-cycle schedule")
    batch: int = Field(32, ge=2, le=65_536, description="training images a step, at most")

    def build(self) -> ConvFeatures:
        return ConvFeatures()

    def supports(self, facts: Facts) -> str | None:
        if not facts.text_width:
            return f"texts teach it, and dataset {facts.dataset} has none"
        return super().supports(facts)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Returns the weights of the features; the layer that read the texts is dropped."""
        features = self.build()
        reader = nn.Sequential(features, nn.Linear(features.width, inputs.facts.text_width)).to(ctx.device)
        texts = standardised(inputs.texts(range(len(inputs))))

        def batch_loss(rows: Tensor, moment: Moment) -> Tensor:
            images = inputs.images(rows.tolist())
            with ctx.autocast():
                read = reader(images)
            return mse_loss(read.float(), texts[rows.to(ctx.device)])

        training = Training(self.epochs, self.batch, Optimisation("adamw", self.peak))
        ctx.record("loss", training.run(reader, batch_loss, len(inputs), ctx))
        return features.state_dict()


def standardised(texts: Tensor) -> Tensor:
    """Returns float (N, T) with columns of mean 0 and deviation 1; a column that does not vary becomes 0."""
    deviations = texts.std(dim=0, correction=0)
    return (texts - texts.mean(dim=0)) / deviations.where(deviations > SPREAD, 1.0)
