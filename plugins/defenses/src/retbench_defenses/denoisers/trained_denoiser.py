"""A small denoiser, trained on the dataset's own clean images.

Source: Ho et al. 2020, algorithm 1 and equation 14; RetPur, algorithm 1 and equation 13. RetPur's equation 14, which
noises attacked images to one fixed level while the network is told another, is not offered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import Context, Facts, Noise, State, TrainingData
from retbench_defenses.denoisers.denoiser import Denoiser, Outline, Predictor, build_unet, lay_out, pack_state
from retbench_defenses.denoisers.schedule import LEVELS, alphas_cumprod, diffuse

CLIP = 1.0
CHECKPOINT_EVERY = 200
GROUPS = 8
SHOWN = 8
"""Training images in the picture of samples."""


class TrainedDenoiser(Denoiser):
    """Fits a U-Net without attention to predict the noise in noised training images, and keeps its moving average.

    Every draw is keyed by its step, so a fit that was killed resumes from its checkpoint to the same weights.
    """

    name: ClassVar[str] = "trained-denoiser"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Ho et al. 2020, algorithm 1 and equation 14; RetPur, algorithm 1"

    channels: tuple[Annotated[int, Field(ge=GROUPS, multiple_of=GROUPS)], ...] = Field(
        (32, 64, 64), min_length=1, max_length=8, description="channels of each resolution, halved from one to the next"
    )
    layers: int = Field(1, ge=1, le=8, description="residual blocks of each resolution")
    levels: int = Field(
        200,
        ge=1,
        le=LEVELS,
        description="noise levels trained for: those below this one; 200 holds the start of every published setting",
    )
    dense_below: int = Field(
        100, ge=1, le=LEVELS, description="half of a batch draws its level below this index, the rest below `levels`"
    )
    steps: int = Field(2000, ge=1, description="gradient steps")
    batch: int = Field(32, ge=1, description="images of one step")
    lr: float = Field(2e-3, gt=0, le=1, description="peak learning rate of AdamW, decayed along a cosine to zero")
    warmup: int = Field(100, ge=0, description="steps of linear warm-up to the peak learning rate")
    ema: float = Field(0.9999, ge=0, lt=1, description="highest decay of the moving average, reached as 1 - step^-0.75")

    def outline(self, facts: Facts) -> Outline:
        return Outline(_config(self.channels, self.layers), self.levels, facts.image_size)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        outline = self.outline(inputs.facts)
        run = _Run(outline.config, ctx, self.lr)
        for step in range(len(run.losses), self.steps):
            rate = _warm_cosine(step, self.steps, self.warmup)
            run.update(self._loss(run.net, inputs, ctx, step), self.lr * rate, min(self.ema, 1 - (1 + step) ** -0.75))
            ctx.progress(step + 1, self.steps)
        ctx.record("loss", run.losses)
        state = pack_state(run.average, outline)
        ctx.record("samples", self._samples(Predictor(build_unet(state, ctx.device), outline), inputs, ctx))
        return state

    def _samples(self, predictor: Predictor, inputs: TrainingData, ctx: Context) -> Tensor:
        """Returns a picture, uint8 (3, H, W), of what the denoiser learned; a row for each of some training images.

        In each row: the image; then, for levels from low to the highest, it noised and what is left of the noise.
        """
        clean = 2 * inputs.images(range(min(SHOWN, len(inputs)))) - 1
        noise = replace(ctx.noise, ids=tuple(f"sample {row}" for row in range(len(clean))))
        columns = [clean]
        for level in sorted({self.levels // 8, self.levels // 2, self.levels - 1}):
            kept = alphas_cumprod()[level]
            noised = diffuse(clean, kept, noise.normal("eps", tuple(clean.shape[1:]), level))
            with torch.no_grad(), ctx.autocast():
                eps = predictor.predict(noised, level).eps
            columns += [noised / kept**0.5, ((noised - (1 - kept) ** 0.5 * eps) / kept**0.5)]
        sheet = torch.stack(columns, dim=1).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).cpu()
        return sheet.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2).contiguous()

    def _loss(self, net: nn.Module, inputs: TrainingData, ctx: Context, step: int) -> Tensor:
        rows = (ctx.noise.uniform("rows", (self.batch,), step)[0] * len(inputs)).long()
        images = 2 * inputs.images(rows.tolist()) - 1
        levels = self._levels(ctx.noise, step)
        kept = torch.tensor(alphas_cumprod(), device=ctx.device)[levels, None, None, None]
        eps = ctx.noise.normal("eps", tuple(images.shape), step)[0]
        noised = kept.sqrt() * images + (1 - kept).sqrt() * eps
        with ctx.autocast():
            predicted = net(noised.contiguous(memory_format=torch.channels_last), levels).sample
        return F.mse_loss(predicted.float(), eps)

    def _levels(self, noise: Noise, step: int) -> Tensor:
        """Returns int64 (batch,); purification walks the low levels most, so at least half of the work goes there."""
        low = torch.arange(self.batch, device=noise.device) < self.batch // 2
        bound = torch.where(low, min(self.dense_below, self.levels), self.levels)
        return (noise.uniform("levels", (self.batch,), step)[0] * bound).long()


class _Run:
    """What moves while a denoiser is trained, and its checkpoint."""

    def __init__(self, config: Mapping[str, Any], ctx: Context, lr: float) -> None:
        self.net: nn.Module = lay_out(config).to(ctx.device, memory_format=torch.channels_last)
        self.average = {name: weight.clone() for name, weight in self.net.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr, betas=(0.95, 0.999), weight_decay=1e-6)
        self.losses: list[float] = []
        self.ctx = ctx
        if saved := ctx.load_checkpoint("denoiser"):
            self.net.load_state_dict(saved["net"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.average = {name: weight.to(ctx.device) for name, weight in saved["average"].items()}
            self.losses = saved["losses"]

    def update(self, loss: Tensor, lr: float, decay: float) -> None:
        """Takes one gradient step, follows it with the moving average, and saves all of it now and then."""
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.net.parameters(), CLIP)
        self.optimizer.step()
        for name, weight in self.net.state_dict().items():
            self.average[name].lerp_(weight, 1 - decay)
        self.losses.append(loss.item())
        if len(self.losses) % CHECKPOINT_EVERY == 0:
            moving = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
            self.ctx.save_checkpoint("denoiser", {**moving, "average": self.average, "losses": self.losses})


def _warm_cosine(step: int, steps: int, warmup: int) -> float:
    """Returns the share of the peak learning rate at `step`: linear to 1, then half a cosine to 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, steps - warmup))


def _config(channels: tuple[int, ...], layers: int) -> dict[str, Any]:
    return {
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": layers,
        "block_out_channels": list(channels),
        "down_block_types": ["DownBlock2D"] * len(channels),
        "up_block_types": ["UpBlock2D"] * len(channels),
        "norm_num_groups": GROUPS,
        "add_attention": False,
    }
