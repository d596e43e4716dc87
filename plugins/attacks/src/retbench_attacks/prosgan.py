"""ProS-GAN: a generator, trained against the attacked hasher, that redraws any query for any target in one pass.

Wang, Zhang, Wu, Shen and Lu 2021, "Prototype-supervised Adversarial Network for Targeted Attack of Deep Hashing", CVPR.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import AttackPart, Ball, Batch, Context, Facts, Knowledge, Need, Noise, State, part_state, relax
from retbench_attacks.pixel_attack import PixelAttack
from retbench_attacks.prosgan_networks import DOUBLINGS, Discriminator, Generator
from retbench_attacks.prosgan_prototypes import ProsGanPrototypes
from retbench_attacks.prototype_net import PrototypeNet
from retbench_attacks.target_vectors import distinct_vectors, draw_vectors

REAL, FAKE = 0.0, 1.0


class ProsGAN(PixelAttack):
    """Learns to redraw images x as x', with a prototype net's semantics r and signed code p of a target's labels y_t.

    The generator minimises, with F the attacked hasher's relaxed code, D the discriminator and images in [-1, 1],

        reconstruction |x' - x|^2 + hamming (1 - mean F(x') p) + adversarial |D(x') - (y_t, real)|^2

    and the discriminator half of |D(x) - (y, real)|^2 + |D(x') - (y_t, fake)|^2, all norms means over their elements.

    Nothing bounds the perturbation but `reconstruction`, so there is no ball. The paper weighs reconstruction with 50
    (NUS-WIDE, MS-COCO) or 100 (FLICKR-25K) and gives `hamming` no factor, which is the default; its code multiplies
    that term by 5. The code of ProS-GAN_Trans has `{hamming_form: squared, reconstruction: 50}`.

    Every draw is keyed by its step, so a training that was killed resumes from its last epoch to the same weights.
    """

    name: ClassVar[str] = "prosgan"
    source: ClassVar[str] = "Wang et al. 2021 (CVPR), section 3; networks and training as in the code of ProS-GAN"
    needs: ClassVar[frozenset[Need]] = frozenset({"training", "database_labels"})
    adaptive: ClassVar[bool] = False

    reconstruction: float = Field(100.0, ge=0, description="weight of the squared change, images in [-1, 1] (alpha)")
    hamming: float = Field(1.0, ge=0, description="weight of the distance to the prototype code: 1 paper, 5 code")
    hamming_form: Literal["linear", "squared"] = Field(
        "linear", description="distance of a relaxed bit to its prototype bit, s their product: 1 - s, or (1 - s)^2"
    )
    adversarial: float = Field(1.0, ge=0, description="weight of the discriminator's verdict (beta)")
    epochs: int = Field(100, ge=1, le=100_000, description="passes over the training split")
    batch: int = Field(24, ge=1, le=65_536, description="training images of one step")
    lr: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate; falls linearly in the second half")
    critic_every: int = Field(3, ge=1, description="the discriminator learns at every so many-th step of an epoch")
    width: int = Field(64, ge=1, le=1024, description="channels of the generator's first convolution")
    blocks: int = Field(6, ge=0, le=64, description="residual blocks of the generator")
    decoder_width: int = Field(128, ge=16, le=4096, multiple_of=16, description="channels of the decoder's first layer")
    critic_width: int = Field(64, ge=1, le=1024, description="channels of the discriminator's first convolution")
    critic_depth: int = Field(5, ge=1, le=10, description="halvings of the resolution in the discriminator")
    prototypes: ProsGanPrototypes = Field(ProsGanPrototypes(), description="the net from labels to codes, its training")

    @property
    def ball(self) -> Ball | None:
        return None

    def supports(self, facts: Facts) -> str | None:
        size, factor = "x".join(map(str, facts.image_size)), 2**DOUBLINGS
        if any(side % factor for side in facts.image_size):
            return f"the generator does not fit the image size: got {size}, expected multiples of {factor}"
        if min(facts.image_size) < 2**self.critic_depth:
            least = 2**self.critic_depth
            return (
                f"the discriminator halves images away: got {size}, expected sides from {least}; lower `critic_depth`"
            )
        return super().supports(facts)

    def parts(self, facts: Facts) -> dict[str, AttackPart]:
        return {"prototypes": self.prototypes}

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Returns the generator's weights; records the mean of each loss in each epoch."""
        run = _Run(self, knowledge, ctx)
        for epoch in range(run.epochs_done, self.epochs):
            run.train_epoch(epoch)
        for name, curve in run.curves.items():
            ctx.record(name, curve)
        return run.generator.state_dict()

    def perturb(self, knowledge: Knowledge, batch: Batch, state: State, noise: Noise) -> Tensor:
        if not batch.ids:
            return batch.images
        device = batch.images.device
        with torch.device("meta"):
            generator = self.new_generator(knowledge.facts)
        generator.load_state_dict({name: state[name] for name in generator.state_dict()}, assign=True)
        prototypes = self.prototypes.module(part_state(state, "prototypes"), device)
        with torch.no_grad():
            semantics = prototypes(batch.target_labels.float()).semantics
            redrawn: Tensor = generator.to(memory_format=torch.channels_last)(2 * batch.images - 1, semantics)
        return (redrawn + 1) / 2

    def new_generator(self, facts: Facts) -> Generator:
        """Returns an untrained generator for images of this size."""
        return Generator(self.prototypes.semantic, facts.image_size, self.width, self.blocks, self.decoder_width)

    def hamming_loss(self, codes: Tensor, prototypes: Tensor) -> Tensor:
        """Returns the mean distance of relaxed codes (B, K) to prototype codes in {-1, +1}, before its weight."""
        wrong = 1 - codes * prototypes
        return wrong.square().mean() if self.hamming_form == "squared" else wrong.mean()


class _Run:
    """What moves while a generator is trained, and its checkpoint."""

    def __init__(self, options: ProsGAN, knowledge: Knowledge, ctx: Context) -> None:
        facts = knowledge.facts
        self.options, self.knowledge, self.ctx = options, knowledge, ctx
        self.vectors = distinct_vectors(knowledge.grant("database_labels"))
        self.prototypes: PrototypeNet = options.prototypes.module(ctx.parts["prototypes"], ctx.device)
        critic = Discriminator(len(facts.classes), facts.image_size, options.critic_width, options.critic_depth)
        self.generator, self.critic = (
            net.to(ctx.device, memory_format=torch.channels_last) for net in (options.new_generator(facts), critic)
        )
        self.optimisers = {
            "generator": torch.optim.Adam(self.generator.parameters(), lr=options.lr, betas=(0.5, 0.999)),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=options.lr, betas=(0.5, 0.999)),
        }
        self.curves: dict[str, list[float]] = {"reconstruction": [], "hamming": [], "adversarial": [], "critic": []}
        self._load()

    @property
    def epochs_done(self) -> int:
        return len(self.curves["hamming"])

    def train_epoch(self, epoch: int) -> None:
        """Takes one pass over the training split in an order of its own, and saves where it stands."""
        count, batch = len(self.knowledge.training), self.options.batch
        steps = math.ceil(count / batch)
        for optimiser in self.optimisers.values():
            optimiser.param_groups[0]["lr"] = self.options.lr * learning_rate(epoch, self.options.epochs)
        order = self.ctx.noise.uniform("order", (count,), epoch)[0].argsort(stable=True)  # 24-bit draws may tie
        losses: dict[str, list[Tensor]] = {name: [] for name in self.curves}
        for step, rows in enumerate(order.split(batch)):
            for name, loss in self._step(rows, epoch * steps + step, step % self.options.critic_every == 0).items():
                losses[name].append(loss.detach())
            self.ctx.progress(epoch * steps + step + 1, self.options.epochs * steps)
        for name, curve in self.curves.items():
            curve.append(float(torch.stack(losses[name]).mean()))
        moving = {name: it.state_dict() for name, it in self._moving().items()}
        self.ctx.save_checkpoint("prosgan", {"curves": self.curves, **moving})

    def _step(self, rows: Tensor, step: int, critic_learns: bool) -> dict[str, Tensor]:
        """Takes one step of the generator, after one of the discriminator if it is its turn; returns their losses."""
        images = 2 * self.knowledge.training.images(rows.tolist()) - 1
        labels = self.knowledge.training.labels[rows].float()
        targets = draw_vectors(self.vectors, len(rows), self.ctx.noise, step)
        with torch.no_grad():
            semantics, codes, _ = self.prototypes(targets)
        with self.ctx.autocast():
            redrawn = self.generator(images, semantics)
        redrawn = redrawn.float()
        losses = {}
        if critic_learns:
            losses["critic"] = self._critic_loss(images, labels, redrawn.detach(), targets)
            self._update("critic", losses["critic"])
        self.critic.requires_grad_(False)
        losses |= self._generator_losses(images, redrawn, targets, codes.sign())
        weights = {name: getattr(self.options, name) for name in ("reconstruction", "hamming", "adversarial")}
        self._update("generator", torch.stack([weight * losses[name] for name, weight in weights.items()]).sum())
        self.critic.requires_grad_(True)
        return losses

    def _critic_loss(self, images: Tensor, labels: Tensor, redrawn: Tensor, targets: Tensor) -> Tensor:
        return (self._verdict(images, labels, REAL) + self._verdict(redrawn, targets, FAKE)) / 2

    def _generator_losses(self, images: Tensor, redrawn: Tensor, targets: Tensor, codes: Tensor) -> dict[str, Tensor]:
        with self.ctx.autocast():
            logits = self.knowledge.network.image((redrawn + 1) / 2)
        return {
            "reconstruction": F.mse_loss(redrawn, images),
            "hamming": self.options.hamming_loss(relax(logits.float()), codes),
            "adversarial": self._verdict(redrawn, targets, REAL),
        }

    def _verdict(self, images: Tensor, labels: Tensor, flag: float) -> Tensor:
        """Returns the mean squared error of what the discriminator reads against labels (B, C) and a flag."""
        # In float32 at any precision: autocast would round the spectral norm's power iteration, and the norm that it
        # divides by, to bfloat16. At 224 pixels the discriminator is but a twentieth of the generator's work.
        return F.mse_loss(self.critic(images), F.pad(labels, (0, 1), value=flag))

    def _update(self, name: str, loss: Tensor) -> None:
        self.optimisers[name].zero_grad()
        torch.autograd.backward(loss)
        self.optimisers[name].step()

    def _moving(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        optimisers = {f"{name} optimiser": optimiser for name, optimiser in self.optimisers.items()}
        return {"generator": self.generator, "critic": self.critic, **optimisers}

    def _load(self) -> None:
        saved = self.ctx.load_checkpoint("prosgan")
        if saved is None:
            return
        self.curves = saved["curves"]
        for name, it in self._moving().items():
            it.load_state_dict(saved[name])


def learning_rate(epoch: int, epochs: int) -> float:
    """Returns the share of the learning rate in an epoch (from 0): 1 in the first half, then linearly towards 0.

    Of 100 epochs, number k (from 1) has 1 - max(0, k - 50) / 51. Source: the code of ProS-GAN.
    """
    half = epochs // 2
    return 1 - max(0, epoch + 1 - half) / (epochs - half + 1)
