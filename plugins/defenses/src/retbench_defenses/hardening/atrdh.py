"""Adversarial training of a hasher against attacks on prototype codes.

Wang, Zhang, Lu and Xu 2021, "Targeted Attack and Defense for Deep Hashing", SIGIR.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from retbench_attacks.prototypes.prototype_net import PrototypeNet
from retbench_attacks.prototypes.prototype_part import quantisation_loss
from retbench_attacks.prototypes.target_vectors import distinct_vectors, draw_vectors
from retbench_attacks.prototypes.tha_prototypes import CircleForm, circle_loss
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import MultiStepLR

from retbench import Context, Hardening, Hasher, HashNetwork, Noise, State, TrainingData, relax, sign

QUANTISATION = 1e-4
BETAS = (0.5, 0.999)


class ATRDH(Hardening):
    """Trains a trained hasher on its images and on images that are attacked anew in every batch.

    For each batch a target label vector is drawn uniformly from the distinct ones of the database; a prototype net,
    trained along the way, turns it into a prototype code p; projected gradient descent moves the images x to x'
    towards p inside an l-infinity ball, from a random start; and with o and a the relaxed codes of x and x', U the
    memory of all o and s_ij = 1 for a shared class, the hasher descends

        L = benign(o, U) + weight * mean_ij ( a_i . U_j / K - (2 s_ij - 1) )^2.

    The published code leaves room, and this is what is taken:

    - `benign: own` is the hasher's own loss, as in SAAT's version of this defense and in lines that the code of ATRDH
      holds as comments; `mse` is the line it runs, the second term's form on o, whatever the hasher. `own` is the
      default, because a DPSH that is trained on as DPH would be another hasher than the one it is compared with.
    - The weight of the attacked images is 1 in the code of ATRDH and 2 in SAAT's.
    - Dropout stays on while the images are attacked, as published. Batch normalisation, which the published nets do
      not have, keeps the statistics of the trained hasher: attacked images would drag them along.
    - The memories start with the codes of the trained hasher without dropout; in the published code dropout disturbs
      them until each row is first visited.
    - `prototype_steps` trains the prototype net before the first batch. The published code has no such steps, and
      15 700 others (on FLICKR-25K) to make up for it; in three short epochs the images would be moved towards random
      codes.

    The database is encoded with the hardened hasher, and an attacker sees that one. The final test in the published
    code ranks the codes that the undefended hasher gave the database; this is not offered, because an attacked query is
    then searched among codes of another network, which measures how far the two have drifted apart as much as any
    robustness.
    """

    name: ClassVar[str] = "atrdh"
    source: ClassVar[str] = "Wang et al. 2021 (SIGIR), adversarial training; schedule as in the code of ATRDH"
    needs_loss: ClassVar[bool] = True

    epochs: int = Field(100, ge=1, le=10_000, description="passes over the training split")
    batch: int = Field(32, ge=2, le=65_536, description="training images a step")
    rate: float = Field(1e-4, gt=0, le=1, description="learning rate of Adam, a tenth at 1/2 and 3/4 of the steps")
    eps: float = Field(8 / 255, gt=0, le=1, description="radius of the l-infinity ball, pixels in [0, 1]")
    attack_steps: int = Field(7, ge=1, le=1000, description="steps of the attack on a batch")
    attack_step: float = Field(2 / 255, gt=0, le=1, description="length of such a step, pixels in [0, 1]")
    weight: float = Field(1.0, ge=0, le=100, description="weight of the attacked images' term")
    benign: Literal["own", "mse"] = Field("own", description="loss of the clean images: the hasher's own, or the MSE")
    circle: CircleForm = Field("sum", description="form of the prototype net's circle loss")
    triangular: bool = Field(False, description="leave out the pairs that the published codes leave out by a slip")
    prototype_rate: float = Field(1e-4, gt=0, le=1, description="learning rate of the prototype net")
    prototype_steps: int = Field(0, ge=0, le=1_000_000, description="steps of the prototype net before the first batch")
    hidden: int = Field(4096, ge=1, le=65_536, description="units of the prototype net's first layer")
    semantic: int = Field(512, ge=1, le=65_536, description="units of its second layer")

    def fit(self, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> State:
        """Returns the hardened weights; records the mean `loss` of each epoch. Resumes after its last whole epoch."""
        run = _Run(self, hasher, state, data, ctx)
        for epoch in range(len(run.losses), self.epochs):
            torch.manual_seed(int(ctx.noise.uniform("dropout", (1,), epoch) * 2**24))
            total = torch.zeros((), device=ctx.device)
            order = ctx.noise.uniform("shuffle", (len(data),), epoch)[0].argsort(stable=True)
            for index, rows in enumerate(order.split(self.batch)):
                step = epoch * run.batches + index
                total += len(rows) * self._train(run, hasher, rows, step)
                ctx.progress(step + 1, self.epochs * run.batches)
            run.finish_epoch(float(total) / len(data))
        ctx.record("loss", list(run.losses))
        return run.network.state_dict()

    def _train(self, run: _Run, hasher: Hasher, rows: Tensor, step: int) -> Tensor:
        """Returns the loss of one batch, after a step of both networks on it."""
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
        descend(run.hashing, loss)
        for schedule in run.schedules:
            schedule.step()
        return loss.detach()

    def attack(self, run: _Run, images: Tensor, prototypes: Tensor, start: Tensor) -> Tensor:
        """Returns the images moved towards the prototypes (B, K), from a start given in [0, 1) of the ball's width."""
        lowest, highest = (images - self.eps).clamp_(min=0), (images + self.eps).clamp_(max=1)
        attacked = (images + self.eps * (2 * start - 1)).clamp(lowest, highest)
        for _ in range(self.attack_steps):
            pixels = attacked.detach().requires_grad_()
            loss = -(prototypes * run.encode(pixels)).mean()
            (gradient,) = torch.autograd.grad(loss, pixels)
            attacked = attacked.sub(gradient.sign_(), alpha=self.attack_step).clamp_(lowest, highest)
        return attacked


def pair_error(outputs: Tensor, memory: Tensor, similar: Tensor) -> Tensor:
    """Returns mean_ij (u_i . U_j / K - (2 s_ij - 1))^2 of relaxed codes (B, K), a memory (N, K) and bool (B, N)."""
    return mse_loss(outputs @ memory.T / outputs.shape[1], 2 * similar.to(outputs) - 1)


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """Takes one step down a loss."""
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()


class _Run:
    """What moves while a hasher is hardened, and its checkpoint."""

    def __init__(self, options: ATRDH, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> None:
        self.options, self.data, self.ctx = options, data, ctx
        self.batches = math.ceil(len(data) / options.batch)
        copied = {name: value.clone() for name, value in state.items()}
        self.network: HashNetwork = hasher.network(copied, ctx.device).requires_grad_(True)
        self.network.to(memory_format=torch.channels_last)
        self.memory = self._encode_all()
        self.codes = sign(self.memory).float()
        self.vectors = distinct_vectors(data.dataset.labels("database")).to(ctx.device)
        bits, classes = self.memory.shape[1], self.vectors.shape[1]
        self.net = PrototypeNet(classes, bits, options.hidden, options.semantic, reconstruct=False).to(ctx.device)
        self.losses: list[float] = []
        self.hashing = torch.optim.Adam(self.network.parameters(), lr=options.rate, betas=BETAS)
        self.prototyping = torch.optim.Adam(self.net.parameters(), lr=options.prototype_rate, betas=BETAS)
        saved = ctx.load_checkpoint("atrdh")
        for step in range(0 if saved else options.prototype_steps):
            self.aim(options.batch, ctx.noise.copy(0), step)
        steps = options.epochs * self.batches
        tenths = [steps // 2, steps * 3 // 4]
        self.schedules = [MultiStepLR(optimiser, tenths, gamma=0.1) for optimiser in (self.hashing, self.prototyping)]
        if saved:
            self._resume(saved)

    def encode(self, images: Tensor) -> Tensor:
        """Returns relaxed codes float32 (B, K)."""
        with self.ctx.autocast():
            logits = self.network.image(images)
        return relax(logits.float())

    def similar(self, labels: Tensor) -> Tensor:
        """Returns bool (B, N): who of the training split shares a class with each label vector."""
        return (labels.float() @ self.data.labels.float().T) > 0

    def aim(self, count: int, noise: Noise, step: int) -> Tensor:
        """Returns prototype codes (count, K) in {-1, +1} of a step's targets, and then trains their net on these."""
        labels = draw_vectors(self.vectors, count, noise, step)
        codes = self.net(labels).codes
        pull = circle_loss(codes, self.codes, self.similar(labels), self.options.circle, self.options.triangular)
        descend(self.prototyping, pull / count + QUANTISATION * quantisation_loss(codes))
        return sign(codes.detach()).float()

    def finish_epoch(self, loss: float) -> None:
        """Keeps the epoch's loss and saves everything that moves; raises ValueError where it diverged."""
        if not math.isfinite(loss):
            epoch, rate = len(self.losses) + 1, self.options.rate
            raise ValueError(f"atrdh: the loss of epoch {epoch} diverged: got {loss}, expected a rate below {rate}")
        self.losses.append(loss)
        tensors = {"memory": self.memory, "codes": self.codes}
        states = [each.state_dict() for each in self._stateful()]
        self.ctx.save_checkpoint("atrdh", {**tensors, "losses": self.losses, "states": states})

    def _encode_all(self) -> Tensor:
        """Returns the relaxed codes of the training split, float32 (N, K), without dropout."""
        self.network.eval()
        with torch.no_grad():
            batches = torch.arange(len(self.data)).split(self.ctx.batch_size)
            codes = [self.encode(self.data.images(rows.tolist())) for rows in batches]
        self.network.train()
        _freeze_statistics(self.network)
        return torch.cat(codes)

    def _stateful(self) -> tuple[Any, ...]:
        return (self.network, self.net, self.hashing, self.prototyping, *self.schedules)

    def _resume(self, saved: Mapping[str, Any]) -> None:
        self.memory, self.codes = saved["memory"].to(self.ctx.device), saved["codes"].to(self.ctx.device)
        self.losses = saved["losses"]
        for each, state in zip(self._stateful(), saved["states"], strict=True):
            each.load_state_dict(state)


def _freeze_statistics(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()
