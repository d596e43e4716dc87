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
    updated_codes,
)

DECAY, PERIOD, FLOOR = 0.8, 100, 1e-6
"""The branches' learning rate: its factor, the epochs between two decreases, and its lowest value."""

Width = Annotated[int, Field(ge=1, le=65_536)]


class DADH(CrossModalHasher):
    """Two branches drawn to the same discrete codes, with an adversarial loss that makes texts look like images.

    With f the features under the hash layer and h the relaxed codes of a batch, of images (v) and texts (t), and B the
    discrete codes of its rows,

        L = alpha [T(h_v, h_t) + T(h_t, h_v)] + beta (|B - h_v|^2 + |B - h_t|^2)
            - gamma mean log s(D_f(f_t)) - gamma mean log s(D_h(h_t)),

    where T is a triplet loss weighted by how many classes a pair shares, and the discriminators D_f and D_h distinguish
    images from texts under a gradient penalty. A step updates the discriminators first, features before codes, then the
    branches. After an epoch B is computed in closed form from the labels and, with a tiny share, the outputs; it starts
    as random signs.

    As in the published code: triplets and quantization are summed over the batch and the others averaged; the text of
    D_h goes through its hidden layers a second time, without a gradient there, so that it trains the hash layer alone
    and batch normalization counts each text twice; the branches' learning rate is multiplied by 0.8 at the end of
    epochs 1, 101, 201 and so on, down to 1e-6. The code adds 0.1 to its own beta of 1 before it starts, hence 1.1.

    An anchor without a label adds nothing to the weighted triplets, where the published loss is NaN. A later code of an
    author of TA-DCH leaves the triplets out (`triplet: none`), probably for MS-COCO, which has such images.

    The published loader standardizes the features by the mean and deviation of all images, the queries among them;
    `standardize` takes those of the training images. The victims of TA-DCH see pixels and do not standardize.

    The published code keeps the epoch with the best MAP of the test queries, which selects a network by the queries
    that evaluate it. That is not offered: the last epoch is kept. Partial batches are kept, as published, but a last
    one of a single row, for which batch normalization is undefined, joins the batch before.
    """

    name: ClassVar[str] = "dadh"
    source: ClassVar[str] = "Bai et al. 2020; the published code of March 2021"
    uses_labels: ClassVar[bool] = True

    hidden: tuple[Width, Width, Width] = Field((8192, 4096, 2048), description="outputs of each branch's hidden layers")
    dropout: bool = Field(False, description="half of each hidden layer is dropped in training (NUS-WIDE's script)")
    standardize: bool = Field(
        False,
        description="features of images are shifted and scaled by one mean and one deviation, of the training images",
    )
    feature_critic: tuple[Width, ...] = Field((1024, 512), description="hidden layers of the features' discriminator")
    code_critic: tuple[Width, ...] = Field((512,), description="hidden layers of the codes' discriminator")
    interpolation: Interpolation = Field(
        "element",
        description="points of the gradient penalty: a mixing share drawn for each element, or for each sample",
    )
    penalty: float = Field(10.0, ge=0, le=1e4, description="weight of the gradient penalty")
    triplet: Literal["weighted", "unweighted", "none"] = Field(
        "weighted", description="triplet loss: by how many classes a pair shares, all pairs alike, or none"
    )
    margin: float = Field(0.4, ge=0, le=2, description="cosine distance by which a negative has to be farther away")
    triplet_weight: float = Field(10.0, ge=0, le=1e4, description="alpha, weight of the triplet loss")
    quantization: float = Field(1.1, ge=0, le=1e4, description="beta, weight of the distance to the codes")
    adversarial: float = Field(1.0, ge=0, le=1e4, description="gamma, weight of the adversarial losses")
    ridge: float = Field(1.0, gt=0, le=1e6, description="lambda, ridge of the codes' regression on labels")
    output_share: float = Field(1e-5, ge=0, le=1e4, description="mu, share of the outputs in the codes")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="learning rate of Adam (NUS-WIDE's script: 1e-5)")
    weight_decay: float = Field(5e-4, ge=0, le=1, description="weight decay of the branches")
    critic_weight_decay: float = Field(1e-4, ge=0, le=1, description="weight decay of the discriminators")
    batch_size: int = Field(128, ge=2, le=2048, description="training rows a step, at most one more")
    epochs: int = Field(300, ge=1, le=10_000, description="passes over the training split")

    def image_head(self, width: int, bits: int) -> Branch:
        return Branch(width, self.hidden, bits, dropout=self.dropout)

    def text_head(self, width: int, bits: int) -> Branch:
        return Branch(width, self.hidden, bits, dropout=self.dropout)

    def supports(self, facts: Facts) -> str | None:
        if facts.sizes["train"] < 2:
            return f"batch normalization takes two training rows or more, and dataset {facts.dataset} has fewer"
        return super().supports(facts)

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights of both branches; records the mean of each loss in each epoch."""
        network = self.begin(data, ctx)
        if self.standardize:
            cast(Branch, network.image_head).scaling.set(*_mean_and_deviation(data))
        run = _Run(self, network, data, ctx)
        for epoch in range(run.course.epoch, self.epochs):
            run.epoch(epoch)
        run.course.record()
        return network.state_dict()


class _Pair(NamedTuple):
    """Outputs of the branches for a batch: features (B, hidden[-1]) and relaxed codes (B, K), float32."""

    image_features: Tensor
    image_codes: Tensor
    text_features: Tensor
    text_codes: Tensor


class _Run:
    """Branches, discriminators, discrete codes and progress of a training."""

    def __init__(self, options: DADH, network: CrossModalNetwork, data: TrainingData, ctx: Context) -> None:
        self.options, self.data, self.ctx = options, data, ctx
        self.image = cast(Branch, network.image_head).train()
        self.text = cast(Branch, network.text_head).train()
        self.texts = data.texts(range(len(data)))
        bits = data.facts.bits
        self.critics = {
            "feature_critic": _Critic.draw(options, (options.hidden[-1], *options.feature_critic), ctx.device),
            "code_critic": _Critic.draw(options, (bits, *options.code_critic), ctx.device),
        }
        self.codes = 2.0 * torch.randint(2, (len(data), bits)).to(ctx.device) - 1
        self.outputs = torch.zeros_like(self.codes)
        weights = [*self.image.parameters(), *self.text.parameters()]
        self.optimizer = torch.optim.Adam(weights, lr=options.learning_rate, weight_decay=options.weight_decay)
        self.course = Course(
            ctx,
            {
                "image": self.image,
                "text": self.text,
                "optimizer": self.optimizer,
                **{name: critic.network for name, critic in self.critics.items()},
                **{f"{name}_optimizer": critic.optimizer for name, critic in self.critics.items()},
            },
            {"codes": self.codes},
        )

    def epoch(self, epoch: int) -> None:
        """Take the steps of an epoch, then compute the codes of the next."""
        for group in self.optimizer.param_groups:
            group["lr"] = scheduled_rate(self.options.learning_rate, epoch)
        batches = split_rows(self.course.shuffle(len(self.data)), self.options.batch_size)
        steps = []
        for rows in batches:
            steps.append(self.step(rows))
            self.course.advance(self.options.epochs * len(batches))
        self.codes.copy_(self.next_codes())
        self.course.close_epoch(_means(steps))

    def next_codes(self) -> Tensor:
        """Return the codes (N, K) that the next epoch is drawn to."""
        ridge, share = self.options.ridge, self.options.output_share
        return updated_codes(self.codes, self.data.labels, self.outputs, ridge=ridge, share=share)

    def step(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the losses of the batch at `rows` int64 (B,), after a step of each critic and of the branches."""
        features, rows = self.data.features(rows.tolist()), rows.to(self.ctx.device)
        texts, labels = self.texts[rows], self.data.labels[rows]
        pair = self.encode(features, texts)
        self.outputs[rows] = (pair.image_codes + pair.text_codes).detach()
        critic_losses = {
            "feature_critic": self.train_critic("feature_critic", pair.image_features, pair.text_features),
            "code_critic": self.train_critic("code_critic", pair.image_codes, pair.text_codes),
        }
        losses = {
            **self.triplets(pair, labels),
            "quantization": self.distance(pair, self.codes[rows]),
            "adversarial": self.adversary(pair.text_features, texts),
        }
        # The critics get gradients from this too, which their own next step clears.
        total = self.course.descend(self.optimizer, torch.stack(list(losses.values())).sum())
        return {"loss": total, **{name: loss.detach() for name, loss in losses.items()}, **critic_losses}

    def train_critic(self, name: str, images: Tensor, texts: Tensor) -> Tensor:
        """Take a step of a discriminator, and return its loss on features or codes (B, F) of images and texts."""
        critic, options = self.critics[name], self.options
        loss = discriminator_loss(
            critic.network,
            images.detach(),
            texts.detach(),
            weight=options.adversarial,
            penalty=options.penalty,
            between=options.interpolation,
        )
        return self.course.descend(critic.optimizer, loss, name)

    def encode(self, features: Tensor, texts: Tensor) -> _Pair:
        """Return the outputs of the branches for features (B, F) of images and for their texts (B, T)."""
        with self.ctx.autocast():
            image_features, text_features = self.image.features(features), self.text.features(texts)
            image_logits, text_logits = self.image.hash(image_features), self.text.hash(text_features)
        image_codes, text_codes = relax(image_logits.float()), relax(text_logits.float())
        return _Pair(image_features.float(), image_codes, text_features.float(), text_codes)

    def triplets(self, pair: _Pair, labels: Tensor) -> dict[str, Tensor]:
        """Return the weighted triplet loss of both directions under its name; empty for `triplet: none`."""
        options = self.options
        if options.triplet == "none":
            return {}
        weighted = options.triplet == "weighted"
        both = (pair.image_codes, pair.text_codes), (pair.text_codes, pair.image_codes)
        losses = [triplet_loss(*codes, labels, options.margin, weighted=weighted) for codes in both]
        return {"triplet": options.triplet_weight * torch.stack(losses).sum()}

    def distance(self, pair: _Pair, codes: Tensor) -> Tensor:
        """Return the weighted distance of both modalities to their codes (B, K)."""
        return self.options.quantization * quantization_loss(codes, pair.image_codes, pair.text_codes)

    def adversary(self, text_features: Tensor, texts: Tensor) -> Tensor:
        """Return the weighted adversarial loss of the texts, by features and by codes.

        The hidden layers run once more, so batch normalization counts each text twice and dropout drops other units.
        """
        with self.ctx.autocast():
            with torch.no_grad():
                again = self.text.features(texts)
            logits = self.text.hash(again)
        by_features = adversarial_loss(self.critics["feature_critic"].network(text_features))
        by_codes = adversarial_loss(self.critics["code_critic"].network(relax(logits.float())))
        return self.options.adversarial * (by_features + by_codes)


class _Critic(NamedTuple):
    """A discriminator and its optimizer. It computes in float32 at any precision, as its gradient penalty does."""

    network: nn.Module
    optimizer: torch.optim.Adam

    @classmethod
    def draw(cls, options: DADH, widths: tuple[int, ...], device: torch.device) -> _Critic:
        """Return an untrained discriminator of vectors of `widths[0]` numbers."""
        network = discriminator(widths).to(device)
        adam = torch.optim.Adam(
            network.parameters(),
            lr=options.learning_rate,
            betas=(0.5, 0.9),
            weight_decay=options.critic_weight_decay,
        )
        return cls(network, adam)


def scheduled_rate(first: float, epoch: int) -> float:
    """Return the branches' learning rate in `epoch`, counted from 0, where `first` is that of the first.

    It falls at the end of epochs 1, 101, 201 and so on, counted from 1; a first rate below the floor stays.
    """
    falls = -(-epoch // PERIOD)
    return max(first * DECAY**falls, min(first, FLOOR))


def split_rows(order: Tensor, batch: int) -> list[Tensor]:
    """Return `order` int64 (N,) in batches of `batch` rows and a rest; a rest of one row joins the batch before."""
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _means(steps: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Return the mean of each loss over the steps of an epoch."""
    return {name: float(torch.stack([losses[name] for losses in steps]).mean()) for name in steps[0]}


def _mean_and_deviation(data: TrainingData) -> tuple[float, float]:
    """Return mean and standard deviation of all numbers in all training features."""
    count, total, squares = 0, 0.0, 0.0
    for start in range(0, len(data), 1024):
        features = data.features(range(start, min(start + 1024, len(data)))).double()
        count += features.numel()
        total += float(features.sum())
        squares += float(features.square().sum())
    mean = total / count
    return mean, max(squares / count - mean**2, 0.0) ** 0.5


class Branch(nn.Module):
    """Hidden layers with batch normalization, and a linear hash layer above them.

    Weights are initialized by PyTorch's defaults: the published code has another initialization that it never calls.

    Args:
        width: features of an input, F.
        hidden: outputs of each hidden layer.
        bits: K.
        dropout: whether half of each hidden layer is dropped in training.
    """

    def __init__(self, width: int, hidden: Sequence[int], bits: int, *, dropout: bool) -> None:
        super().__init__()
        self.scaling = Scaling()
        layers = [_hidden(*sizes, dropout=dropout) for sizes in pairwise((width, *hidden))]
        self.hidden = nn.Sequential(*layers)
        self.hash = nn.Linear(hidden[-1], bits)

    def features(self, inputs: Tensor) -> Tensor:
        """Return the last hidden layer (B, hidden[-1]), none negative."""
        features: Tensor = self.hidden(self.scaling(inputs))
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, K) of inputs (B, F)."""
        logits: Tensor = self.hash(self.features(inputs))
        return logits


class Scaling(nn.Module):
    """(x - mean) / deviation, with the same two numbers for all features: 0 and 1 until they are set; buffers."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("deviation", torch.tensor(1.0))

    def set(self, mean: float, deviation: float) -> None:
        """Set the two numbers; a deviation of 0 becomes 1."""
        self.mean.fill_(mean)
        self.deviation.fill_(deviation or 1.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scaled inputs."""
        return (inputs - self.mean) / self.deviation


def discriminator(widths: Sequence[int]) -> nn.Sequential:
    """Return layers from `widths[0]` to one logit, rectified between; weights as in He et al. 2015, biases zero."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((*widths, 1)):
        layers += [_drawn(nn.Linear(inputs, outputs)), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


def _hidden(inputs: int, outputs: int, *, dropout: bool) -> nn.Sequential:
    layers = [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Dropout(0.5)) if dropout else nn.Sequential(*layers)


def _drawn(layer: nn.Linear) -> nn.Linear:
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
