"""ATRDH: adversarial training of a hasher against attacks on prototype codes.

Source: Wang, Zhang, Lu and Xu 2021, "Targeted Attack and Defense for Deep Hashing", SIGIR.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from retbench_attacks.prototypes.prototype_network import PrototypeNetwork
from retbench_attacks.prototypes.prototype_part import quantization_loss
from retbench_attacks.prototypes.target_vectors import distinct_label_vectors, draw_targets
from retbench_attacks.prototypes.tha_prototypes import CircleForm, circle_loss
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from retbench import Context, Course, Facts, Hardening, Hasher, HashNetwork, Noise, State, TrainingData, relax, sign

QUANTIZATION_WEIGHT = 1e-4
ADAM_BETAS = (0.5, 0.999)
PUBLISHED_EPOCHS = 100


class ATRDH(Hardening):
    """Trains a trained hasher further, on clean images and on images that are attacked anew in every batch.

    For each batch a target label vector is drawn uniformly from the distinct ones of the database; a prototype net,
    trained along the way, turns it into a prototype code p; projected gradient descent moves the images x to x'
    towards p inside an l-infinity ball, from a random start; and with o and a the relaxed codes of x and x', U the
    memory of all o and s_ij = 1 for a shared class, the hasher descends

        L = benign(o, U) + weight * mean_ij ( a_i . U_j / K - (2 s_ij - 1) )^2.

    The published code leaves choices, which are made as follows:

    - `benign: own` is the hasher's own loss, as in SAAT's version of this defense and in commented-out lines of ATRDH's
      code; `mse` is the line that runs there, the second term's form on o, whatever the hasher. `own` is the default,
      because a DPSH trained further as DPH would be another hasher than the one it is compared with.
    - The weight of the attacked images is 1 in the code of ATRDH and 2 in SAAT's.
    - Dropout stays on while the images are attacked, as published. Batch normalization, which the published nets do
      not have, keeps the statistics of the trained hasher: attacked images would distort them.
    - The memories start with the codes of the trained hasher without dropout; in the published code, each row is
      computed with dropout until its first update.
    - `prototype_steps` trains the prototype net before the first batch. The published code has no such steps, but its
      100 epochs on FLICKR-25K train the net for 15 700 steps; with a few short epochs, the images would be attacked
      towards random codes.

    The database is encoded with the hardened hasher, and an attacker knows that one. The final test in the published
    code ranks database codes of the undefended hasher; this is not offered, because it would measure the difference
    between the two networks as much as any robustness.
    """

    name: ClassVar[str] = "atrdh"
    source: ClassVar[str] = "Wang et al. 2021 (SIGIR), adversarial training; schedule as in the code of ATRDH"
    needs_loss: ClassVar[bool] = True

    epochs: int = Field(PUBLISHED_EPOCHS, ge=1, le=10_000, description="passes over the training split")
    batch_size: int = Field(32, ge=2, le=65_536, description="training images per step")
    learning_rate: float = Field(
        1e-4, gt=0, le=1, description="learning rate of Adam; divided by 10 at 1/2 and 3/4 of the steps"
    )
    eps: float = Field(8 / 255, gt=0, le=1, description="radius of the l-infinity ball, pixels in [0, 1]")
    attack_steps: int = Field(7, ge=1, le=1000, description="steps of the attack on each batch")
    attack_step_size: float = Field(2 / 255, gt=0, le=1, description="step size of the attack, pixels in [0, 1]")
    weight: float = Field(1.0, ge=0, le=100, description="weight of the loss of the attacked images")
    benign: Literal["own", "mse"] = Field(
        "own", description="loss of the clean images. own: the hasher's; mse: the one of the attacked images"
    )
    circle: CircleForm = Field("sum", description="form of the prototype net's circle loss")
    triangular: bool = Field(False, description="leave out the pairs that the published codes leave out by mistake")
    prototype_learning_rate: float = Field(1e-4, gt=0, le=1, description="learning rate of the prototype net")
    prototype_steps: int = Field(0, ge=0, le=1_000_000, description="steps of the prototype net before the first batch")
    hidden: int = Field(4096, ge=1, le=65_536, description="units of the prototype net's first layer")
    semantic: int = Field(512, ge=1, le=65_536, description="units of the prototype net's second layer")

    def shortened(self, facts: Facts) -> str | None:
        return f"{self.epochs} of {PUBLISHED_EPOCHS} epochs" if self.epochs < PUBLISHED_EPOCHS else None

    def fit(self, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> State:
        """Return the hardened weights; records the mean `loss` of each epoch. Resumes after its last whole epoch."""
        run = _HardeningRun(self, hasher, state, data, ctx)
        for step in range(run.course.step, self.prototype_steps):
            run.train_prototypes(self.batch_size, ctx.noise.copy(0), step)
            run.course.advance(run.total_steps)
            run.course.save_if_due()
        for epoch in range(run.course.epoch, self.epochs):
            torch.manual_seed(int(ctx.noise.uniform("dropout", (1,), epoch) * 2**24))
            total_loss = torch.zeros((), device=ctx.device)
            order = ctx.noise.uniform("shuffle", (len(data),), epoch)[0].argsort(stable=True)
            for index, rows in enumerate(torch.split(order, self.batch_size)):
                total_loss += len(rows) * self._train_batch(run, hasher, rows, epoch * run.batches + index)
                run.course.advance(run.total_steps)
            run.course.close_epoch({"loss": float(total_loss) / len(data)})
        run.course.record()
        return run.network.state_dict()

    def _train_batch(self, run: _HardeningRun, hasher: Hasher, rows: Tensor, step: int) -> Tensor:
        """Train both networks on one batch and return the hasher's loss."""
        run.decay_learning_rates(step)
        images, labels = run.data.images(rows.tolist()), run.data.labels
        outputs = run.encode(images)
        run.codes[rows] = sign(outputs).float()
        prototypes = run.train_prototypes(len(rows), run.ctx.noise, step)
        start = run.ctx.noise.uniform("start", tuple(images.shape), step)[0]
        attacked = self.attack_images(run, images, prototypes, start)
        attacked_outputs = run.encode(attacked)
        run.memory[rows] = outputs.detach()
        similar = run.find_similar(labels[rows])
        if self.benign == "own":
            loss = hasher.loss(outputs, labels, rows, run.memory)
        else:
            loss = pair_error(outputs, run.memory, similar)
        loss = loss + self.weight * pair_error(attacked_outputs, run.memory, similar)
        return run.course.descend(run.hasher_optimizer, loss)

    def attack_images(self, run: _HardeningRun, images: Tensor, prototypes: Tensor, start: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) after projected gradient descent towards their prototypes.

        Args:
            run: provides the network.
            images: float32 (B, 3, H, W) in [0, 1].
            prototypes: float32 (B, K) in {-1, +1}.
            start: uniform in [0, 1), same shape as `images`: the start, as a position between the ball's bounds.
        """
        lowest, highest = (images - self.eps).clamp_(min=0), (images + self.eps).clamp_(max=1)
        attacked = (images + self.eps * (2 * start - 1)).clamp(lowest, highest)
        for _ in range(self.attack_steps):
            pixels = attacked.detach().requires_grad_()
            loss = -(prototypes * run.encode(pixels)).mean()
            (gradient,) = torch.autograd.grad(loss, pixels)
            attacked = attacked.sub(gradient.sign_(), alpha=self.attack_step_size).clamp_(lowest, highest)
        return attacked


def pair_error(outputs: Tensor, memory: Tensor, similar: Tensor) -> Tensor:
    """Return mean_ij (u_i . U_j / K - (2 s_ij - 1))^2, a scalar.

    Args:
        outputs: relaxed codes u, float (B, K).
        memory: relaxed codes U, float (N, K).
        similar: s, bool (B, N).
    """
    return mse_loss(outputs @ memory.T / outputs.shape[1], 2 * similar.to(outputs) - 1)


class _HardeningRun:
    """The networks, code memories and optimizers of one hardening, and its `Course`.

    Attributes:
        network: the hasher's network, trained.
        batches: steps per epoch.
        total_steps: steps of the whole training, including the first steps of the prototype net.
        memory: latest relaxed codes of the training split, float32 (N, K).
        codes: latest codes of the training split, float32 (N, K); updated before each attack.
        label_vectors: distinct label vectors of the database, from which targets are drawn.
        prototype_net: the network from label vectors to prototype codes.
    """

    def __init__(self, options: ATRDH, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> None:
        self.options, self.data, self.ctx = options, data, ctx
        self.batches = math.ceil(len(data) / options.batch_size)
        self.total_steps = options.prototype_steps + options.epochs * self.batches
        copied = {name: value.clone() for name, value in state.items()}
        self.network: HashNetwork = hasher.network(copied, ctx.device).requires_grad_(True)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub omits this argument
        self.memory = self._encode_training_split()
        self.codes = sign(self.memory).float()
        self.label_vectors = distinct_label_vectors(data.dataset.labels("database")).to(ctx.device)
        bits, classes = self.memory.shape[1], self.label_vectors.shape[1]
        net = PrototypeNetwork(classes, bits, options.hidden, options.semantic, reconstruct=False)
        self.prototype_net = net.to(ctx.device)
        self.hasher_optimizer = torch.optim.Adam(self.network.parameters(), lr=options.learning_rate, betas=ADAM_BETAS)
        self.prototype_optimizer = torch.optim.Adam(
            self.prototype_net.parameters(), lr=options.prototype_learning_rate, betas=ADAM_BETAS
        )
        self.course = Course(
            ctx,
            {
                "network": self.network,
                "prototypes": self.prototype_net,
                "hashing": self.hasher_optimizer,
                "prototyping": self.prototype_optimizer,
            },
            {"memory": self.memory, "codes": self.codes},
        )

    def encode(self, images: Tensor) -> Tensor:
        """Return the relaxed codes of images, float32 (B, K)."""
        with self.ctx.autocast():
            logits = self.network.image(images)
        return relax(logits.float())

    def find_similar(self, labels: Tensor) -> Tensor:
        """Return whether each of `labels` (B, C) shares a class with each training image, bool (B, N)."""
        return (labels.float() @ self.data.labels.float().T) > 0

    def train_prototypes(self, count: int, noise: Noise, step: int) -> Tensor:
        """Draw targets, train the prototype net on them and return their prototypes from before this training step.

        Returns:
            Prototype codes, float32 (count, K) in {-1, +1}.
        """
        labels = draw_targets(self.label_vectors, count, noise, step)
        prototypes = self.prototype_net(labels).codes
        circle = circle_loss(
            prototypes, self.codes, self.find_similar(labels), self.options.circle, self.options.triangular
        )
        loss = circle / count + QUANTIZATION_WEIGHT * quantization_loss(prototypes)
        # The codes that it approaches move with the hasher, so this loss may rise.
        self.course.descend(self.prototype_optimizer, loss, "loss of the prototype net", falls=False)
        return sign(prototypes.detach()).float()

    def decay_learning_rates(self, step: int) -> None:
        """Divide both learning rates by 10 before the steps at 1/2 and at 3/4 of the training."""
        steps = self.options.epochs * self.batches
        if decays := (steps // 2, steps * 3 // 4).count(step):
            for optimizer in (self.hasher_optimizer, self.prototype_optimizer):
                optimizer.param_groups[0]["lr"] *= 0.1**decays

    def _encode_training_split(self) -> Tensor:
        """Return the relaxed codes of the training split, float32 (N, K), without dropout."""
        self.network.eval()
        with torch.no_grad():
            batches = torch.split(torch.arange(len(self.data)), self.ctx.batch_size)
            codes = [self.encode(self.data.images(rows.tolist())) for rows in batches]
        self.network.train()
        _freeze_statistics(self.network)
        return torch.cat(codes)


def _freeze_statistics(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()
