"""A denoiser that somebody else trained, read from this machine's disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import Field
from safetensors import safe_open

from retbench import Context, Facts, State, TrainingData
from retbench_defenses.chain import LEVELS
from retbench_defenses.denoiser import Denoiser, Outline, Variance, pack_state

CONFIG, SCHEDULER = "config.json", "scheduler_config.json"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
"""Weight files, the better one first; the second is read as tensors alone."""
FOLDERS = ("", "unet/", "scheduler/")
"""Where a pipeline keeps them."""
VARIANCES = {"fixed_small_log": "fixed_small", "fixed_large_log": "fixed_large", "learned": "learned_range"}
"""What diffusers calls the same variances, tabulated otherwise."""
SCHEDULE = {
    "num_train_timesteps": LEVELS,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
}
"""What a purifier's chain assumes of the training."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class LocalDenoiser(Denoiser):
    """Loads a `UNet2DModel` from a folder in diffusers' layout, or from the hub's local cache; it never downloads.

    Unless the weight file's header says otherwise under `levels`, it counts as trained for all 1000 noise levels. The
    reverse variance is that of `scheduler_config.json` where there is one, else learned with six output channels.
    """

    name: ClassVar[str] = "local-denoiser"
    source: ClassVar[str] = "Ho et al. 2020; the layout is that of diffusers' UNet2DModel.save_pretrained"

    path: str = Field(min_length=1, description=f"folder with {CONFIG} and {WEIGHTS[0]}, or a hub id in the cache")

    def missing(self, facts: Facts) -> str | None:
        files = self.files(facts)
        if not {"path", "config"} <= files.keys():
            return (
                f"no denoiser is there: got {self.path!r}, expected a folder with {CONFIG} and {WEIGHTS[0]} "
                f"(UNet2DModel.save_pretrained writes both){self._fetch()}"
            )
        if (kind := _read(files["config"]).get("_class_name")) != "UNet2DModel":
            return f"{files['config']}: not a U-Net: got {kind}, expected UNet2DModel"
        told = _read(files["scheduler"]) if "scheduler" in files else {}
        other = next((name for name, value in SCHEDULE.items() if told.get(name, value) != value), None)
        if other:
            got, expected = told[other], SCHEDULE[other]
            return f"{files['scheduler']}: trained on another chain: {other}: got {got}, expected {expected}"
        return None

    def _fetch(self) -> str:
        """Returns how to get a hub model, where the path may be one."""
        if not HUB_ID.fullmatch(self.path):
            return ""
        wanted = f"{CONFIG} {WEIGHTS[0]} {SCHEDULER}"
        return f"; a hub model is put into the local cache by: hf download {self.path} {wanted}"

    def files(self, facts: Facts) -> dict[str, Path]:
        """Returns what it reads: a recipe holds their sha256 in place of the path; nothing if missing."""
        weights = next((found for name in WEIGHTS if (found := _find(self.path, name))), None)
        found = {"path": weights, "config": _find(self.path, CONFIG), "scheduler": _find(self.path, SCHEDULER)}
        return {option: path for option, path in found.items() if path}

    def outline(self, facts: Facts) -> Outline:
        files = self.files(facts)
        config = _public(_read(files["config"]))
        return Outline(config, _levels(files["path"]), _size(config), _variance(files.get("scheduler"), config))

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        import diffusers

        # Read by diffusers, which renames the attention weights of old checkpoints.
        folder = self.files(inputs.facts)["config"].parent
        unet: Any = diffusers.UNet2DModel
        safe = self.files(inputs.facts)["path"].suffix == ".safetensors"
        net = unet.from_pretrained(folder, use_safetensors=safe, low_cpu_mem_usage=False).to(ctx.device)
        return pack_state(net.state_dict(), self.outline(inputs.facts)._replace(config=_public(dict(net.config))))


def _find(where: str, name: str) -> Path | None:
    """Returns a file of the folder, or of the hub's cache; a pipeline keeps its pieces in folders of their own."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for inside in (folder + name for folder in FOLDERS):
        if (path := Path(where, inside)).is_file():
            return path
        try:
            cached = try_to_load_from_cache(where, inside)
        except HFValidationError:  # a path that cannot be a hub id
            continue
        if isinstance(cached, str):
            return Path(cached)
    return None


def _size(config: dict[str, Any]) -> tuple[int, int] | None:
    size = config.get("sample_size")
    return (size, size) if isinstance(size, int) else (size[0], size[1]) if size else None


def _levels(weights: Path) -> int:
    if weights.suffix != ".safetensors":
        return LEVELS
    with safe_open(weights, "pt") as archive:
        return int((archive.metadata() or {}).get("levels", LEVELS))


def _variance(scheduler: Path | None, config: dict[str, Any]) -> Variance:
    if scheduler is None:
        return "learned_range" if config.get("out_channels", 3) == 6 else "fixed_small"
    told = _read(scheduler).get("variance_type", "fixed_small")
    return cast(Variance, VARIANCES.get(told, told))


def _read(config: Path) -> dict[str, Any]:
    options: dict[str, Any] = json.loads(config.read_text())
    return options


def _public(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the model's arguments without diffusers' own notes (`_class_name`, `_diffusers_version`)."""
    return {option: value for option, value in config.items() if not option.startswith("_")}
