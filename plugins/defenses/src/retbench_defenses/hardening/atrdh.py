"""Adversarial training of a hasher against attacks on prototype codes.

Wang, Zhang, Lu and Xu 2021, "Targeted Attack and Defense for Deep Hashing", SIGIR.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from retbench_attacks.prototypes.prototype_net import PrototypeNet
from retbench_attacks.prototypes.prototype_part import quantization_loss
from retbench_attacks.prototypes.target_vectors import distinct_vectors, draw_vectors
from retbench_attacks.prototypes.tha_prototypes import CircleForm, circle_loss
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from retbench import Context, Course, Hardening, Hasher, HashNetwork, Noise, State, TrainingData, relax, sign

QUANTIZATION = 1e-4
BETAS = (0.5, 0.999)


class ATRDH(Hardening):
    """Trains a trained hasher on its images and on images that are attacked anew in every batch.

    For each batch a target label vector is drawn uniformly from the distinct ones of the database; a prototype net,
    trained along the way, turns it into a prototype code p; projected gradient descent moves the images x to x'
    towards p inside an l-infinity ball, from a random start; and with o and a the relaxed codes of x and x', U the
    memory of all o and s_ij = 1 for a shared class, the hasher descends

        L = benign(o, U) + weight * mean_ij ( a_i . U_j / K - (2 s_ij - 1) )^2.

    The published code leaves choices, which are made as follows:

    - `benign: own` is the hasher's own loss, as in SAAT's version of this defense and in commented-out lines of ATRDH's
      code; `mse` is the line that runs there, the second term's form on o, whatever the hasher. `own` is the default,
      because a DPSH that is trained on as DPH would be another hasher than the one it is compared with.
    - The weight of the attacked images is 1 in the code of ATRDH and 2 in SAAT's.
    - Dropout stays on while the images are attacked, as published. Batch normalization, which the published nets do
      not have, keeps the statistics of the trained hasher: attacked images would distort them.
    - The memories start with the codes of the trained hasher without dropout; in the published code they have dropout
      until each row is first visited.
    - `prototype_steps` trains the prototype net before the first batch. The published code has no such steps, but
      15 700 others (on FLICKR-25K) instead; in three short epochs the images would be moved towards random codes.

    The database is encoded with the hardened hasher, and an attacker sees that one. The final test in the published
    code ranks the codes of the database by the undefended hasher; this is not offered, because it measures how far the
    two networks have drifted apart as much as any robustness.
    """

    name: ClassVar[str] = "atrdh"
    source: ClassVar[str] = "Wang et al. 2021 (SIGIR), adversarial training; schedule as in the code of ATRDH"
    needs_loss: ClassVar[bool] = True

    epochs: int = Field(100, ge=1, le=10_000, description="passes over the training split")
    batch_size: int = Field(32, ge=2, le=65_536, description="training images a step")
    learning_rate: float = Field(
        1e-4, gt=0, le=1, description="learning rate of Adam, a tenth at 1/2 and 3/4 of the steps"
    )
    eps: float = Field(8 / 255, gt=0, le=1, description="radius of the l-infinity ball, pixels in [0, 1]")
    attack_steps: int = Field(7, ge=1, le=1000, description="steps of the attack on a batch")
    attack_step_size: float = Field(2 / 255, gt=0, le=1, description="length of such a step, pixels in [0, 1]")
    weight: float = Field(1.0, ge=0, le=100, description="weight of the attacked images' term")
    benign: Literal["own", "mse"] = Field("own", description="loss of the clean images: the hasher's own, or the MSE")
    circle: CircleForm = Field("sum", description="form of the prototype net's circle loss")
    triangular: bool = Field(False, description="leave out the pairs that the published codes leave out by mistake")
    prototype_learning_rate: float = Field(1e-4, gt=0, le=1, description="learning rate of the prototype net")
    prototype_steps: int = Field(0, ge=0, le=1_000_000, description="steps of the prototype net before the first batch")
    hidden: int = Field(4096, ge=1, le=65_536, description="units of the prototype net's first layer")
    semantic: int = Field(512, ge=1, le=65_536, description="units of its second layer")

    def fit(self, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> State:
        """Return the hardened weights; records the mean `loss` of each epoch. Resumes after its last whole epoch."""
        run = _Run(self, hasher, state, data, ctx)
        for step in range(run.course.step, self.prototype_steps):
            run.aim(self.batch_size, ctx.noise.copy(0), step)
            run.course.advance(run.total)
            run.course.save_if_due()
        for epoch in range(run.course.epoch, self.epochs):
            torch.manual_seed(int(ctx.noise.uniform("dropout", (1,), epoch) * 2**24))
            total = torch.zeros((), device=ctx.device)
            order = ctx.noise.uniform("shuffle", (len(data),), epoch)[0].argsort(stable=True)
            for index, rows in enumerate(order.split(self.batch_size)):
                total += len(rows) * self._train(run, hasher, rows, epoch * run.batches + index)
                run.course.advance(run.total)
            run.course.close_epoch({"loss": float(total) / len(data)})
        run.course.record()
        return run.network.state_dict()

    def _train(self, run: _Run, hasher: Hasher, rows: Tensor, step: int) -> Tensor:
        """Return the loss of one batch, after a step of both networks on it."""
        run.decay(step)
        images, labels = run.data.images(rows.tolist()), run.data.labels
        outputs = run.encode(images)
        run.codes[rows] = sign(outputs).float()
        prototypes = run.aim(len(rows), run.ctx.noise, step)
        start = run.ctx.noise.uniform("start", tuple(images.shape), step)[0]
        attacked = self.attack(run, images, prototypes, start)
        answers = run.encode(attacked)
        run.memory[rows] = outputs.detach()
        similar = run.similar(labels[rows])
        if self.benign == "own":
            loss = hasher.loss(outputs, labels, rows, run.memory)
        else:
            loss = pair_error(outputs, run.memory, similar)
        loss = loss + self.weight * pair_error(answers, run.memory, similar)
        return run.course.descend(run.hashing, loss)

    def attack(self, run: _Run, images: Tensor, prototypes: Tensor, start: Tensor) -> Tensor:
        """Return the images moved towards the prototypes (B, K), from a start given in [0, 1) of the ball's width."""
        lowest, highest = (images - self.eps).clamp_(min=0), (images + self.eps).clamp_(max=1)
        attacked = (images + self.eps * (2 * start - 1)).clamp(lowest, highest)
        for _ in range(self.attack_steps):
            pixels = attacked.detach().requires_grad_()
            loss = -(prototypes * run.encode(pixels)).mean()
            (gradient,) = torch.autograd.grad(loss, pixels)
            attacked = attacked.sub(gradient.sign_(), alpha=self.attack_step_size).clamp_(lowest, highest)
        return attacked


def pair_error(outputs: Tensor, memory: Tensor, similar: Tensor) -> Tensor:
    """Return mean_ij (u_i . U_j / K - (2 s_ij - 1))^2 of relaxed codes (B, K), a memory (N, K) and bool (B, N)."""
    return mse_loss(outputs @ memory.T / outputs.shape[1], 2 * similar.to(outputs) - 1)


class _Run:
    """The networks, memories and optimizers of a hardening, and the course that checkpoints them.

    Attributes:
        batches: steps of an epoch.
        total: steps of the whole training, those of the prototype net before it included.
        memory: relaxed codes of the training split, float32 (N, K), as last computed.
        codes: their signs, updated before each attack.
        vectors: distinct label vectors of the database, from which targets are drawn.
    """

    def __init__(self, options: ATRDH, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> None:
        self.options, self.data, self.ctx = options, data, ctx
        self.batches = math.ceil(len(data) / options.batch_size)
        self.total = options.prototype_steps + options.epochs * self.batches
        copied = {name: value.clone() for name, value in state.items()}
        self.network: HashNetwork = hasher.network(copied, ctx.device).requires_grad_(True)
        self.network.to(memory_format=torch.channels_last)
        self.memory = self._encode_all()
        self.codes = sign(self.memory).float()
        self.vectors = distinct_vectors(data.dataset.labels("database")).to(ctx.device)
        bits, classes = self.memory.shape[1], self.vectors.shape[1]
        self.net = PrototypeNet(classes, bits, options.hidden, options.semantic, reconstruct=False).to(ctx.device)
        self.hashing = torch.optim.Adam(self.network.parameters(), lr=options.learning_rate, betas=BETAS)
        self.prototyping = torch.optim.Adam(self.net.parameters(), lr=options.prototype_learning_rate, betas=BETAS)
        networks = {"network": self.network, "prototypes": self.net}
        optimizers = {"hashing": self.hashing, "prototyping": self.prototyping}
        self.course = Course(ctx, networks | optimizers, {"memory": self.memory, "codes": self.codes})

    def encode(self, images: Tensor) -> Tensor:
        """Return relaxed codes float32 (B, K)."""
        with self.ctx.autocast():
            logits = self.network.image(images)
        return relax(logits.float())

    def similar(self, labels: Tensor) -> Tensor:
        """Return bool (B, N): whether a row of the training split shares a class with each label vector."""
        return (labels.float() @ self.data.labels.float().T) > 0

    def aim(self, count: int, noise: Noise, step: int) -> Tensor:
        """Return prototype codes (count, K) in {-1, +1} of a step's targets, and then train their net on these."""
        labels = draw_vectors(self.vectors, count, noise, step)
        codes = self.net(labels).codes
        pull = circle_loss(codes, self.codes, self.similar(labels), self.options.circle, self.options.triangular)
        loss = pull / count + QUANTIZATION * quantization_loss(codes)
        self.course.descend(self.prototyping, loss, "loss of the prototype net")
        return sign(codes.detach()).float()

    def decay(self, step: int) -> None:
        """Lower both learning rates to a tenth at 1/2 and again at 3/4 of the steps; call it before each of them."""
        steps = self.options.epochs * self.batches
        if tenths := (steps // 2, steps * 3 // 4).count(step):
            for optimizer in (self.hashing, self.prototyping):
                optimizer.param_groups[0]["lr"] *= 0.1**tenths

    def _encode_all(self) -> Tensor:
        """Return the relaxed codes of the training split, float32 (N, K), without dropout."""
        self.network.eval()
        with torch.no_grad():
            batches = torch.arange(len(self.data)).split(self.ctx.batch_size)
            codes = [self.encode(self.data.images(rows.tolist())) for rows in batches]
        self.network.train()
        _freeze_statistics(self.network)
        return torch.cat(codes)


def _freeze_statistics(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()
