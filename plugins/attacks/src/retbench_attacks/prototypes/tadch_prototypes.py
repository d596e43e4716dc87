"""The prototype net of TA-DCH: from a target's labels and text to a map of semantics and a code.

Wang, Zhu, Zhang, Zhang and Han 2023, "Targeted Adversarial Attack against Deep Cross-modal Hashing Retrieval", IEEE
Transactions on Circuits and Systems for Video Technology. The net is that of its code; its attention is that of Dai,
Gieseke, Oehmcke, Wu and Barnard 2021, "Attentional Feature Fusion", WACV.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import AttackPart, Context, Course, Knowledge, Need, State, UserError
from retbench_attacks.prototypes.prosgan_prototypes import likelihood_loss
from retbench_attacks.prototypes.prototype_network import Prototypes
from retbench_attacks.prototypes.prototype_part import quantization_loss

MAP = 16
"""Height and width of the map of semantics, whatever the images."""


class TadchPrototypes(AttackPart):
    """Learns codes that are near the codes of training images which share a class with a label vector.

    It passes over the labels and texts of the training split, and minimizes, with h the code of a batch's rows,

        class_weight |y' - y|^2 + similarity J(h, B) + quantization |sign h - h|^2

    y' the labels read back (a mean over elements), J the likelihood of the pairs' similarity with the training codes B
    (a mean over pairs), and the last term a sum over bits. Adam's rate falls to a tenth after half of the steps and to
    a hundredth after three quarters.

    A last batch of a single row joins the one before it: its statistics would be of one value. Every draw is keyed by
    its epoch, so a training that was killed resumes from its last epoch to the same weights.
    """

    name: ClassVar[str] = "tadch-prototypes"
    source: ClassVar[str] = "Wang et al. 2023, prototype learning; weights as in RetPur, appendix E, and the code"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes"})

    hidden: int = Field(4096, ge=1, le=65_536, description="units of the first layer of each branch")
    width: int = Field(64, ge=16, le=1024, multiple_of=16, description="channels of the map of semantics")
    class_weight: float = Field(1.0, ge=0, description="weight of the labels read back (alpha)")
    similarity: float = Field(5.0, ge=0, description="weight of the pairs' likelihood (beta)")
    quantization: float = Field(1e-3, ge=0, description="weight of the distance to the signs")
    epochs: int = Field(20, ge=1, le=100_000, description="passes over the training split: 20 RetPur, 50 code")
    batch_size: int = Field(64, ge=2, le=65_536, description="training rows of one step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, before it falls")
    milestones: Literal["exact", "published"] = Field(
        "exact", description="when the rate falls; the published code skips a fall between two steps (a half-integer)"
    )

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return the net's weights; the mean `loss` of each epoch is recorded.

        Raises:
            UserError: a training split of fewer than two rows.
        """
        facts, training = knowledge.facts, knowledge.training
        training_codes, training_labels = knowledge.grant("training_codes").float(), training.labels.float()
        sizes = (len(facts.classes), facts.text_width, training_codes.shape[1], self.hidden, self.width)
        net = FusionNetwork(*sizes).to(ctx.device)
        optimizer = torch.optim.Adam(net.parameters(), lr=self.learning_rate, betas=(0.5, 0.999))
        course = Course(ctx, {"net": net, "optimizer": optimizer})
        for epoch in range(course.epoch, self.epochs):
            order = ctx.noise.uniform("order", (len(training),), epoch)[0].argsort(stable=True)
            batches, losses = split_batches(order, self.batch_size), []
            steps = self.epochs * len(batches)
            for rows in batches:
                optimizer.param_groups[0]["lr"] = self.learning_rate_at(course.step, steps)
                labels, texts = training_labels[rows], training.texts(rows.tolist())
                similar = labels @ training_labels.T > 0
                losses.append(course.descend(optimizer, self.loss(net(labels, texts), labels, training_codes, similar)))
                course.advance(steps)
            course.close_epoch({"loss": float(torch.stack(losses).mean())})
        course.record()
        return net.state_dict()

    def module(self, state: State, device: torch.device) -> FusionNetwork:
        """Return the net, its sizes read from the weights."""
        (hidden, classes), texts = state["labels.0.weight"].shape, state["texts.0.weight"].shape[1]
        bits, width = state["code_head.weight"].shape[0], state["labels.7.weight"].shape[0]
        with torch.device("meta"):
            net = FusionNetwork(classes, texts, bits, hidden, width)
        net.load_state_dict(state, assign=True)
        return net.to(device).eval().requires_grad_(False)

    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        """Return the scalar that a step minimizes.

        Args:
            prototypes: the net's outputs for `labels` and the texts that come with them.
            labels: float (B, C), multi-hot.
            training_codes: float (N, K) in {-1, +1}.
            similar: bool (B, N), whether they share a class.
        """
        total = self.class_weight * F.mse_loss(prototypes.labels, labels)
        total = total + self.similarity * likelihood_loss(prototypes.codes, training_codes, similar)
        return total + self.quantization * quantization_loss(prototypes.codes)

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step (from 0) of so many: a tenth from 1/2 of them, a hundredth from 3/4."""
        passed = [quarters for quarters in (2, 3) if 4 * step >= quarters * steps]
        if self.milestones == "published":
            passed = [quarters for quarters in passed if quarters * steps % 4 == 0]
        return self.learning_rate * 0.1 ** len(passed)


def split_batches(order: Tensor, batch: int) -> list[Tensor]:
    """Return int64 rows (N,) in batches of at least two: a last one of a single row joins the one before it.

    Raises:
        UserError: fewer than two rows, of which batch normalization has no statistics.
    """
    if len(order) < 2:
        raise UserError(f"tadch-prototypes: too few training rows: got {len(order)}, expected at least 2")
    batches = list(order.split(batch))
    if len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


class FusionNetwork(nn.Module):
    """Spreads labels and text over a map each, blends the two, and reads a code and the labels from the blend.

    With L and X the maps of labels and text, the blend is F = L w + X (1 - w), the weights w in (0, 1) an attention to
    a first blend of the same kind, whose weights are an attention to L + X.

    Args:
        classes: C, length of a label vector.
        texts: T, length of a text vector.
        bits: K, length of a code.
        hidden: units of the first layer of each branch.
        width: channels of the maps, a multiple of 4.

    Source: the code of TA-DCH, whose net has 4096 hidden units and a width of 64.
    """

    def __init__(self, classes: int, texts: int, bits: int, hidden: int = 4096, width: int = 64) -> None:
        super().__init__()
        self.labels, self.texts = _branch(classes, hidden, width), _branch(texts, hidden, width)
        self.first, self.second = Attention(width), Attention(width)
        halvings = [*_standardized(width, 2 * width, 4, 2), *_standardized(2 * width, 4 * width, 4, 2)]
        self.trunk = nn.Sequential(*halvings, nn.Flatten())
        features = 4 * width * (MAP // 4) ** 2
        self.code_head, self.label_head = nn.Linear(features, bits), nn.Linear(features, classes)

    def forward(self, labels: Tensor, texts: Tensor) -> Prototypes:
        """Return the prototypes of float labels (B, C) and texts (B, T); in training, B is at least 2."""
        label_map, text_map = self.labels(labels), self.texts(texts)
        blend = torch.lerp(text_map, label_map, self.first(label_map + text_map))
        blend = torch.lerp(text_map, label_map, self.second(blend))
        features = self.trunk(blend)
        return Prototypes(blend, torch.tanh(self.code_head(features)), torch.sigmoid(self.label_head(features)))


class Attention(nn.Module):
    """Weighs each channel and place of a map by what is there and by the channels' means.

    Args:
        width: channels of the map, a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.local, self.overall = _bottleneck(width), _bottleneck(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return weights (B, width, H, W) in (0, 1) of a map of this shape."""
        means = features.mean(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.local(features) + self.overall(means))


def _branch(length: int, hidden: int, width: int) -> nn.Sequential:
    """Return what spreads a vector over a map: two linear layers to twice the resolution, two convolutions."""
    shape = (width // 4, 2 * MAP, 2 * MAP)
    linear = [nn.Linear(length, hidden), nn.ReLU(), nn.Linear(hidden, width // 4 * (2 * MAP) ** 2)]
    halving, smoothing = _standardized(width // 4, width // 2, 4, 2), _standardized(width // 2, width, 5, 1)
    return nn.Sequential(*linear, nn.Unflatten(1, shape), *halving, *smoothing)


def _standardized(before: int, after: int, kernel: int, stride: int) -> list[nn.Module]:
    """Return a convolution, its outputs standardized over each image and channel, and tanh."""
    convolution = nn.Conv2d(before, after, kernel, stride, padding=(kernel - 1) // 2)
    return [convolution, nn.InstanceNorm2d(after), nn.Tanh()]


def _bottleneck(width: int) -> nn.Sequential:
    narrow = [nn.Conv2d(width, width // 4, 1), nn.BatchNorm2d(width // 4), nn.ReLU()]
    return nn.Sequential(*narrow, nn.Conv2d(width // 4, width, 1), nn.BatchNorm2d(width))
