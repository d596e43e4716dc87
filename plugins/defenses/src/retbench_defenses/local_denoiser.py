"""A denoiser that somebody else trained, read from this machine's disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field
from safetensors import safe_open

from retbench import Context, Facts, State, TrainingData
from retbench_defenses.chain import LEVELS
from retbench_defenses.denoiser import Denoiser, Outline, pack_state

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


class LocalDenoiser(Denoiser):
    """Loads a `UNet2DModel` from a folder in diffusers' layout, or from the hub's local cache; it never downloads.

    Unless the weight file's header says otherwise under `levels`, it counts as trained for all 1000 noise levels.
    """

    name: ClassVar[str] = "local-denoiser"
    source: ClassVar[str] = "Ho et al. 2020; the layout is that of diffusers' UNet2DModel.save_pretrained"

    path: str = Field(min_length=1, description=f"folder with {CONFIG} and {WEIGHTS}, or a hub id that is in the cache")

    def missing(self, facts: Facts) -> str | None:
        config = _find(self.path, CONFIG)
        if config is None or _find(self.path, WEIGHTS) is None:
            return (
                f"no denoiser is there: got {self.path!r}, expected a folder with {CONFIG} and {WEIGHTS} "
                "(UNet2DModel.save_pretrained writes both); to put a hub model into the local cache: "
                f"hf download {self.path} {CONFIG} {WEIGHTS}"
            )
        kind = _read(config).get("_class_name")
        return None if kind == "UNet2DModel" else f"{config}: not a U-Net: got {kind}, expected UNet2DModel"

    def files(self, facts: Facts) -> dict[str, Path]:
        """Returns weights and architecture: a recipe holds their sha256 in place of the path; nothing if missing."""
        found = {"path": _find(self.path, WEIGHTS), "config": _find(self.path, CONFIG)}
        return {option: path for option, path in found.items() if path}

    def outline(self, facts: Facts) -> Outline:
        files = self.files(facts)
        with safe_open(files["path"], "pt") as archive:
            header = archive.metadata() or {}
        return Outline(_public(_read(files["config"])), int(header.get("levels", LEVELS)))

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        import diffusers

        # Read by diffusers, which renames the attention weights of old checkpoints.
        folder = self.files(inputs.facts)["config"].parent
        unet: Any = diffusers.UNet2DModel
        net = unet.from_pretrained(folder, use_safetensors=True, low_cpu_mem_usage=False).to(ctx.device)
        return pack_state(net.state_dict(), Outline(_public(dict(net.config)), self.outline(inputs.facts).levels))


def _find(where: str, name: str) -> Path | None:
    """Returns a file of the folder, or of the hub's cache; a pipeline keeps its U-Net in a folder of its own."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for inside in (name, f"unet/{name}"):
        if (path := Path(where, inside)).is_file():
            return path
        try:
            cached = try_to_load_from_cache(where, inside)
        except HFValidationError:  # a path that cannot be a hub id
            continue
        if isinstance(cached, str):
            return Path(cached)
    return None


def _read(config: Path) -> dict[str, Any]:
    options: dict[str, Any] = json.loads(config.read_text())
    return options


def _public(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the model's arguments without diffusers' own notes (`_class_name`, `_diffusers_version`)."""
    return {option: value for option, value in config.items() if not option.startswith("_")}
