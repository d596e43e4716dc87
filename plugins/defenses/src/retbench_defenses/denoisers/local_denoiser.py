"""A denoiser that was trained elsewhere, read from this machine's disk."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open

from retbench import Context, Facts, State, TrainingData
from retbench_defenses.denoisers.denoiser import Denoiser, Outline, Variance, lay_out, pack_state
from retbench_defenses.denoisers.schedule import HIGHEST_BETA, LEVELS, LOWEST_BETA, betas

CONFIG, SCHEDULER = "config.json", "scheduler_config.json"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
"""Weight files, the better one first; the second is read as tensors alone."""
FOLDERS = ("", "unet/", "scheduler/")
"""Folders inside a pipeline that hold them."""
VARIANCES: dict[str, Variance] = {
    "fixed_small": "fixed_small",
    "fixed_small_log": "fixed_small",
    "fixed_large": "fixed_large",
    "fixed_large_log": "fixed_large",
    "learned_range": "learned_range",
}
"""Variances by their names in diffusers; those on `_log` are the same ones, tabulated as logarithms."""
TRAINING: dict[str, Any] = {
    "num_train_timesteps": LEVELS,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
}
"""The options of a scheduler that a purifier's chain assumes, beside its betas."""
BETAS: dict[str, Any] = {"beta_start": LOWEST_BETA, "beta_end": HIGHEST_BETA, "beta_schedule": "linear"}
"""The options that give its betas, where it does not list them under `trained_betas`."""
TOLERANCE = 1e-6
"""Largest relative difference of two betas that count as equal: another program's were computed in float32."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class LocalDenoiser(Denoiser):
    """Loads a `UNet2DModel` from a folder in diffusers' layout, or from the hub's local cache; it never downloads.

    Without an entry `levels` in the weight file's header, it counts as trained for all 1000 noise levels. The
    reverse variance is that of `scheduler_config.json` where there is one, else learned with six output channels.
    """

    name: ClassVar[str] = "local-denoiser"
    revision: ClassVar[int] = 2
    learns: ClassVar[bool] = False
    source: ClassVar[str] = "Ho et al. 2020; the layout is that of diffusers' UNet2DModel.save_pretrained"

    path: str = Field(min_length=1, description=f"folder with {CONFIG} and {WEIGHTS[0]}, or a hub id in the cache")

    def missing(self, facts: Facts) -> str | None:
        files = self.files(facts)
        if not {"path", "config"} <= files.keys():
            return (
                f"no denoiser is there: got {self.path!r}, expected a folder with {CONFIG} and {WEIGHTS[0]} "
                f"(UNet2DModel.save_pretrained writes both){self._fetch()}"
            )
        try:
            return _foreign_chain(files.get("scheduler")) or _foreign_network(files["config"], files["path"])
        except (ValueError, TypeError, SafetensorError) as error:
            problem = str(error).splitlines()[0]
            return f"{files['config'].parent}: the denoiser cannot be read: {type(error).__name__}: {problem}"

    def _fetch(self) -> str:
        """Return how to get a hub model, if the path may be one."""
        if not HUB_ID.fullmatch(self.path):
            return ""
        wanted = f"{CONFIG} {WEIGHTS[0]} {SCHEDULER}"
        return f"; a hub model is put into the local cache by: hf download {self.path} {wanted}"

    def files(self, facts: Facts) -> dict[str, Path]:
        """Return the files it reads: a recipe holds their sha256 in place of the path; nothing if missing."""
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
    """Return a file of the folder, or of the hub's cache; a pipeline keeps its pieces in folders of their own."""
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


def _foreign_chain(scheduler: Path | None) -> str | None:
    """Return why a network was not trained on the chain that purifiers walk, or None."""
    if scheduler is None:
        return None
    options = _read(scheduler)
    listed = options.get("trained_betas")
    for name, expected in (TRAINING if listed else TRAINING | BETAS).items():
        if not _equal(got := options.get(name, expected), expected):
            return f"{scheduler}: trained on another chain: {name}: got {got}, expected {expected}"
    if listed and not (len(listed) == LEVELS and all(map(_equal, listed, betas()))):
        got = f"{len(listed)} from {listed[0]} to {listed[-1]}"
        expected = f"{LEVELS} from {LOWEST_BETA} to {HIGHEST_BETA} in even steps"
        return f"{scheduler}: trained on another chain: trained_betas: got {got}, expected {expected}"
    if (got := options.get("variance_type", "fixed_small")) not in VARIANCES:
        return f"{scheduler}: unknown variance_type: got {got}, expected one of {', '.join(VARIANCES)}"
    return None


def _equal(got: Any, expected: Any) -> bool:
    """Return whether an option has the expected value, a number up to the rounding of float32."""
    numbers = isinstance(got, float) and isinstance(expected, float)
    return math.isclose(got, expected, rel_tol=TOLERANCE) if numbers else bool(got == expected)


def _foreign_network(config: Path, weights: Path) -> str | None:
    """Return why the weights are not those of an unconditional `UNet2DModel` of this architecture, or None."""
    options = _read(config)
    if (kind := options.get("_class_name")) != "UNet2DModel":
        return f"{config}: not a U-Net: got {kind}, expected UNet2DModel"
    if classes := options.get("num_class_embeds") or options.get("class_embed_type"):
        return f"{config}: the network needs a class: got {classes}, expected an unconditional one"
    with torch.device("meta"):
        expected = lay_out(_public(options)).state_dict()
    shapes = _shapes(weights)
    # Old checkpoints have other names for attention weights, which diffusers renames when it reads them.
    for name in (name for name in expected if name in shapes):  # in the network's order: the first is reported
        if tuple(expected[name].shape) != shapes[name]:
            return f"{weights}: {name}: got {shapes[name]}, expected {tuple(expected[name].shape)} by {config.name}"
    return None if "conv_in.weight" in shapes else f"{weights}: it holds no U-Net: conv_in.weight is missing"


def _shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    if weights.suffix == ".safetensors":
        with safe_open(weights, "pt") as archive:
            return {name: tuple(archive.get_slice(name).get_shape()) for name in archive.keys()}  # noqa: SIM118  an archive is no dictionary
    held = torch.load(weights, map_location="meta", weights_only=True, mmap=True)
    return {name: tuple(tensor.shape) for name, tensor in held.items()}


def _levels(weights: Path) -> int:
    if weights.suffix != ".safetensors":
        return LEVELS
    with safe_open(weights, "pt") as archive:
        return int((archive.metadata() or {}).get("levels", LEVELS))


def _variance(scheduler: Path | None, config: dict[str, Any]) -> Variance:
    if scheduler is None:
        return "learned_range" if config.get("out_channels", 3) == 6 else "fixed_small"
    return VARIANCES[_read(scheduler).get("variance_type", "fixed_small")]


def _read(config: Path) -> dict[str, Any]:
    options: dict[str, Any] = json.loads(config.read_text())
    return options


def _public(config: dict[str, Any]) -> dict[str, Any]:
    """Return the model's arguments without diffusers' own notes (`_class_name`, `_diffusers_version`)."""
    return {option: value for option, value in config.items() if not option.startswith("_")}
