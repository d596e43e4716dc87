"""OpenAI's unconditional ImageNet denoiser for 256 pixels, or another checkpoint of the same code.

Source: Dhariwal and Nichol 2021, Diffusion models beat GANs on image synthesis ("ADM"), guided-diffusion.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from retbench import Context, Facts, State, TrainingData, UserError, Weights
from retbench_defenses.denoisers.adm_conversion import adm_config, convert_adm
from retbench_defenses.denoisers.denoiser import Denoiser, Outline, pack_state
from retbench_defenses.denoisers.schedule import LEVELS

PUBLISHED = "adm-imagenet-256"
"""What the published checkpoint is called in a suite."""
FILE = Weights(
    "256x256_diffusion_uncond.pt",
    "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/256x256_diffusion_uncond.pt",
    "a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1",
    "MIT (guided-diffusion); trained on ImageNet, whose terms allow non-commercial research",
)
SIDE = 256


class AdmDenoiser(Denoiser):
    """Reads a guided-diffusion checkpoint and lays it out as diffusers' `UNet2DModel`, of which it is an exact copy.

    Architecture is read off the tensors' shapes; without `side` it takes images of any size as they are. The order
    of attention heads cannot be read off: one trained with `use_new_attention_order` is misread without an error.
    """

    name: ClassVar[str] = "adm-denoiser"
    learns: ClassVar[bool] = False
    source: ClassVar[str] = "Dhariwal and Nichol 2021, 256x256 unconditional; guided-diffusion's checkpoint"

    path: str = Field(PUBLISHED, min_length=1, description=f"`{PUBLISHED}`, or the path of a checkpoint (.pt)")
    side: int | None = Field(
        None, ge=1, le=65_536, description="side in pixels of the images it was trained on; unknown if null"
    )
    head_width: int = Field(64, ge=1, le=4096, description="channels of an attention head, which no tensor shows")

    def missing(self, facts: Facts) -> str | None:
        if self.path == PUBLISHED:
            problem = FILE.problem()
            return f"its weights are {problem}; get them with `retbench weights prepare SUITE`" if problem else None
        if self._path.is_file():
            return None
        return f"no checkpoint is there: got {self.path!r}, expected a file of guided-diffusion, or `{PUBLISHED}`"

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        return (FILE,) if self.path == PUBLISHED else ()

    def files(self, facts: Facts) -> dict[str, Path]:
        return {"path": self._path} if self._path.is_file() else {}

    def outline(self, facts: Facts) -> Outline:
        """Return the outline read off the checkpoint's shapes.

        Raises:
            UserError: the file is not such a checkpoint.
        """
        shapes = _shapes(str(self._path), self._path.stat().st_mtime_ns)
        try:
            config = adm_config(shapes, self.head_width)
        except ValueError as error:
            raise UserError(f"{self._path}: {error}") from None
        size = (self.side, self.side) if self.side else None
        learned = config["out_channels"] == 6
        return Outline(config, LEVELS, size, "learned_range" if learned else "fixed_small")

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        outline = self.outline(inputs.facts)
        return pack_state(convert_adm(_read(self._path, "cpu"), self.head_width), outline)

    @property
    def _path(self) -> Path:
        return FILE.path if self.path == PUBLISHED else Path(self.path)


@lru_cache(maxsize=16)
def _shapes(path: str, modified: int) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in _read(Path(path), "meta").items()}


def _read(path: Path, device: str) -> dict[str, Tensor]:
    """Return a checkpoint's tensors by name.

    Raises:
        UserError: the file holds anything else, or is damaged.
    """
    try:
        held = torch.load(path, map_location=device, weights_only=True, mmap=True)
    except Exception as error:  # a zip, pickle or file error, depending on what the file is
        raise UserError(
            f"{path}: not a checkpoint of tensors alone, as torch.save writes it: {type(error).__name__}"
        ) from None
    if not isinstance(held, dict) or not all(isinstance(value, Tensor) for value in held.values()):
        raise UserError(f"{path}: expected tensors by name: got {type(held).__name__}")
    return held
