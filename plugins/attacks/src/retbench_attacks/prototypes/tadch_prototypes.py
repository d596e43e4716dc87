"""The prototype network of TA-DCH: from a target's labels and text to a map of semantics and a code.

Wang, Zhu, Zhang, Zhang and Han 2023, "Targeted Adversarial Attack against Deep Cross-modal Hashing Retrieval", IEEE
Transactions on Circuits and Systems for Video Technology. The network follows the published code, its
attention Dai, Gieseke, Oehmcke, Wu and Barnard 2021, "Attentional Feature Fusion", WACV.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench import AttackPart, Context, Course, Knowledge, Need, State, UserError
from retbench_attacks.prototypes.prosgan_prototypes import likelihood_loss
from retbench_attacks.prototypes.prototype_network import Prototypes
from retbench_attacks.prototypes.prototype_part import label_loss, quantization_loss

MAP_SIDE = 16
"""Height and width of the map of semantics, for any image size."""


class TadchPrototypes(AttackPart):
    """Learns a code per target (labels and text), near the training codes that share a class with it.

    It trains on the labels and texts of the training split and minimizes, with h the codes of a batch,

        class_weight |y' - y|^2 + similarity J(h, B) + quantization |sign h - h|^2

    with y' the predicted labels (mean over elements), J the negative log likelihood of the pairwise similarities with
    the training codes B (mean over pairs), and the last term summed over bits. Adam's learning rate falls to a tenth
    after half of the steps and to a hundredth after three quarters.

    A last batch of a single row is merged with the one before it, because batch normalization needs two values. Every
    draw is keyed by its epoch, so an interrupted training resumes from its last epoch to the same weights.
    """

    name: ClassVar[str] = "tadch-prototypes"
    source: ClassVar[str] = "Wang et al. 2023, prototype learning; weights as in RetPur, appendix E, and the code"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "training_codes"})

    hidden: int = Field(4096, ge=1, le=65_536, description="units of the first layer of each branch")
    width: int = Field(64, ge=16, le=1024, multiple_of=16, description="channels of the map of semantics")
    class_weight: float = Field(1.0, ge=0, description="weight of the error of predicted labels (alpha)")
    similarity: float = Field(5.0, ge=0, description="weight of the likelihood of pairwise similarities (beta)")
    quantization: float = Field(1e-3, ge=0, description="weight of the distance of codes to their signs")
    epochs: int = Field(
        20, ge=1, le=100_000, description="passes over the training split: 20 in RetPur, 50 in the code"
    )
    batch_size: int = Field(64, ge=2, le=65_536, description="training rows per step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate before the decay")
    milestones: Literal["exact", "published"] = Field(
        "exact",
        description="decay of the learning rate; the published code skips a milestone that is not an integer step",
    )

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return the network's weights; the mean `loss` of each epoch is recorded.

        Raises:
            UserError: the training split has fewer than two rows.
        """
        facts, training = knowledge.facts, knowledge.training
        training_codes, training_labels = knowledge.grant("training_codes").float(), training.labels.float()
        sizes = (len(facts.classes), facts.text_width, training_codes.shape[1], self.hidden, self.width)
        network = FusionNetwork(*sizes).to(ctx.device)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate, betas=(0.5, 0.999))
        course = Course(ctx, {"net": network, "optimizer": optimizer})
        for epoch in range(course.epoch, self.epochs):
            order = ctx.noise.uniform("order", (len(training),), epoch)[0].argsort(stable=True)
            batches, losses = split_batches(order, self.batch_size), []
            steps = self.epochs * len(batches)
            for rows in batches:
                optimizer.param_groups[0]["lr"] = self.learning_rate_at(course.step, steps)
                labels, texts = training_labels[rows], training.texts(rows.tolist())
                similar = labels @ training_labels.T > 0
                loss = self.loss(network(labels, texts), labels, training_codes, similar)
                losses.append(course.descend(optimizer, loss))
                course.advance(steps)
            course.close_epoch({"loss": float(torch.stack(losses).mean())})
        course.record()
        state: State = network.state_dict()
        return state

    def module(self, state: State, device: torch.device) -> FusionNetwork:
        """Return the network; its layer sizes are read from the weights."""
        (hidden, classes), texts = state["labels.0.weight"].shape, state["texts.0.weight"].shape[1]
        bits, width = state["code_head.weight"].shape[0], state["labels.7.weight"].shape[0]
        with torch.device("meta"):
            network = FusionNetwork(classes, texts, bits, hidden, width)
        network.load_state_dict(state, assign=True)
        return network.to(device).eval().requires_grad_(False)

    def loss(self, prototypes: Prototypes, labels: Tensor, training_codes: Tensor, similar: Tensor) -> Tensor:
        """Return the scalar training loss.

        Args:
            prototypes: outputs of the network for `labels` and their texts.
            labels: float (B, C), multi-hot.
            training_codes: float (N, K) in {-1, +1}.
            similar: bool (B, N), whether the row and the training image share a class.
        """
        total = self.class_weight * label_loss(prototypes, labels)
        total = total + self.similarity * likelihood_loss(prototypes.codes, training_codes, similar)
        return total + self.quantization * quantization_loss(prototypes.codes)

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate at `step` (from 0) of `steps`: a tenth from 1/2 of them on, a hundredth from 3/4."""
        reached = [quarters for quarters in (2, 3) if 4 * step >= quarters * steps]
        if self.milestones == "published":
            reached = [quarters for quarters in reached if quarters * steps % 4 == 0]
        return self.learning_rate * 0.1 ** len(reached)


def split_batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Return int64 rows (N,) split into batches of at least two; a last batch of one row is merged with the previous.

    Raises:
        UserError: fewer than two rows, which batch normalization cannot process.
    """
    if len(order) < 2:
        raise UserError(f"tadch-prototypes: too few training rows: got {len(order)}, expected at least 2")
    batches = list(torch.split(order, batch_size))
    if len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


class FusionNetwork(nn.Module):
    """Maps labels and text to a map each, fuses both maps, and predicts a code and the labels from the result.

    With L and X the maps of labels and text, the fused map is F = L w + X (1 - w), where the weights w in (0, 1) are
    the attention of a first fused map of the same form, whose weights are the attention of L + X.

    Args:
        classes: C, length of a label vector.
        texts: T, length of a text vector.
        bits: K, length of a code.
        hidden: units of the first layer of each branch.
        width: channels of the maps, a multiple of 4.

    Source: the code of TA-DCH, with 4096 hidden units and a width of 64.
    """

    def __init__(self, classes: int, texts: int, bits: int, hidden: int = 4096, width: int = 64) -> None:
        super().__init__()
        self.labels, self.texts = _branch(classes, hidden, width), _branch(texts, hidden, width)
        self.first, self.second = Attention(width), Attention(width)
        halvings = [*_conv_norm_tanh(width, 2 * width, 4, 2), *_conv_norm_tanh(2 * width, 4 * width, 4, 2)]
        self.trunk = nn.Sequential(*halvings, nn.Flatten())
        features = 4 * width * (MAP_SIDE // 4) ** 2
        self.code_head, self.label_head = nn.Linear(features, bits), nn.Linear(features, classes)

    def forward(self, labels: Tensor, texts: Tensor) -> Prototypes:
        """Return the outputs for float labels (B, C) and texts (B, T); in training mode, B must be at least 2."""
        label_map, text_map = self.labels(labels), self.texts(texts)
        fused = torch.lerp(text_map, label_map, self.first(label_map + text_map))
        fused = torch.lerp(text_map, label_map, self.second(fused))
        features = self.trunk(fused)
        return Prototypes(fused, torch.tanh(self.code_head(features)), torch.sigmoid(self.label_head(features)))


class Attention(nn.Module):
    """Computes a weight per channel and position of a map, from the local values and the channel means.

    Args:
        width: channels of the map, a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.local, self.overall = _bottleneck(width), _bottleneck(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return weights in (0, 1) for a map (B, width, H, W), of the same shape."""
        means = features.mean(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.local(features) + self.overall(means))


def _branch(length: int, hidden: int, width: int) -> nn.Sequential:
    """Return a network from a vector to a map: two linear layers to twice the resolution, two convolutions."""
    shape = (width // 4, 2 * MAP_SIDE, 2 * MAP_SIDE)
    linear = [nn.Linear(length, hidden), nn.ReLU(), nn.Linear(hidden, width // 4 * (2 * MAP_SIDE) ** 2)]
    halving, smoothing = _conv_norm_tanh(width // 4, width // 2, 4, 2), _conv_norm_tanh(width // 2, width, 5, 1)
    return nn.Sequential(*linear, nn.Unflatten(1, shape), *halving, *smoothing)


def _conv_norm_tanh(in_channels: int, out_channels: int, kernel: int, stride: int) -> list[nn.Module]:
    """Return a convolution, instance normalization and tanh."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=(kernel - 1) // 2)
    return [convolution, nn.InstanceNorm2d(out_channels), nn.Tanh()]


def _bottleneck(width: int) -> nn.Sequential:
    narrow = [nn.Conv2d(width, width // 4, 1), nn.BatchNorm2d(width // 4), nn.ReLU()]
    return nn.Sequential(*narrow, nn.Conv2d(width // 4, width, 1), nn.BatchNorm2d(width))
