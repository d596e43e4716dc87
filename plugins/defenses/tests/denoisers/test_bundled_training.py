from pathlib import Path

import pytest
import torch
from retbench_defenses.denoisers import bundled_training
from retbench_defenses.denoisers.bundled_denoiser import BundledDenoiser
from retbench_defenses.denoisers.denoiser import read_metadata
from retbench_defenses.diffusion.ddpm import Ddpm

from retbench import Context, Noise, TrainingData


@pytest.fixture
def weights_folder(data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped weights that contains those of one training step on the ramp dataset."""
    monkeypatch.setattr(bundled_training, "WEIGHTS", tmp_path)
    monkeypatch.setattr("retbench_defenses.denoisers.bundled_denoiser.WEIGHTS", tmp_path)
    monkeypatch.setattr(bundled_training, "_load_dataset", lambda name: data.dataset)
    with torch.random.fork_rng():
        bundled_training.main(["ramps", "--steps", "1", "--levels", "60", "--precision", "float32"])
    return tmp_path


def test_the_written_weights_are_loaded_by_the_bundled_denoiser(weights_folder: Path, data: TrainingData) -> None:
    denoiser = BundledDenoiser()
    state = denoiser.fit(data, Context(torch.device("cpu"), "float32", Noise(0, ("fit",))))
    predictor = denoiser.module(state, torch.device("cpu"))
    assert read_metadata(state).levels == 60
    assert (weights_folder / "ramps.safetensors").stat().st_size < 2.2e6
    assert predictor(torch.zeros(1, 3, 16, 16), 5).eps.shape == (1, 3, 16, 16)


@pytest.mark.usefixtures("weights_folder")
def test_the_header_of_the_file_limits_the_start_level(data: TrainingData) -> None:
    assert Ddpm(t_p=60).supports(data.facts) is None
    reason = Ddpm(t_p=61).supports(data.facts)
    assert reason is not None
    assert "got 60, expected below 60" in reason
