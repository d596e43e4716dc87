"""The small denoisers shipped with this package, one for each embedded dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from safetensors import safe_open

from retbench import Context, Facts, State, TrainingData, read_weights
from retbench_defenses.denoisers.denoiser import Denoiser, DenoiserMetadata, pack_state

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the shipped weight files, `<dataset>.safetensors`."""


class BundledDenoiser(Denoiser):
    """Loads the weights shipped for the dataset; the header of the file contains their metadata.

    They are the result of `TrainedDenoiser` on the dataset's training split, in half precision.
    """

    name: ClassVar[str] = "bundled-denoiser"
    revision: ClassVar[int] = 2
    source: ClassVar[str] = "Ho et al. 2020, algorithm 1 and equation 14"

    def explain_unavailable(self, facts: Facts) -> str | None:
        if _weight_file(facts).exists():
            return None
        shipped = ", ".join(sorted(path.stem for path in WEIGHTS.glob("*.safetensors")))
        return (
            f"no denoiser is shipped for this dataset: got {facts.dataset}, expected one of {shipped}; "
            "set `denoiser: train`, or give the folder of a diffusers UNet2DModel"
        )

    def files(self, facts: Facts) -> dict[str, Path]:
        """Return the weight file, if shipped, so that a recipe contains its sha256."""
        return {} if self.explain_unavailable(facts) else {"weights": _weight_file(facts)}

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        return (f"it was trained on the training images of {facts.dataset}, as a published denoiser was not",)

    def metadata(self, facts: Facts) -> DenoiserMetadata:
        with safe_open(_weight_file(facts), "pt") as archive:
            header = archive.metadata()
        return DenoiserMetadata(json.loads(header["config"]), int(header["levels"]), facts.image_size)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        path = _weight_file(inputs.facts)
        return pack_state(read_weights(path, str(ctx.device)), self.metadata(inputs.facts), str(path))


def _weight_file(facts: Facts) -> Path:
    return WEIGHTS / f"{facts.dataset}.safetensors"
