"""A dataset that is small enough to train on in a test, and denoisers for it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from diffusers import UNet2DModel
from retbench_defenses.denoisers.denoiser import DenoiserMetadata, Predictor, build_predictor
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser
from torch import Tensor, nn

from retbench import Context, Dataset, Facts, Noise, State, TrainingData, part_state

SIDE = 16


class RampDataset(Dataset):
    """Images of horizontal and vertical gray ramps."""

    name: ClassVar[str] = "ramps"

    def facts(self) -> Facts:
        sizes = {"train": 32, "query": 8, "database": 32}
        return Facts("ramps", image_size=(SIDE, SIDE), classes=("across", "down"), sizes=sizes)

    def ids(self, split: str) -> Sequence[str]:
        return [f"{split}-{row}" for row in range(self.facts().sizes[split])]

    def labels(self, split: str) -> Tensor:
        return torch.eye(2, dtype=torch.uint8).repeat(self.facts().sizes[split] // 2, 1)

    def images(self, split: str, rows: Sequence[int]) -> Tensor:
        ramp = torch.linspace(40, 215, SIDE).expand(SIDE, SIDE)
        images = [(ramp if row % 2 else ramp.T) + row % 7 * 5 - 15 for row in rows]
        return torch.stack(images)[:, None].expand(-1, 3, -1, -1).to(torch.uint8)


@pytest.fixture
def facts() -> Facts:
    return RampDataset().facts()


@pytest.fixture(scope="session")
def data() -> TrainingData:
    return TrainingData(RampDataset(), RampDataset().facts(), torch.device("cpu"))


@pytest.fixture(scope="session")
def tiny_denoiser() -> TrainedDenoiser:
    return TrainedDenoiser(channels=(8, 8), steps=30, batch_size=8, warmup=2, learning_rate=0.01)


@pytest.fixture(scope="session")
def train(data: TrainingData) -> Callable[..., State]:
    """Return a function that fits a part as the core does, with torch's global generator seeded.

    A checkpoint is saved after every step.
    """

    def fit(part: TrainedDenoiser, checkpoints: Path | None = None, **services: object) -> State:
        ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoints=checkpoints, **services)
        ctx = replace(ctx, checkpoint_every=0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return part.fit(data, ctx)

    return fit


@pytest.fixture
def state(train: Callable[..., State], tiny_denoiser: TrainedDenoiser) -> State:
    """The state of a purifier whose denoiser has almost random weights."""
    weights = train(tiny_denoiser.model_copy(update={"steps": 1}))
    return {f"denoiser/{name}": tensor for name, tensor in weights.items()}


@pytest.fixture
def module(state: State) -> Predictor:
    """The module of a diffusion purifier with that denoiser."""
    return build_predictor(part_state(state, "denoiser"), torch.device("cpu"))


@pytest.fixture
def images(data: TrainingData) -> Tensor:
    return data.images(range(8))


@pytest.fixture
def noise() -> Noise:
    return Noise(7, tuple(f"query-{row}" for row in range(8)))


class FunctionUNet(nn.Module):
    """A function of the noised image and its level in place of a U-Net."""

    def __init__(self, output: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Tensor, level: Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=self.output(x, int(level)))


@pytest.fixture
def make_predictor() -> Callable[..., Predictor]:
    """Return a function that makes a predictor from a function; with six channels it learns the variance."""

    def build(
        output: Callable[[Tensor, int], Tensor], size: tuple[int, int] | None = None, channels: int = 3
    ) -> Predictor:
        metadata = DenoiserMetadata({"block_out_channels": (8, 8), "out_channels": channels}, 1000, size)
        return Predictor(FunctionUNet(output), metadata)

    return build


@pytest.fixture
def sized_facts() -> Callable[[int, int], Facts]:
    """Return a function that gives the facts of images of a height and width."""
    return lambda height, width: replace(RampDataset().facts(), image_size=(height, width))


@pytest.fixture
def save_unet() -> Callable[..., UNet2DModel]:
    """Return a function that writes a network of random weights in diffusers' layout and returns it."""

    def write(folder: Path, **options: object) -> UNet2DModel:
        torch.manual_seed(0)
        defaults = {
            "block_out_channels": (8, 8),
            "norm_num_groups": 8,
            "layers_per_block": 1,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        }
        unet = UNet2DModel(**{**defaults, **options})
        unet.save_pretrained(folder)
        return unet

    return write
