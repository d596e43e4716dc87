from pathlib import Path

import pytest
import torch
from retbench_defenses.denoisers import bundled_training
from retbench_defenses.denoisers.bundled_denoiser import BundledDenoiser
from retbench_defenses.denoisers.denoiser import read_outline
from retbench_defenses.diffusion.ddpm import Ddpm

from retbench import Context, Noise, TrainingData


@pytest.fixture
def weights(data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for shipped weights, into which one step of training on the ramps was bundled."""
    monkeypatch.setattr(bundled_training, "WEIGHTS", tmp_path)
    monkeypatch.setattr("retbench_defenses.denoisers.bundled_denoiser.WEIGHTS", tmp_path)
    monkeypatch.setattr(bundled_training, "_dataset", lambda name: data.dataset)
    with torch.random.fork_rng():
        bundled_training.main(["ramps", "--steps", "1", "--levels", "60", "--precision", "float32"])
    return tmp_path


def test_what_is_bundled_is_what_the_part_loads(weights: Path, data: TrainingData) -> None:
    denoiser = BundledDenoiser()
    state = denoiser.fit(data, Context(torch.device("cpu"), "float32", Noise(0, ("fit",))))
    net = denoiser.module(state, torch.device("cpu"))
    assert read_outline(state).levels == 60
    assert (weights / "ramps.safetensors").stat().st_size < 2.2e6
    assert net(torch.zeros(1, 3, 16, 16), 5).eps.shape == (1, 3, 16, 16)


def test_the_header_tells_how_far_the_chain_may_go(weights: Path, data: TrainingData) -> None:
    assert Ddpm(t_p=60).supports(data.facts) is None
    reason = Ddpm(t_p=61).supports(data.facts)
    assert reason is not None
    assert "got 60, expected below 60" in reason
