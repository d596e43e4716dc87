"""The small denoisers shipped with this package, one for each embedded dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from safetensors import safe_open
from safetensors.torch import load_file

from retbench import Context, Facts, State, TrainingData
from retbench_defenses.denoisers.denoiser import Denoiser, Outline, pack_state

WEIGHTS = Path(__file__).parent / "weights"


class BundledDenoiser(Denoiser):
    """Loads the weights shipped for the dataset; the file's header holds its outline.

    They are the result of `TrainedDenoiser` on the dataset's training split, in half precision.
    """

    name: ClassVar[str] = "bundled-denoiser"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Ho et al. 2020, algorithm 1 and equation 14"

    def missing(self, facts: Facts) -> str | None:
        if _path(facts).exists():
            return None
        shipped = ", ".join(sorted(path.stem for path in WEIGHTS.glob("*.safetensors")))
        return (
            f"no weights are shipped for this dataset: got {facts.dataset}, expected one of {shipped}; "
            "set `denoiser: train`, or name the folder of a diffusers UNet2DModel"
        )

    def files(self, facts: Facts) -> dict[str, Path]:
        """Return the weight file, if shipped: a recipe holds its sha256, so other weights are another artifact."""
        return {} if self.missing(facts) else {"weights": _path(facts)}

    def outline(self, facts: Facts) -> Outline:
        with safe_open(_path(facts), "pt") as archive:
            header = archive.metadata()
        return Outline(json.loads(header["config"]), int(header["levels"]), facts.image_size)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        weights = load_file(_path(inputs.facts), device=str(ctx.device))
        return pack_state(weights, self.outline(inputs.facts))


def _path(facts: Facts) -> Path:
    return WEIGHTS / f"{facts.dataset}.safetensors"
