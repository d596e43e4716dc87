"""A generator that is trained against the attacked hasher and then attacks any query for any target in one pass."""

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
    """Trains a generator x -> x', conditioned on the semantics and the code p of a target from a prototype network.

    The generator minimizes, with y_t the target's labels, D the discriminator and images in [-1, 1],

        reconstruction |x' - x|^2 + hamming d(x', p) + adversarial |D(x') - (y_t, real)|^2

    and the discriminator half of |D(x) - (y, real)|^2 + |D(x') - (y_t, fake)|^2. All norms are means over elements.
    A subclass defines the targets, the distance d, the generator and the learning rate schedule.

    Only `reconstruction` limits the perturbation: there is no ball.

    Every draw is keyed by its step, so an interrupted training resumes from its last epoch to the same weights.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    learns: ClassVar[bool] = True
    adaptive: ClassVar[bool] = False

    reconstruction: float = Field(ge=0, description="weight of the squared change, images in [-1, 1]")
    hamming: float = Field(ge=0, description="weight of the distance to the prototype code")
    adversarial: float = Field(1.0, ge=0, description="weight of the discriminator's loss on generated images")
    epochs: int = Field(ge=1, le=100_000, description="passes over the training split")
    batch_size: int = Field(24, ge=1, le=65_536, description="training images per step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate before the decay")
    critic_every: int = Field(3, ge=1, description="the discriminator is trained once per this many generator steps")
    width: int = Field(64, ge=1, le=1024, description="channels of the generator's first convolution")
    blocks: int = Field(6, ge=0, le=64, description="residual blocks of the generator")
    critic_width: int = Field(64, ge=1, le=1024, description="channels of the discriminator's first convolution")
    critic_depth: int = Field(5, ge=1, le=10, description="convolutions of the discriminator that halve the resolution")
    prototypes: AttackPart = Field(description="the prototype network (target to semantics and code) and its training")

    @property
    def ball(self) -> Ball | None:
        return None

    @property
    @abstractmethod
    def schedule(self) -> tuple[int, int]:
        """Number of epochs at the full learning rate, and of those after them in which it decays; their sum is >= 1."""

    @abstractmethod
    def build_generator(self, facts: Facts) -> nn.Module:
        """Return an untrained generator: (images (B, 3, H, W) in [-1, 1], semantics) -> images of the same shape."""

    @abstractmethod
    def build_generator_for_state(self, state: State) -> nn.Module:
        """Return an untrained generator whose layer sizes match a trained state."""

    @abstractmethod
    def training_targets(self, knowledge: Knowledge) -> tuple[Tensor, ...]:
        """Return the targets that training draws from, as inputs of the prototype network.

        The first tensor holds the label vectors (D, C); further ones have D rows too.
        """

    @abstractmethod
    def query_targets(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the targets of a batch of queries, as inputs of the prototype network."""

    @abstractmethod
    def distance(self, logits: Tensor, prototypes: Tensor) -> Tensor:
        """Return the scalar d, from logits (B, K) of generated images and prototype codes (B, K) in (-1, 1)."""

    def supports(self, facts: Facts) -> str | None:
        if min(facts.image_size) < 2**self.critic_depth:
            size, minimum = "x".join(map(str, facts.image_size)), 2**self.critic_depth
            return (
                f"images are too small for the discriminator: got {size}, expected sides of at least {minimum}; "
                "lower `critic_depth`"
            )
        return super().supports(facts)

    def parts(self, facts: Facts) -> dict[str, AttackPart]:
        return {"prototypes": self.prototypes}

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        """Return the generator's weights; the mean of each loss in each epoch is recorded."""
        training = _GeneratorTraining(self, knowledge, ctx)
        for epoch in range(training.course.epoch, sum(self.schedule)):
            training.train_epoch(epoch)
        training.course.record()
        state: State = training.generator.state_dict()
        return state

    def module(self, state: State, device: torch.device) -> nn.Module:
        with torch.device("meta"):
            generator = self.build_generator_for_state(state)
        own = {name: tensor for name, tensor in state.items() if not name.startswith("prototypes/")}
        generator.load_state_dict(own, assign=True)
        prototypes = self.prototypes.module(part_state(state, "prototypes"), device)
        return TargetedGenerator(_channels_last(generator, device), prototypes).eval().requires_grad_(False)

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        if not batch.ids:
            return batch.images
        with torch.no_grad():
            generated: Tensor = module(batch.images, *self.query_targets(batch))
        return generated


class TargetedGenerator(nn.Module):
    """A trained generator together with the prototype network that it was trained with.

    Args:
        generator: (images in [-1, 1], semantics) -> images in [-1, 1].
        prototypes: the prototype network.
    """

    def __init__(self, generator: nn.Module, prototypes: nn.Module) -> None:
        super().__init__()
        self.generator, self.prototypes = generator, prototypes

    def forward(self, images: Tensor, *targets: Tensor) -> Tensor:
        """Return adversarial images (B, 3, H, W) in [0, 1]; `targets` are the inputs of the prototype network."""
        generated: Tensor = self.generator(2 * images - 1, self.prototypes(*targets).semantics)
        return (generated + 1) / 2


class _GeneratorTraining:
    """Trains a generator and a discriminator alternately."""

    # Names of curves in stored artifacts, so "critic" stays although the network is called discriminator.
    LOSSES: ClassVar[tuple[str, ...]] = ("reconstruction", "hamming", "adversarial", "critic")

    def __init__(self, options: GeneratorAttack, knowledge: Knowledge, ctx: Context) -> None:
        facts, device = knowledge.facts, ctx.device
        self.options, self.knowledge, self.ctx = options, knowledge, ctx
        self.targets = options.training_targets(knowledge)
        self.prototypes = options.prototypes.module(ctx.parts["prototypes"], device)
        self.discriminator = Discriminator(
            len(facts.classes), facts.image_size, options.critic_width, options.critic_depth
        )
        self.generator = _channels_last(options.build_generator(facts), device)
        _channels_last(self.discriminator, device)
        self.optimizers = {
            "generator": torch.optim.Adam(self.generator.parameters(), lr=options.learning_rate, betas=(0.5, 0.999)),
            "critic": torch.optim.Adam(self.discriminator.parameters(), lr=options.learning_rate, betas=(0.5, 0.999)),
        }
        optimizers = {f"{name} optimizer": optimizer for name, optimizer in self.optimizers.items()}
        self.course = Course(ctx, {"generator": self.generator, "critic": self.discriminator, **optimizers})

    def train_epoch(self, epoch: int) -> None:
        """Take one pass over the training split, in a random order that depends on the epoch."""
        count, batch_size, schedule = len(self.knowledge.training), self.options.batch_size, self.options.schedule
        steps = math.ceil(count / batch_size) * sum(schedule)
        for optimizer in self.optimizers.values():
            optimizer.param_groups[0]["lr"] = self.options.learning_rate * learning_rate_factor(epoch, *schedule)
        order = self.ctx.noise.uniform("order", (count,), epoch)[0].argsort(stable=True)  # 24-bit draws may tie
        losses: dict[str, list[Tensor]] = {name: [] for name in self.LOSSES}
        for index, rows in enumerate(torch.split(order, batch_size)):
            for name, loss in self._step(rows, index % self.options.critic_every == 0).items():
                losses[name].append(loss.detach())
            self.course.advance(steps)
        self.course.close_epoch({name: float(torch.stack(each).mean()) for name, each in losses.items()})

    def _step(self, rows: Tensor, update_discriminator: bool) -> dict[str, Tensor]:
        """Update the discriminator, if requested, then the generator; return their losses."""
        images = 2 * self.knowledge.training.images(rows.tolist()) - 1
        labels = self.knowledge.training.labels[rows].float()
        targets = self._draw_targets(len(rows))
        with torch.no_grad():
            semantics, codes, _ = self.prototypes(*targets)
        with self.ctx.autocast():
            generated = self.generator(images, semantics)
        generated = generated.float()
        losses = {}
        if update_discriminator:
            losses["critic"] = self._discriminator_loss(images, labels, generated.detach(), targets[0])
            self.course.descend(self.optimizers["critic"], losses["critic"], "discriminator loss", falls=False)
        self.discriminator.requires_grad_(False)
        losses |= self._generator_losses(images, generated, targets[0], codes)
        weights = {name: getattr(self.options, name) for name in ("reconstruction", "hamming", "adversarial")}
        total = torch.stack([weight * losses[name] for name, weight in weights.items()]).sum()
        self.course.descend(self.optimizers["generator"], total, "generator loss", falls=False)
        # The adversarial term rises whenever the discriminator gets better, and either of the two others may rise for
        # the other's sake: the attack works if their sum falls.
        own = [weights[name] * losses[name].detach() for name in ("reconstruction", "hamming")]
        self.course.watch("reconstruction and distance to the code", torch.stack(own).sum())
        self.discriminator.requires_grad_(True)
        return losses

    def _draw_targets(self, count: int) -> list[Tensor]:
        """Return the targets of a step, drawn uniformly with replacement."""
        rows = torch.arange(len(self.targets[0]), device=self.ctx.device)
        drawn = draw_targets(rows, count, self.ctx.noise, self.course.step)
        return [inputs[drawn] for inputs in self.targets]

    def _discriminator_loss(self, images: Tensor, labels: Tensor, generated: Tensor, target_labels: Tensor) -> Tensor:
        real_error = self._discriminator_error(images, labels, REAL)
        return (real_error + self._discriminator_error(generated, target_labels, FAKE)) / 2

    def _generator_losses(
        self, images: Tensor, generated: Tensor, target_labels: Tensor, codes: Tensor
    ) -> dict[str, Tensor]:
        with self.ctx.autocast():
            logits = self.knowledge.network.image((generated + 1) / 2)
        return {
            "reconstruction": F.mse_loss(generated, images),
            "hamming": self.options.distance(logits.float(), codes),
            "adversarial": self._discriminator_error(generated, target_labels, REAL),
        }

    def _discriminator_error(self, images: Tensor, labels: Tensor, flag: float) -> Tensor:
        # In float32 at any precision: autocast would round the power iteration of the spectral norm, and the norm
        # itself, to bfloat16. At 224 pixels the discriminator has a twentieth of the generator's work.
        return discriminator_error(self.discriminator(images), labels, flag)


def learning_rate_factor(epoch: int, constant_epochs: int, decay_epochs: int) -> float:
    """Return the factor of the learning rate in an epoch (from 0): 1 at first, then falling linearly towards 0.

    Epoch number k (from 1) has 1 - max(0, k - constant_epochs) / (decay_epochs + 1).

    Source: the codes of ProS-GAN and TA-DCH.
    """
    return 1 - max(0, epoch + 1 - constant_epochs) / (decay_epochs + 1)


def _channels_last(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network, moved to the device with weights in channels-last layout."""
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub omits this argument
    return network
