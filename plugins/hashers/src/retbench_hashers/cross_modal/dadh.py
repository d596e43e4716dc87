"""Deep adversarial discrete hashing.

Bai, Zeng, Ma, Zhang and Chen 2020, "Deep Adversarial Discrete Hashing for Cross-Modal Retrieval", ICMR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Context, Course, Facts, State, TrainingData, relax
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalHasher, CrossModalNetwork
from retbench_hashers.cross_modal.dadh_losses import (
    Interpolation,
    adversarial_loss,
    discriminator_loss,
    quantization_loss,
    triplet_loss,
    update_codes,
)

DECAY_FACTOR, DECAY_PERIOD, MIN_LEARNING_RATE = 0.8, 100, 1e-6
"""Learning rate of the branches: decay factor, number of epochs between decays, and minimum."""

Width = Annotated[int, Field(ge=1, le=65_536)]


class DADH(CrossModalHasher):
    """Two branches trained towards the same discrete codes, and texts trained to look like images.

    With f the inputs of the hash layer and h the relaxed codes of a batch, of images (v) and texts (t), and B the
    discrete codes of its rows,

        L = alpha [T(h_v, h_t) + T(h_t, h_v)] + beta (|B - h_v|^2 + |B - h_t|^2)
            - gamma mean log s(D_f(f_t)) - gamma mean log s(D_h(h_t)),

    where T is a triplet loss weighted by the number of shared classes, and the discriminators D_f and D_h distinguish
    images from texts, with a gradient penalty. A step updates D_f, then D_h, then the branches. B starts as random
    signs; after each epoch it is computed in closed form from the labels and, with a tiny weight, the outputs.

    As in the published code, triplets and quantization are summed over the batch and the other terms averaged. For D_h
    the texts pass their hidden layers a second time, without a gradient there, so that this term trains the hash layer
    only and batch normalization counts each text twice. The learning rate of the branches is multiplied by 0.8 at the
    end of epochs 1, 101, 201 and so on, down to 1e-6. The code adds 0.1 to its beta of 1 before training, hence 1.1.

    An anchor without a label adds nothing to the weighted triplets; the published loss is NaN for it. Later code by an
    author of TA-DCH leaves the triplets out (`triplet: none`), probably for MS-COCO, which has such images.

    The published loader standardizes the features by mean and deviation of all images, including the queries;
    `standardize` uses those of the training images. The hashers that TA-DCH attacks get pixels and do not standardize.

    The published code keeps the epoch with the best MAP of the test queries, and thus selects a network on the queries
    that evaluate it. Here the last epoch is kept. Partial batches are kept, as published, except that a last batch of a
    single row, for which batch normalization is undefined, joins the one before.
    """

    name: ClassVar[str] = "dadh"
    source: ClassVar[str] = "Bai et al. 2020; the published code of March 2021"
    uses_labels: ClassVar[bool] = True

    hidden: tuple[Width, Width, Width] = Field(
        (8192, 4096, 2048), description="widths of the hidden layers of each branch"
    )
    dropout: bool = Field(False, description="drop half of each hidden layer in training (as the script for NUS-WIDE)")
    standardize: bool = Field(
        False,
        description="standardize image features by one mean and one deviation, those of all training features",
    )
    feature_critic: tuple[Width, ...] = Field(
        (1024, 512), description="widths of the hidden layers of the discriminator of features"
    )
    code_critic: tuple[Width, ...] = Field(
        (512,), description="widths of the hidden layers of the discriminator of codes"
    )
    interpolation: Interpolation = Field(
        "element",
        description="points of the gradient penalty: a mixing weight drawn per element, or per sample",
    )
    penalty: float = Field(10.0, ge=0, le=1e4, description="weight of the gradient penalty")
    triplet: Literal["weighted", "unweighted", "none"] = Field(
        "weighted", description="triplet loss: pairs weighted by the number of shared classes, unweighted, or none"
    )
    margin: float = Field(0.4, ge=0, le=2, description="margin of the triplet loss, in cosine distance")
    triplet_weight: float = Field(10.0, ge=0, le=1e4, description="alpha, weight of the triplet loss")
    quantization: float = Field(1.1, ge=0, le=1e4, description="beta, weight of the distance to the codes")
    adversarial: float = Field(1.0, ge=0, le=1e4, description="gamma, weight of the adversarial losses")
    ridge: float = Field(1.0, gt=0, le=1e6, description="lambda, ridge penalty of the regression of codes on labels")
    output_share: float = Field(1e-5, ge=0, le=1e4, description="mu, weight of the outputs in the codes")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="learning rate of Adam (NUS-WIDE's script: 1e-5)")
    weight_decay: float = Field(5e-4, ge=0, le=1, description="weight decay of the branches")
    critic_weight_decay: float = Field(1e-4, ge=0, le=1, description="weight decay of the discriminators")
    batch_size: int = Field(128, ge=2, le=2048, description="training rows per step; the last batch may have one more")
    epochs: int = Field(300, ge=1, le=10_000, description="passes over the training split")

    def image_head(self, width: int, bits: int) -> Branch:
        return Branch(width, self.hidden, bits, dropout=self.dropout)

    def text_head(self, width: int, bits: int) -> Branch:
        return Branch(width, self.hidden, bits, dropout=self.dropout)

    def supports(self, facts: Facts) -> str | None:
        if facts.sizes["train"] < 2:
            return f"too few training rows: got {facts.sizes['train']}, expected at least 2 for batch normalization"
        return super().supports(facts)

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights of both branches; record the mean of each loss in each epoch."""
        network = self.initial_network(data, ctx)
        if self.standardize:
            cast(Branch, network.image_head).scaling.set(*_mean_and_deviation(data))
        run = _TrainingRun(self, network, data, ctx)
        for epoch in range(run.course.epoch, self.epochs):
            run.run_epoch(epoch)
        run.course.record()
        return network.state_dict()


class _BranchOutputs(NamedTuple):
    """Outputs of both branches for a batch: features (B, hidden[-1]) and relaxed codes (B, K), float32."""

    image_features: Tensor
    image_codes: Tensor
    text_features: Tensor
    text_codes: Tensor


class _TrainingRun:
    """State of a training: branches, discriminators, discrete codes and progress."""

    def __init__(self, options: DADH, network: CrossModalNetwork, data: TrainingData, ctx: Context) -> None:
        self.options, self.data, self.ctx = options, data, ctx
        self.image = cast(Branch, network.image_head).train()
        self.text = cast(Branch, network.text_head).train()
        self.texts = data.texts(range(len(data)))
        bits = data.facts.bits
        self.discriminators = {
            "feature_critic": _Discriminator.build(options, (options.hidden[-1], *options.feature_critic), ctx.device),
            "code_critic": _Discriminator.build(options, (bits, *options.code_critic), ctx.device),
        }
        self.codes = 2.0 * torch.randint(2, (len(data), bits)).to(ctx.device) - 1
        self.code_sums = torch.zeros_like(self.codes)
        weights = [*self.image.parameters(), *self.text.parameters()]
        self.optimizer = torch.optim.Adam(weights, lr=options.learning_rate, weight_decay=options.weight_decay)
        self.course = Course(
            ctx,
            {
                "image": self.image,
                "text": self.text,
                "optimizer": self.optimizer,
                **{name: discriminator.network for name, discriminator in self.discriminators.items()},
                **{f"{name}_optimizer": discriminator.optimizer for name, discriminator in self.discriminators.items()},
            },
            {"codes": self.codes},
        )

    def run_epoch(self, epoch: int) -> None:
        """Take the steps of an epoch, then update the discrete codes."""
        for group in self.optimizer.param_groups:
            group["lr"] = scheduled_learning_rate(self.options.learning_rate, epoch)
        batches = split_batches(self.course.shuffle(len(self.data)), self.options.batch_size)
        steps = []
        for rows in batches:
            steps.append(self.take_step(rows))
            self.course.advance(self.options.epochs * len(batches))
        self.codes.copy_(self.next_codes())
        self.course.close_epoch(_mean_losses(steps))

    def next_codes(self) -> Tensor:
        """Return the discrete codes (N, K) of the next epoch."""
        ridge, share = self.options.ridge, self.options.output_share
        return update_codes(self.codes, self.data.labels, self.code_sums, ridge=ridge, share=share)

    def take_step(self, rows: Tensor) -> dict[str, Tensor]:
        """Take a step of each discriminator and of the branches on rows int64 (B,), and return the losses."""
        features, rows = self.data.features(rows.tolist()), rows.to(self.ctx.device)
        texts, labels = self.texts[rows], self.data.labels[rows]
        outputs = self.encode(features, texts)
        self.code_sums[rows] = (outputs.image_codes + outputs.text_codes).detach()
        discriminator_losses = {
            "feature_critic": self.train_discriminator("feature_critic", outputs.image_features, outputs.text_features),
            "code_critic": self.train_discriminator("code_critic", outputs.image_codes, outputs.text_codes),
        }
        losses = {
            **self.weighted_triplets(outputs, labels),
            "quantization": self.weighted_quantization(outputs, self.codes[rows]),
            "adversarial": self.weighted_adversarial(outputs.text_features, texts),
        }
        # The discriminators get gradients from this too; their next step clears them.
        total = self.course.descend(self.optimizer, torch.stack(list(losses.values())).sum())
        return {"loss": total, **{name: loss.detach() for name, loss in losses.items()}, **discriminator_losses}

    def train_discriminator(self, name: str, images: Tensor, texts: Tensor) -> Tensor:
        """Take a step of a discriminator, and return its loss on features or codes (B, F) of images and texts."""
        discriminator, options = self.discriminators[name], self.options
        loss = discriminator_loss(
            discriminator.network,
            images.detach(),
            texts.detach(),
            weight=options.adversarial,
            penalty=options.penalty,
            interpolation=options.interpolation,
        )
        return self.course.descend(discriminator.optimizer, loss, name, falls=False)

    def encode(self, features: Tensor, texts: Tensor) -> _BranchOutputs:
        """Return the outputs of both branches for image features (B, F) and texts (B, T)."""
        with self.ctx.autocast():
            image_features, text_features = self.image.features(features), self.text.features(texts)
            image_logits, text_logits = self.image.hash(image_features), self.text.hash(text_features)
        image_codes, text_codes = relax(image_logits.float()), relax(text_logits.float())
        return _BranchOutputs(image_features.float(), image_codes, text_features.float(), text_codes)

    def weighted_triplets(self, outputs: _BranchOutputs, labels: Tensor) -> dict[str, Tensor]:
        """Return the weighted triplet loss of both directions as `triplet`; empty for `triplet: none`."""
        options = self.options
        if options.triplet == "none":
            return {}
        weighted = options.triplet == "weighted"
        both = (outputs.image_codes, outputs.text_codes), (outputs.text_codes, outputs.image_codes)
        losses = [triplet_loss(*codes, labels, options.margin, weighted=weighted) for codes in both]
        return {"triplet": options.triplet_weight * torch.stack(losses).sum()}

    def weighted_quantization(self, outputs: _BranchOutputs, codes: Tensor) -> Tensor:
        """Return the weighted quantization loss of both modalities for the codes (B, K)."""
        return self.options.quantization * quantization_loss(codes, outputs.image_codes, outputs.text_codes)

    def weighted_adversarial(self, text_features: Tensor, texts: Tensor) -> Tensor:
        """Return the weighted adversarial loss of the texts, on features and on codes.

        The hidden layers run again: batch normalization counts each text twice, and dropout drops other units.
        """
        with self.ctx.autocast():
            with torch.no_grad():
                second_features = self.text.features(texts)
            logits = self.text.hash(second_features)
        feature_loss = adversarial_loss(self.discriminators["feature_critic"].network(text_features))
        code_loss = adversarial_loss(self.discriminators["code_critic"].network(relax(logits.float())))
        return self.options.adversarial * (feature_loss + code_loss)


class _Discriminator(NamedTuple):
    """A discriminator and its optimizer; it runs in float32 at any precision because of its gradient penalty."""

    network: nn.Module
    optimizer: torch.optim.Adam

    @classmethod
    def build(cls, options: DADH, widths: tuple[int, ...], device: torch.device) -> _Discriminator:
        """Return an untrained discriminator of vectors with `widths[0]` elements."""
        network = build_discriminator(widths).to(device)
        adam = torch.optim.Adam(
            network.parameters(),
            lr=options.learning_rate,
            betas=(0.5, 0.9),
            weight_decay=options.critic_weight_decay,
        )
        return cls(network, adam)


def scheduled_learning_rate(first: float, epoch: int) -> float:
    """Return the learning rate of the branches in `epoch`, counted from 0; `first` is that of epoch 0.

    It decays at the end of epochs 1, 101, 201 and so on, counted from 1. A first rate below the minimum is kept.
    """
    decays = -(-epoch // DECAY_PERIOD)
    return max(first * DECAY_FACTOR**decays, min(first, MIN_LEARNING_RATE))


def split_batches(order: Tensor, batch: int) -> list[Tensor]:
    """Return `order` int64 (N,) in batches of `batch` rows; a last batch of one row joins the one before."""
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _mean_losses(steps: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Return the mean of each loss over the steps of an epoch."""
    return {name: float(torch.stack([losses[name] for losses in steps]).mean()) for name in steps[0]}


def _mean_and_deviation(data: TrainingData) -> tuple[float, float]:
    """Return mean and standard deviation over all elements of all training features."""
    count, total, squares = 0, 0.0, 0.0
    for start in range(0, len(data), 1024):
        features = data.features(range(start, min(start + 1024, len(data)))).double()
        count += features.numel()
        total += float(features.sum())
        squares += float(features.square().sum())
    mean = total / count
    return mean, max(squares / count - mean**2, 0.0) ** 0.5


class Branch(nn.Module):
    """Hidden layers with batch normalization, and a linear hash layer.

    Weights have PyTorch's default initialization: the published code defines another one but never calls it.

    Args:
        width: number of features of an input, F.
        hidden: widths of the hidden layers.
        bits: code length K.
        dropout: whether half of each hidden layer is dropped in training.
    """

    def __init__(self, width: int, hidden: Sequence[int], bits: int, *, dropout: bool) -> None:
        super().__init__()
        self.scaling = Scaling()
        layers = [_hidden_layer(*sizes, dropout=dropout) for sizes in pairwise((width, *hidden))]
        self.hidden = nn.Sequential(*layers)
        self.hash = nn.Linear(hidden[-1], bits)

    def features(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the last hidden layer, (B, hidden[-1]), not negative."""
        features: Tensor = self.hidden(self.scaling(inputs))
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, K) of inputs (B, F)."""
        logits: Tensor = self.hash(self.features(inputs))
        return logits


class Scaling(nn.Module):
    """Scaling to (x - mean) / deviation with one mean and one deviation for all features; at first 0 and 1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("deviation", torch.tensor(1.0))

    def set(self, mean: float, deviation: float) -> None:
        """Set mean and deviation; a deviation of 0 becomes 1."""
        self.mean.fill_(mean)
        self.deviation.fill_(deviation or 1.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scaled inputs."""
        return (inputs - self.mean) / self.deviation


def build_discriminator(widths: Sequence[int]) -> nn.Sequential:
    """Return a network from `widths[0]` inputs to one logit; weights as in He et al. 2015, biases zero."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((*widths, 1)):
        layers += [_initialized(nn.Linear(inputs, outputs)), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


def _hidden_layer(inputs: int, outputs: int, *, dropout: bool) -> nn.Sequential:
    layers = [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Dropout(0.5)) if dropout else nn.Sequential(*layers)


def _initialized(layer: nn.Linear) -> nn.Linear:
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
