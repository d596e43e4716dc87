"""OpenAI's unconditional ImageNet denoiser for 256 pixels, or another checkpoint of the same code.

Source: Dhariwal and Nichol 2021, Diffusion models beat GANs on image synthesis ("ADM"), guided-diffusion.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from retbench import Context, Facts, State, TrainingData, UserError, Weights, read_weights
from retbench_defenses.denoisers.adm_conversion import adm_config, convert_adm
from retbench_defenses.denoisers.denoiser import Denoiser, DenoiserMetadata, pack_state
from retbench_defenses.denoisers.schedule import LEVELS

PUBLISHED_NAME = "adm-imagenet-256"
"""The name of the published checkpoint in a suite."""
PUBLISHED_WEIGHTS = Weights(
    "256x256_diffusion_uncond.pt",
    "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/256x256_diffusion_uncond.pt",
    "a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1",
    "MIT (guided-diffusion); trained on ImageNet, whose terms allow non-commercial research",
)
PUBLISHED_SIDE = 256
"""Side in pixels of the images that the published network was trained on."""


class AdmDenoiser(Denoiser):
    """Reads a guided-diffusion checkpoint as a diffusers `UNet2DModel` that computes exactly the same function.

    The architecture is read off the shapes of the tensors. Without `side`, images of any size are taken as they are.
    The order of attention heads cannot be read off: a network trained with `use_new_attention_order` gives wrong
    predictions without an error.
    """

    name: ClassVar[str] = "adm-denoiser"
    learns: ClassVar[bool] = False
    source: ClassVar[str] = "Dhariwal and Nichol 2021, 256x256 unconditional; guided-diffusion's checkpoint"

    path: str = Field(
        PUBLISHED_NAME, min_length=1, description=f"`{PUBLISHED_NAME}`, or the path of a checkpoint (.pt)"
    )
    side: int | None = Field(
        None, ge=1, le=65_536, description="side in pixels of the images that it was trained on; null: unknown"
    )
    head_width: int = Field(
        64, ge=1, le=4096, description="channels of an attention head, which cannot be read off the checkpoint"
    )

    def explain_unavailable(self, facts: Facts) -> str | None:
        if self.path == PUBLISHED_NAME:
            problem = PUBLISHED_WEIGHTS.problem()
            return f"its weights are {problem}; get them with `retbench weights prepare SUITE`" if problem else None
        if self._path.is_file():
            return None
        return (
            f"the checkpoint does not exist: got {self.path!r}, expected a file of guided-diffusion, or "
            f"`{PUBLISHED_NAME}`"
        )

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        return (PUBLISHED_WEIGHTS,) if self.path == PUBLISHED_NAME else ()

    def files(self, facts: Facts) -> dict[str, Path]:
        return {"path": self._path} if self._path.is_file() else {}

    def metadata(self, facts: Facts) -> DenoiserMetadata:
        """Return the metadata, read off the shapes in the checkpoint.

        Raises:
            UserError: the file is not such a checkpoint.
        """
        shapes = _read_shapes(str(self._path), self._path.stat().st_mtime_ns)
        try:
            config = adm_config(shapes, self.head_width)
        except ValueError as error:
            raise UserError(f"{self._path}: {error}") from None
        size = (self.side, self.side) if self.side else None
        learns_variance = config["out_channels"] == 6
        return DenoiserMetadata(config, LEVELS, size, "learned_range" if learns_variance else "fixed_small")

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        metadata = self.metadata(inputs.facts)
        weights = convert_adm(read_weights(self._path), self.head_width)
        return pack_state(weights, metadata, str(self._path))

    @property
    def _path(self) -> Path:
        return PUBLISHED_WEIGHTS.path if self.path == PUBLISHED_NAME else Path(self.path)


@lru_cache(maxsize=16)
def _read_shapes(path: str, modified: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor; `modified`, the file's time stamp, makes the cache forget replaced files."""
    return {name: tuple(tensor.shape) for name, tensor in read_weights(Path(path), "meta").items()}
