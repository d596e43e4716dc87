"""Deep adversarial discrete hashing.

Bai, Zeng, Ma, Zhang and Chen 2020, "Deep Adversarial Discrete Hashing for Cross-Modal Retrieval", ICMR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import Context, Facts, State, TrainingData, relax
from retbench_hashers.course import Course, Stateful
from retbench_hashers.cross_modal import CrossModalHasher
from retbench_hashers.cross_modal_network import CrossModalNetwork
from retbench_hashers.dadh_losses import (
    Interpolation,
    adversarial_loss,
    discriminator_loss,
    quantisation_loss,
    triplet_loss,
    updated_codes,
)
from retbench_hashers.dadh_networks import Branch, discriminator

DECAY, PERIOD, FLOOR = 0.8, 100, 1e-6
"""What the generator's learning rate is multiplied by, after how many epochs again, and where it stops."""

Width = Annotated[int, Field(ge=1, le=65_536)]


class DADH(CrossModalHasher):
    """Two branches drawn to the same discrete codes, whose texts pass for images.

    With f the features under the hash layer and h the relaxed codes of a batch, of images (v) and texts (t), and B the
    discrete codes of its rows,

        L = alpha [T(h_v, h_t) + T(h_t, h_v)] + beta (|B - h_v|^2 + |B - h_t|^2)
            - gamma mean log s(D_f(f_t)) - gamma mean log s(D_h(h_t)),

    where T is a triplet loss weighted by how many classes a pair shares, and the discriminators D_f and D_h tell images
    from texts under a gradient penalty. A step takes the discriminators' steps first, features before codes, then that
    of the branches. After an epoch B is computed in closed form from the labels and, hardly, the outputs; it starts as
    random signs.

    As the published code has it: triplets and quantisation are summed over the batch and the others averaged; the text
    of D_h goes through its hidden layers a second time, without a gradient there, so that it trains the hash layer
    alone and batch normalisation counts each text twice; the branches' learning rate is multiplied by 0.8 at the end of
    epochs 1, 101, 201 and so on, down to 1e-6. The code adds 0.1 to its own beta of 1 before it starts, hence 1.1.

    An anchor without a label adds nothing to the weighted triplets, where the published loss is NaN. A later code of an
    author of TA-DCH leaves the triplets out (`triplet: none`), probably for MS-COCO, which has such images.

    The published loader standardises the features by the mean and deviation of all images, the queries among them;
    `standardise` takes those of the training images. The victims of TA-DCH see pixels and do not standardise.

    The published code keeps the epoch with the best MAP of the test queries. That chooses a network by the queries that
    measure it, and is not offered: the last epoch is kept. Partial batches are kept, as published, but a last one of a
    single row, which batch normalisation cannot take, joins the batch before.
    """

    name: ClassVar[str] = "dadh"
    source: ClassVar[str] = "Bai et al. 2020; the published code of March 2021"
    supervised: ClassVar[bool] = True

    hidden: tuple[Width, Width, Width] = Field((8192, 4096, 2048), description="outputs of each branch's hidden layers")
    dropout: bool = Field(False, description="half of each hidden layer is dropped in training (NUS-WIDE's script)")
    standardise: bool = Field(
        False,
        description="features of images are shifted and scaled by one mean and one deviation, of the training images",
    )
    feature_critic: tuple[Width, ...] = Field((1024, 512), description="hidden layers of the features' discriminator")
    code_critic: tuple[Width, ...] = Field((512,), description="hidden layers of the codes' discriminator")
    interpolation: Interpolation = Field(
        "element", description="where the gradient penalty is taken: a share drawn for each element, or each sample"
    )
    penalty: float = Field(10.0, ge=0, le=1e4, description="weight of the gradient penalty")
    triplet: Literal["weighted", "unweighted", "none"] = Field(
        "weighted", description="triplet loss: by how many classes a pair shares, all pairs alike, or none"
    )
    margin: float = Field(0.4, ge=0, le=2, description="by how much cosine a negative has to be farther away")
    triplet_weight: float = Field(10.0, ge=0, le=1e4, description="alpha, weight of the triplet loss")
    quantisation: float = Field(1.1, ge=0, le=1e4, description="beta, weight of the distance to the codes")
    adversarial: float = Field(1.0, ge=0, le=1e4, description="gamma, weight of passing for an image")
    ridge: float = Field(1.0, gt=0, le=1e6, description="lambda, ridge of the codes' regression on labels")
    output_share: float = Field(1e-5, ge=0, le=1e4, description="mu, what outputs count for in the codes")
    rate: float = Field(5e-5, gt=0, le=1, description="learning rate of Adam (NUS-WIDE's script: 1e-5)")
    decay: float = Field(5e-4, ge=0, le=1, description="weight decay of the branches")
    critic_decay: float = Field(1e-4, ge=0, le=1, description="weight decay of the discriminators")
    batch: int = Field(128, ge=2, le=2048, description="training rows a step, at most one more")
    epochs: int = Field(300, ge=1, le=10_000, description="passes over the training split")

    def image_head(self, width: int, bits: int) -> Branch:
        return Branch(width, self.hidden, bits, dropout=self.dropout)

    def text_head(self, width: int, bits: int) -> Branch:
        return Branch(width, self.hidden, bits, dropout=self.dropout)

    def supports(self, facts: Facts) -> str | None:
        if facts.sizes["train"] < 2:
            return f"batch normalisation takes two training rows or more, and dataset {facts.dataset} has fewer"
        return super().supports(facts)

    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Returns the weights of both branches; records the mean of each loss in each epoch."""
        network = self.begin(data, ctx)
        if self.standardise:
            cast(Branch, network.image_head).scaling.set(*_moments(data))
        game = _Game(self, network, data, ctx)
        for epoch in range(game.course.epochs, self.epochs):
            game.play(epoch)
        game.course.record()
        return network.state_dict()


class _Pair(NamedTuple):
    """What the branches make of a batch: features (B, hidden[-1]) and relaxed codes (B, K), float32."""

    image_features: Tensor
    image_codes: Tensor
    text_features: Tensor
    text_codes: Tensor


class _Game:
    """What moves while DADH is trained: two branches, two critics, and the codes."""

    def __init__(self, options: DADH, network: CrossModalNetwork, data: TrainingData, ctx: Context) -> None:
        self.options, self.data, self.ctx = options, data, ctx
        self.image = cast(Branch, network.image_head).train()
        self.text = cast(Branch, network.text_head).train()
        self.texts = data.texts(range(len(data)))
        bits = data.facts.bits
        self.feature_critic = _Critic(options, (options.hidden[-1], *options.feature_critic), ctx.device)
        self.code_critic = _Critic(options, (bits, *options.code_critic), ctx.device)
        self.codes = 2.0 * torch.randint(2, (len(data), bits)).to(ctx.device) - 1
        self.outputs = torch.zeros_like(self.codes)
        self.weights = [*self.image.parameters(), *self.text.parameters()]
        self.optimiser = torch.optim.Adam(self.weights, lr=options.rate, weight_decay=options.decay)
        self.course = Course(ctx, self._moving(), {"codes": self.codes})

    def play(self, epoch: int) -> None:
        """Takes the steps of an epoch, then computes the codes of the next."""
        rate = learning_rate(self.options.rate, epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batches = split_rows(self.course.order(len(self.data)), self.options.batch)
        taken = []
        for step, rows in enumerate(batches, start=epoch * len(batches) + 1):
            taken.append(self.step(rows))
            self.ctx.progress(step, self.options.epochs * len(batches))
        self.codes.copy_(self.next_codes())
        self.course.close_epoch(_means(taken), rate=rate)

    def next_codes(self) -> Tensor:
        """Returns the codes (N, K) that the next epoch is drawn to."""
        ridge, share = self.options.ridge, self.options.output_share
        return updated_codes(self.codes, self.data.labels, self.outputs, ridge=ridge, share=share)

    def step(self, rows: Tensor) -> dict[str, Tensor]:
        """Returns the losses of the batch at `rows` int64 (B,), after a step of each critic and of the branches."""
        features, rows = self.data.features(rows.tolist()), rows.to(self.ctx.device)
        texts, labels = self.texts[rows], self.data.labels[rows]
        pair = self.encode(features, texts)
        self.outputs[rows] = (pair.image_codes + pair.text_codes).detach()
        judged = {
            "feature_critic": self.feature_critic.learn(pair.image_features.detach(), pair.text_features.detach()),
            "code_critic": self.code_critic.learn(pair.image_codes.detach(), pair.text_codes.detach()),
        }
        losses = {
            **self.triplets(pair, labels),
            "quantisation": self.distance(pair, self.codes[rows]),
            "adversarial": self.deception(pair.text_features, texts),
        }
        total = self.learn(losses)
        return {"loss": total, **{name: loss.detach() for name, loss in losses.items()}, **judged}

    def learn(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Returns the sum of the branches' losses, after the step against it."""
        total = torch.stack(list(losses.values())).sum()
        self.optimiser.zero_grad()
        # The critics judge on the way, and must not gather gradients of it.
        torch.autograd.backward(total, inputs=self.weights)
        self.optimiser.step()
        return total.detach()

    def encode(self, features: Tensor, texts: Tensor) -> _Pair:
        """Returns what the branches make of features (B, F) of images and of their texts (B, T)."""
        with self.ctx.autocast():
            image_features, text_features = self.image.features(features), self.text.features(texts)
            image_logits, text_logits = self.image.hash(image_features), self.text.hash(text_features)
        image_codes, text_codes = relax(image_logits.float()), relax(text_logits.float())
        return _Pair(image_features.float(), image_codes, text_features.float(), text_codes)

    def triplets(self, pair: _Pair, labels: Tensor) -> dict[str, Tensor]:
        """Returns the weighed triplet loss of both directions under its name, or nothing where there is none."""
        options = self.options
        if options.triplet == "none":
            return {}
        weighted = options.triplet == "weighted"
        both = (pair.image_codes, pair.text_codes), (pair.text_codes, pair.image_codes)
        losses = [triplet_loss(*codes, labels, options.margin, weighted=weighted) for codes in both]
        return {"triplet": options.triplet_weight * torch.stack(losses).sum()}

    def distance(self, pair: _Pair, codes: Tensor) -> Tensor:
        """Returns the weighed distance of both modalities to their codes (B, K)."""
        return self.options.quantisation * quantisation_loss(codes, pair.image_codes, pair.text_codes)

    def deception(self, text_features: Tensor, texts: Tensor) -> Tensor:
        """Returns how little texts pass for images, by features and by codes, weighed.

        The hidden layers run once more, so that batch normalisation counts each text twice and dropout drops others.
        """
        with self.ctx.autocast():
            with torch.no_grad():
                again = self.text.features(texts)
            logits = self.text.hash(again)
        by_features = adversarial_loss(self.feature_critic.network(text_features))
        by_codes = adversarial_loss(self.code_critic.network(relax(logits.float())))
        return self.options.adversarial * (by_features + by_codes)

    def _moving(self) -> dict[str, Stateful]:
        return {
            "image": self.image,
            "text": self.text,
            "optimiser": self.optimiser,
            "feature_critic": self.feature_critic.network,
            "feature_critic_optimiser": self.feature_critic.optimiser,
            "code_critic": self.code_critic.network,
            "code_critic_optimiser": self.code_critic.optimiser,
        }


class _Critic:
    """A discriminator, and what moves it. It computes in float32, whatever the precision: so does its penalty."""

    def __init__(self, options: DADH, widths: tuple[int, ...], device: torch.device) -> None:
        self.options = options
        self.network: nn.Module = discriminator(widths).to(device)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=options.rate, betas=(0.5, 0.9), weight_decay=options.critic_decay
        )

    def learn(self, images: Tensor, texts: Tensor) -> Tensor:
        """Returns its loss on features or codes (B, F) of images and texts, and takes the step against it."""
        options = self.options
        weights = {"weight": options.adversarial, "penalty": options.penalty}
        loss = discriminator_loss(self.network, images, texts, **weights, between=options.interpolation)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        return loss.detach()


def learning_rate(rate: float, epoch: int) -> float:
    """Returns the branches' learning rate in `epoch`, counted from 0, where `rate` is that of the first.

    It falls at the end of epochs 1, 101, 201 and so on, counted from 1; a first rate below the floor stays.
    """
    falls = -(-epoch // PERIOD)
    return max(rate * DECAY**falls, min(rate, FLOOR))


def split_rows(order: Tensor, batch: int) -> list[Tensor]:
    """Returns `order` int64 (N,) in runs of `batch` rows and the rest; a rest of one row joins the run before."""
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _means(taken: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Returns the mean of each loss over the steps that were taken."""
    return {name: float(torch.stack([losses[name] for losses in taken]).mean()) for name in taken[0]}


def _moments(data: TrainingData) -> tuple[float, float]:
    """Returns mean and standard deviation of all numbers in all training features."""
    count, total, squares = 0, 0.0, 0.0
    for start in range(0, len(data), 1024):
        features = data.features(range(start, min(start + 1024, len(data)))).double()
        count += features.numel()
        total += float(features.sum())
        squares += float(features.square().sum())
    mean = total / count
    return mean, max(squares / count - mean**2, 0.0) ** 0.5
