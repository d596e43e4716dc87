"""A denoiser that was trained elsewhere, read from the local disk."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open

from retbench import Context, Facts, State, TrainingData, UserError, read_weights
from retbench_defenses.denoisers.denoiser import (
    Denoiser,
    DenoiserMetadata,
    Variance,
    build_unet,
    match_unet,
    pack_state,
)
from retbench_defenses.denoisers.schedule import HIGHEST_BETA, LEVELS, LOWEST_BETA, betas

CONFIG_FILE, SCHEDULER_FILE = "config.json", "scheduler_config.json"
WEIGHT_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
"""Names of the weight file, the preferred one first; of the second, only tensors are read."""
PIPELINE_FOLDERS = ("", "unet/", "scheduler/")
"""Folders of a diffusers pipeline that can contain the files."""
VARIANCES: dict[str, Variance] = {
    "fixed_small": "fixed_small",
    "fixed_small_log": "fixed_small",
    "fixed_large": "fixed_large",
    "fixed_large_log": "fixed_large",
    "learned_range": "learned_range",
}
"""Variances by their names in diffusers; those ending in `_log` are the same, tabulated as logarithms."""
EXPECTED_TRAINING: dict[str, Any] = {
    "num_train_timesteps": LEVELS,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
}
"""Scheduler options that the purifiers assume, apart from the betas."""
EXPECTED_BETAS: dict[str, Any] = {"beta_start": LOWEST_BETA, "beta_end": HIGHEST_BETA, "beta_schedule": "linear"}
"""Scheduler options that define the betas, unless `trained_betas` lists them."""
TOLERANCE = 1e-6
"""Largest relative difference between betas that count as equal; other programs compute them in float32."""
OLD_ATTENTION = re.compile(r"(\.attentions\.\d+\.)(query|key|value|proj_attn)(?=\.)")
NEW_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Layers of an attention by their names in old checkpoints."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class LocalDenoiser(Denoiser):
    """Loads a `UNet2DModel` from a folder in diffusers' layout, or from the hub's local cache; it never downloads.

    If the header of the weight file has no entry `levels`, the network counts as trained for all 1000 noise levels.
    The reverse variance is that of `scheduler_config.json`; without that file, `learned_range` if the network has six
    output channels, else `fixed_small`.
    """

    name: ClassVar[str] = "local-denoiser"
    revision: ClassVar[int] = 2
    learns: ClassVar[bool] = False
    source: ClassVar[str] = "Ho et al. 2020; the layout is that of diffusers' UNet2DModel.save_pretrained"

    path: str = Field(
        min_length=1, description=f"folder with {CONFIG_FILE} and {WEIGHT_FILES[0]}, or a hub id in the local cache"
    )

    def explain_unavailable(self, facts: Facts) -> str | None:
        files = self.files(facts)
        if not {"path", "config"} <= files.keys():
            return (
                f"the denoiser does not exist: got {self.path!r}, expected a folder with {CONFIG_FILE} and "
                f"{WEIGHT_FILES[0]} (UNet2DModel.save_pretrained writes both){self._download_hint()}"
            )
        try:
            return _explain_other_chain(files.get("scheduler")) or _explain_other_network(
                files["config"], files["path"]
            )
        except (ValueError, TypeError, SafetensorError) as error:
            problem = str(error).splitlines()[0]
            return f"{files['config'].parent}: the denoiser cannot be read: {type(error).__name__}: {problem}"

    def _download_hint(self) -> str:
        if not HUB_ID.fullmatch(self.path):
            return ""
        files = f"{CONFIG_FILE} {WEIGHT_FILES[0]} {SCHEDULER_FILE}"
        return f"; to get a hub model into the local cache: hf download {self.path} {files}"

    def files(self, facts: Facts) -> dict[str, Path]:
        """Return the files that exist among weights (`path`), `config` and `scheduler`.

        A recipe contains their sha256 in place of the path.
        """
        weights = next((path for name in WEIGHT_FILES if (path := _find_file(self.path, name))), None)
        config, scheduler = _find_file(self.path, CONFIG_FILE), _find_file(self.path, SCHEDULER_FILE)
        files = {"path": weights, "config": config, "scheduler": scheduler}
        return {option: path for option, path in files.items() if path}

    def metadata(self, facts: Facts) -> DenoiserMetadata:
        files = self.files(facts)
        config = _drop_private(_read_json(files["config"]))
        variance = _read_variance(files.get("scheduler"), config)
        return DenoiserMetadata(config, _read_levels(files["path"]), _trained_size(config), variance)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        path, metadata = self.files(inputs.facts)["path"], self.metadata(inputs.facts)
        with torch.device("meta"):
            complete_config = _drop_private(dict(build_unet(metadata.config).config))
        weights = rename_old_attention(read_weights(path, str(ctx.device)))
        return pack_state(weights, metadata._replace(config=complete_config), str(path))


def _find_file(path: str, name: str) -> Path | None:
    """Return a file of the folder or of the hub's cache; None if it does not exist."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for relative_path in (folder + name for folder in PIPELINE_FOLDERS):
        if (file := Path(path, relative_path)).is_file():
            return file
        try:
            cached = try_to_load_from_cache(path, relative_path, constants.HF_HUB_CACHE)
        except HFValidationError:  # a path that cannot be a hub id
            continue
        if isinstance(cached, str):
            return Path(cached)
    return None


def _trained_size(config: dict[str, Any]) -> tuple[int, int] | None:
    size = config.get("sample_size")
    return (size, size) if isinstance(size, int) else (size[0], size[1]) if size else None


def _explain_other_chain(scheduler: Path | None) -> str | None:
    """Return the reason why the network was not trained on the chain of the purifiers, or None if it was."""
    if scheduler is None:
        return None
    options = _read_json(scheduler)
    trained_betas = options.get("trained_betas")
    for name, expected in (EXPECTED_TRAINING if trained_betas else EXPECTED_TRAINING | EXPECTED_BETAS).items():
        if not _is_equal(got := options.get(name, expected), expected):
            return f"{scheduler}: trained on another chain: {name}: got {got}, expected {expected}"
    if trained_betas and not (len(trained_betas) == LEVELS and all(map(_is_equal, trained_betas, betas()))):
        got = f"{len(trained_betas)} from {trained_betas[0]} to {trained_betas[-1]}"
        expected = f"{LEVELS} from {LOWEST_BETA} to {HIGHEST_BETA} in even steps"
        return f"{scheduler}: trained on another chain: trained_betas: got {got}, expected {expected}"
    if (got := options.get("variance_type", "fixed_small")) not in VARIANCES:
        return f"{scheduler}: unknown variance_type: got {got}, expected one of {', '.join(VARIANCES)}"
    return None


def _is_equal(got: Any, expected: Any) -> bool:
    """Return whether two values are equal; two floats may differ by the rounding of float32."""
    are_floats = isinstance(got, float) and isinstance(expected, float)
    return math.isclose(got, expected, rel_tol=TOLERANCE) if are_floats else bool(got == expected)


def _explain_other_network(config: Path, weights: Path) -> str | None:
    """Return the reason why the weights are not those of an unconditional `UNet2DModel` with this config, or None."""
    options = _read_json(config)
    if (kind := options.get("_class_name")) != "UNet2DModel":
        return f"{config}: not a U-Net: got {kind}, expected UNet2DModel"
    if classes := options.get("num_class_embeds") or options.get("class_embed_type"):
        return f"{config}: the network needs a class: got {classes}, expected an unconditional one"
    try:
        match_unet(rename_old_attention(read_weights(weights, "meta")), _drop_private(options), str(weights))
    except UserError as error:
        return str(error)
    return None


def rename_old_attention(weights: State) -> State:
    """Return weights with the attention layers of old checkpoints under the names that diffusers gives them now."""
    renamed = {name: OLD_ATTENTION.sub(lambda match: match[1] + NEW_NAMES[match[2]], name) for name in weights}
    # A file with both names is no old checkpoint: the name that is not known stays, and is refused.
    return {name if new in weights else new: weights[name] for name, new in renamed.items()}


def _read_levels(weights: Path) -> int:
    if weights.suffix != ".safetensors":
        return LEVELS
    with safe_open(weights, "pt") as archive:
        return int((archive.metadata() or {}).get("levels", LEVELS))


def _read_variance(scheduler: Path | None, config: dict[str, Any]) -> Variance:
    if scheduler is None:
        return "learned_range" if config.get("out_channels", 3) == 6 else "fixed_small"
    return VARIANCES[_read_json(scheduler).get("variance_type", "fixed_small")]


def _read_json(path: Path) -> dict[str, Any]:
    options: dict[str, Any] = json.loads(path.read_text())
    return options


def _drop_private(config: dict[str, Any]) -> dict[str, Any]:
    """Return the model's arguments without diffusers' private entries (`_class_name`, `_diffusers_version`)."""
    return {option: value for option, value in config.items() if not option.startswith("_")}
