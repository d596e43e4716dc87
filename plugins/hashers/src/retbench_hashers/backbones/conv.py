"""A small convolutional backbone, and the warm-up on labels that replaces weights learned on ImageNet."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from retbench import Context, State, TrainingData
from retbench_hashers.backbones.backbone import Backbone
from retbench_hashers.backbones.features import Features
from retbench_hashers.optimizer_settings import OptimizerSettings
from retbench_hashers.training import Training, TrainingStep


class Conv(Backbone):
    """Six convolutions and one hidden layer, trained to classify the training images.

    From random weights the pairwise losses collapse: a whole database gets about ten distinct codes. Published hashers
    start from ImageNet weights; for this network a few epochs of multi-label cross-entropy are enough.
    """

    name: ClassVar[str] = "conv"
    source: ClassVar[str] = "this benchmark's own network; binary cross-entropy on every class"

    epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split")
    peak_learning_rate: float = Field(2e-3, gt=0, le=1, description="highest learning rate of the one-cycle schedule")
    batch_size: int = Field(32, ge=2, le=65_536, description="maximum number of training images per step")

    def build(self) -> ConvFeatures:
        return ConvFeatures()

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Return the weights of the features without the classifier; record the mean `loss` of each epoch."""
        features = self.build()
        classifier = nn.Sequential(features, nn.Linear(features.width, len(inputs.facts.classes))).to(ctx.device)
        targets = inputs.labels.float()

        def batch_loss(rows: Tensor, step: TrainingStep) -> Tensor:
            images = inputs.images(rows.tolist())
            with ctx.autocast():
                logits = classifier(images)
            return binary_cross_entropy_with_logits(logits.float(), targets[rows.to(ctx.device)])

        training = Training(self.epochs, self.batch_size, OptimizerSettings("adamw", self.peak_learning_rate))
        training.run(classifier, batch_loss, len(inputs), ctx)
        return features.state_dict()


class ConvFeatures(Features):
    """The network of `Conv`: three strides of 2, max pooling to 2 x 2, 256 rectified features; 557 216 weights."""

    width = 256
    min_side = 8

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            _convolution_block(3, 32, stride=1),
            _convolution_block(32, 64, stride=2),
            _convolution_block(64, 64, stride=1),
            _convolution_block(64, 128, stride=2),
            _convolution_block(128, 128, stride=1),
            _convolution_block(128, 128, stride=2),
            nn.AdaptiveMaxPool2d(2),
        )
        self.hidden = nn.Linear(128 * 2 * 2, self.width)

    def forward(self, images: Tensor) -> Tensor:
        """Return non-negative features (B, 256) of images in [0, 1]; the network scales pixels to [-1, 1]."""
        maxima: Tensor = self.convolutions((images - 0.5) / 0.5)
        return torch.relu(self.hidden(maxima.flatten(1)))


def _convolution_block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
