"""Which denoiser a purifier's option names."""

from __future__ import annotations

from retbench_defenses.adm_denoiser import PUBLISHED, SIDE, AdmDenoiser
from retbench_defenses.bundled_denoiser import BundledDenoiser
from retbench_defenses.denoiser import Denoiser
from retbench_defenses.local_denoiser import LocalDenoiser
from retbench_defenses.trained_denoiser import TrainedDenoiser


def choose_denoiser(name: str, training: TrainedDenoiser) -> Denoiser:
    """Returns the denoiser that `name` stands for: shipped, trained here, a checkpoint, a folder or a hub id."""
    if name == "bundled":
        return BundledDenoiser()
    if name == "train":
        return training
    if name == PUBLISHED or name.endswith(".pt"):
        return AdmDenoiser(path=name, side=SIDE if name == PUBLISHED else None)
    return LocalDenoiser(path=name)
