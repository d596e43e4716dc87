"""A small denoiser that is trained on the clean images of the dataset.

Source: Ho et al. 2020, algorithm 1 and equation 14; RetPur, algorithm 1 and equation 13. RetPur's equation 14, which
noises attacked images to one fixed level but gives the network another, is not offered.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import Context, Course, Facts, Noise, State, TrainingData
from retbench_defenses.denoisers.denoiser import Denoiser, DenoiserMetadata, Predictor, build_unet, pack_state
from retbench_defenses.denoisers.schedule import LEVELS, alphas_cumprod, diffuse

MAX_GRADIENT_NORM = 1.0
GROUPS = 8
USELESS_LOSS = 1.0
"""Mean squared error of a network that always predicts no noise, as the noise has variance 1."""
SAMPLE_ROWS = 8
"""Number of training images in the recorded picture of samples."""


class TrainedDenoiser(Denoiser):
    """Trains a U-Net without attention to predict the noise in noised training images; returns its moving average.

    Random numbers depend only on the step, so a killed training resumes from its checkpoint to the same weights.
    """

    name: ClassVar[str] = "trained-denoiser"
    revision: ClassVar[int] = 3
    source: ClassVar[str] = "Ho et al. 2020, algorithm 1 and equation 14; RetPur, algorithm 1"

    channels: tuple[Annotated[int, Field(ge=GROUPS, multiple_of=GROUPS)], ...] = Field(
        (32, 64, 64), min_length=1, max_length=8, description="channels at each resolution; each halves the one before"
    )
    layers: int = Field(1, ge=1, le=8, description="residual blocks at each resolution")
    levels: int = Field(
        200,
        ge=1,
        le=LEVELS,
        description="number of noise levels trained for, from the lowest; 200 includes every published start level",
    )
    dense_below: int = Field(
        100, ge=1, le=LEVELS, description="half of each batch has levels below this one, the other half below `levels`"
    )
    steps: int = Field(2000, ge=1, description="gradient steps")
    batch_size: int = Field(32, ge=1, description="training images per step")
    learning_rate: float = Field(
        2e-3, gt=0, le=1, description="peak learning rate of AdamW, followed by a cosine decay to zero"
    )
    warmup: int = Field(100, ge=0, description="steps of linear warm-up to the peak learning rate")
    ema: float = Field(
        0.9999, ge=0, lt=1, description="decay of the moving average of the weights; at step n at most 1 - n^-0.75"
    )

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        return (f"it was trained on the training images of {facts.dataset}, as a published denoiser was not",)

    def metadata(self, facts: Facts) -> DenoiserMetadata:
        return DenoiserMetadata(_unet_config(self.channels, self.layers), self.levels, facts.image_size)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Return the moving average of the weights; records the `loss` of each step and a picture of `samples`."""
        metadata = self.metadata(inputs.facts)
        unet: nn.Module = build_unet(metadata.config).to(ctx.device, memory_format=torch.channels_last)
        average = {name: weight.clone() for name, weight in unet.state_dict().items()}
        optimizer = torch.optim.AdamW(unet.parameters(), self.learning_rate, betas=(0.95, 0.999), weight_decay=1e-6)
        course = Course(ctx, {"unet": unet, "optimizer": optimizer}, average)
        for step in range(course.step, self.steps):
            optimizer.param_groups[0]["lr"] = self.learning_rate * _rate_factor(step, self.steps, self.warmup)
            loss = course.descend(optimizer, self._loss(unet, inputs, ctx, step), clip=MAX_GRADIENT_NORM)
            decay = min(self.ema, 1 - (1 + step) ** -0.75)
            for name, weight in unet.state_dict().items():
                average[name].lerp_(weight, 1 - decay)
            course.log("loss", float(loss))
            course.advance(self.steps)
            course.save_if_due()
        course.record({"loss": USELESS_LOSS})
        state = pack_state(average, metadata, self.name)
        ctx.record("samples", self._draw_samples(self.module(state, ctx.device), inputs, ctx))
        return state

    def _draw_samples(self, predictor: Predictor, inputs: TrainingData, ctx: Context) -> Tensor:
        """Return a picture, uint8 (3, H, W), with a row for each of some training images.

        A row shows the image and then, for three levels in ascending order, the noised and the denoised image.
        """
        clean = 2 * inputs.images(range(min(SAMPLE_ROWS, len(inputs)))) - 1
        noise = replace(ctx.noise, ids=tuple(f"sample {row}" for row in range(len(clean))))
        columns = [clean]
        for level in sorted({self.levels // 8, self.levels // 2, self.levels - 1}):
            alpha_bar = alphas_cumprod()[level]
            noised = diffuse(clean, alpha_bar, noise.normal("eps", tuple(clean.shape[1:]), level))
            with torch.no_grad(), ctx.autocast():
                eps = predictor(noised, level).eps
            columns += [noised / alpha_bar**0.5, ((noised - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5)]
        grid = torch.stack(columns, dim=1).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).cpu()
        return grid.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2).contiguous()

    def _loss(self, unet: nn.Module, inputs: TrainingData, ctx: Context, step: int) -> Tensor:
        rows = (ctx.noise.uniform("rows", (self.batch_size,), step)[0] * len(inputs)).long()
        images = 2 * inputs.images(rows.tolist()) - 1
        levels = self._draw_levels(ctx.noise, step)
        eps = ctx.noise.normal("eps", tuple(images.shape), step)[0]
        noised = _diffuse_each(images, levels, eps)
        with ctx.autocast():
            predicted = unet(noised.contiguous(memory_format=torch.channels_last), levels).sample
        return F.mse_loss(predicted.float(), eps)

    def _draw_levels(self, noise: Noise, step: int) -> Tensor:
        """Return the noise level of each image of a batch, int64 (batch_size,).

        Purification calls the network most often at low levels, so half of the batch is drawn from those.
        """
        is_low = torch.arange(self.batch_size, device=noise.device) < self.batch_size // 2
        bound = torch.where(is_low, min(self.dense_below, self.levels), self.levels)
        return (noise.uniform("levels", (self.batch_size,), step)[0] * bound).long()


def _diffuse_each(images: Tensor, levels: Tensor, eps: Tensor) -> Tensor:
    """Return images (B, 3, H, W) in [-1, 1], each noised to its own level, int64 (B,)."""
    # 1 - alpha-bar in double precision: in float32, that of the lowest level is wrong in the fourth digit.
    tables = alphas_cumprod(), [1 - alpha_bar for alpha_bar in alphas_cumprod()]
    signal, noise = (torch.tensor(table, device=images.device)[levels, None, None, None].sqrt() for table in tables)
    return signal * images + noise * eps


def _rate_factor(step: int, steps: int, warmup: int) -> float:
    """Return the learning rate at `step` as a share of its peak: a linear warm-up to 1, then half a cosine to 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, steps - warmup))


def _unet_config(channels: tuple[int, ...], layers: int) -> dict[str, Any]:
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
