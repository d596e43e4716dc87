"""A generator that is trained against the attacked hasher, and then redraws any query for any target in one pass."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import AttackPart, Ball, Batch, Context, Course, Facts, Knowledge, Need, Noise, State, part_state
from retbench_attacks.generative.discriminator import FAKE, REAL, Discriminator, discriminator_error
from retbench_attacks.pixel_attack import PixelAttack
from retbench_attacks.prototypes.target_vectors import draw_targets


class GeneratorAttack(PixelAttack):
    """Learns to redraw images x as x', with the semantics and the code p that a prototype net has for a target.

    The generator minimizes, with y_t the target's labels, D the discriminator and images in [-1, 1],

        reconstruction |x' - x|^2 + hamming d(x', p) + adversarial |D(x') - (y_t, real)|^2

    and the discriminator half of |D(x) - (y, real)|^2 + |D(x') - (y_t, fake)|^2, all norms means over their elements.
    A subclass defines the targets, the distance d, the generator, and when the rate falls.

    Nothing bounds the perturbation but `reconstruction`, so there is no ball.

    Every draw is keyed by its step, so a training that was killed resumes from its last epoch to the same weights.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    learns: ClassVar[bool] = True
    adaptive: ClassVar[bool] = False

    reconstruction: float = Field(ge=0, description="weight of the squared change, images in [-1, 1]")
    hamming: float = Field(ge=0, description="weight of the distance to the prototype code")
    adversarial: float = Field(1.0, ge=0, description="weight of the discriminator's verdict")
    epochs: int = Field(ge=1, le=100_000, description="passes over the training split")
    batch_size: int = Field(24, ge=1, le=65_536, description="training images of one step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, before it falls")
    critic_every: int = Field(3, ge=1, description="the discriminator learns at every so many-th step of an epoch")
    width: int = Field(64, ge=1, le=1024, description="channels of the generator's first convolution")
    blocks: int = Field(6, ge=0, le=64, description="residual blocks of the generator")
    critic_width: int = Field(64, ge=1, le=1024, description="channels of the discriminator's first convolution")
    critic_depth: int = Field(5, ge=1, le=10, description="halvings of the resolution in the discriminator")
    prototypes: AttackPart = Field(description="the net from a target to its semantics and code, and its training")

    @property
    def ball(self) -> Ball | None:
        return None

    @property
    @abstractmethod
    def schedule(self) -> tuple[int, int]:
        """How many epochs have the full learning rate, and in how many after them it falls; one or more in all."""

    @abstractmethod
    def build_generator(self, facts: Facts) -> nn.Module:
        """Return an untrained generator: from images (B, 3, H, W) in [-1, 1] and semantics to images alike."""

    @abstractmethod
    def build_generator_for_state(self, state: State) -> nn.Module:
        """Return an untrained generator of the sizes of trained weights."""

    @abstractmethod
    def candidates(self, knowledge: Knowledge) -> tuple[Tensor, ...]:
        """Return the targets that training draws from: label vectors (D, C) first, and whatever else the net reads."""

    @abstractmethod
    def aims(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the targets of a batch of queries, in the same form."""

    @abstractmethod
    def distance(self, logits: Tensor, prototypes: Tensor) -> Tensor:
        """Return the scalar d, of logits (B, K) of generated images and the prototype net's codes (B, K) in (-1, 1)."""

    def supports(self, facts: Facts) -> str | None:
        if min(facts.image_size) < 2**self.critic_depth:
            size, least = "x".join(map(str, facts.image_size)), 2**self.critic_depth
            return (
                f"the discriminator halves images away: got {size}, expected sides from {least}; lower `critic_depth`"
            )
        return super().supports(facts)

    def parts(self, facts: Facts) -> dict[str, AttackPart]:
        return {"prototypes": self.prototypes}

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return the generator's weights; the mean of each loss in each epoch is recorded."""
        training = _Training(self, knowledge, ctx)
        for epoch in range(training.course.epoch, sum(self.schedule)):
            training.train_epoch(epoch)
        training.course.record()
        return training.generator.state_dict()

    def module(self, state: State, device: torch.device) -> nn.Module:
        with torch.device("meta"):
            generator = self.build_generator_for_state(state)
        generator.load_state_dict({name: state[name] for name in generator.state_dict()}, assign=True)
        generator = generator.to(device, memory_format=torch.channels_last)
        prototypes = self.prototypes.module(part_state(state, "prototypes"), device)
        return TargetedGenerator(generator, prototypes).eval().requires_grad_(False)

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        if not batch.ids:
            return batch.images
        with torch.no_grad():
            generated: Tensor = module(batch.images, *self.aims(batch))
        return generated


class TargetedGenerator(nn.Module):
    """A trained generator behind the prototype net that it was trained with.

    Args:
        generator: from images in [-1, 1] and semantics to images in [-1, 1].
        prototypes: from a target to its semantics.
    """

    def __init__(self, generator: nn.Module, prototypes: nn.Module) -> None:
        super().__init__()
        self.generator, self.prototypes = generator, prototypes

    def forward(self, images: Tensor, *targets: Tensor) -> Tensor:
        """Return images (B, 3, H, W) in [0, 1], generated for their targets: label vectors first, as a net reads them."""
        generated: Tensor = self.generator(2 * images - 1, self.prototypes(*targets).semantics)
        return (generated + 1) / 2


class _Training:
    """A generator and a discriminator that learn in turn."""

    LOSSES: ClassVar[tuple[str, ...]] = ("reconstruction", "hamming", "adversarial", "critic")

    def __init__(self, options: GeneratorAttack, knowledge: Knowledge, ctx: Context) -> None:
        facts = knowledge.facts
        self.options, self.knowledge, self.ctx = options, knowledge, ctx
        self.candidates = options.candidates(knowledge)
        self.prototypes = options.prototypes.module(ctx.parts["prototypes"], ctx.device)
        critic = Discriminator(len(facts.classes), facts.image_size, options.critic_width, options.critic_depth)
        self.generator, self.critic = (
            net.to(ctx.device, memory_format=torch.channels_last) for net in (options.build_generator(facts), critic)
        )
        self.optimizers = {
            "generator": torch.optim.Adam(self.generator.parameters(), lr=options.learning_rate, betas=(0.5, 0.999)),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=options.learning_rate, betas=(0.5, 0.999)),
        }
        optimizers = {f"{name} optimizer": optimizer for name, optimizer in self.optimizers.items()}
        self.course = Course(ctx, {"generator": self.generator, "critic": self.critic, **optimizers})

    def train_epoch(self, epoch: int) -> None:
        """Take one pass over the training split, in an order of its own."""
        count, batch_size, schedule = len(self.knowledge.training), self.options.batch_size, self.options.schedule
        steps = math.ceil(count / batch_size) * sum(schedule)
        for optimizer in self.optimizers.values():
            optimizer.param_groups[0]["lr"] = self.options.learning_rate * learning_rate_factor(epoch, *schedule)
        order = self.ctx.noise.uniform("order", (count,), epoch)[0].argsort(stable=True)  # 24-bit draws may tie
        losses: dict[str, list[Tensor]] = {name: [] for name in self.LOSSES}
        for index, rows in enumerate(order.split(batch_size)):
            for name, loss in self._step(rows, index % self.options.critic_every == 0).items():
                losses[name].append(loss.detach())
            self.course.advance(steps)
        self.course.close_epoch({name: float(torch.stack(each).mean()) for name, each in losses.items()})

    def _step(self, rows: Tensor, critic_learns: bool) -> dict[str, Tensor]:
        """Take one step of the generator, after one of the discriminator if it is its turn; return their losses."""
        images = 2 * self.knowledge.training.images(rows.tolist()) - 1
        labels = self.knowledge.training.labels[rows].float()
        targets = self._draw(len(rows))
        with torch.no_grad():
            semantics, codes, _ = self.prototypes(*targets)
        with self.ctx.autocast():
            generated = self.generator(images, semantics)
        generated = generated.float()
        losses = {}
        if critic_learns:
            losses["critic"] = self._critic_loss(images, labels, generated.detach(), targets[0])
            self.course.descend(self.optimizers["critic"], losses["critic"], "critic loss")
        self.critic.requires_grad_(False)
        losses |= self._generator_losses(images, generated, targets[0], codes)
        weights = {name: getattr(self.options, name) for name in ("reconstruction", "hamming", "adversarial")}
        total = torch.stack([weight * losses[name] for name, weight in weights.items()]).sum()
        self.course.descend(self.optimizers["generator"], total, "generator loss")
        self.critic.requires_grad_(True)
        return losses

    def _draw(self, count: int) -> list[Tensor]:
        """Return a step's targets, each candidate as likely, with replacement."""
        rows = torch.arange(len(self.candidates[0]), device=self.ctx.device)
        drawn = draw_targets(rows, count, self.ctx.noise, self.course.step)
        return [candidates[drawn] for candidates in self.candidates]

    def _critic_loss(self, images: Tensor, labels: Tensor, generated: Tensor, targets: Tensor) -> Tensor:
        return (self._verdict(images, labels, REAL) + self._verdict(generated, targets, FAKE)) / 2

    def _generator_losses(self, images: Tensor, generated: Tensor, targets: Tensor, codes: Tensor) -> dict[str, Tensor]:
        with self.ctx.autocast():
            logits = self.knowledge.network.image((generated + 1) / 2)
        return {
            "reconstruction": F.mse_loss(generated, images),
            "hamming": self.options.distance(logits.float(), codes),
            "adversarial": self._verdict(generated, targets, REAL),
        }

    def _verdict(self, images: Tensor, labels: Tensor, flag: float) -> Tensor:
        # In float32 at any precision: autocast would round the spectral norm's power iteration, and the norm that it
        # divides by, to bfloat16. At 224 pixels the discriminator is but a twentieth of the generator's work.
        return discriminator_error(self.critic(images), labels, flag)


def learning_rate_factor(epoch: int, steady: int, falling: int) -> float:
    """Return the share of the learning rate in an epoch (from 0): 1 at first, then linearly towards 0.

    Epoch number k (from 1) has 1 - max(0, k - steady) / (falling + 1). Source: the codes of ProS-GAN and TA-DCH.
    """
    return 1 - max(0, epoch + 1 - steady) / (falling + 1)
