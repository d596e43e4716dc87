from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from retbench_defenses.denoisers.denoiser import DenoiserMetadata
from retbench_defenses.denoisers.schedule import alphas_cumprod, diffuse
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser, _diffuse_each
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.diffpure import DiffPure
from retbench_defenses.diffusion.gdmp import Gdmp
from retbench_defenses.diffusion.gradual import Gradual
from retbench_defenses.diffusion.retpur import RetPur
from torch import Tensor, nn

from retbench import Context, Facts, Noise, OptionError, State, TrainingData

Train = Callable[..., State]


class Killed(BaseException):
    """Interrupts a training as a signal to its process would."""


class Training(NamedTuple):
    """A finished training: its weights and its losses."""

    weights: State
    losses: list[float]


@pytest.fixture(scope="module")
def uninterrupted(train: Train, tiny_denoiser: TrainedDenoiser) -> Training:
    curves: dict[str, list[float]] = {}
    return Training(train(tiny_denoiser, record=curves.__setitem__), curves["loss"])


def test_training_lowers_the_loss(uninterrupted: Training, tiny_denoiser: TrainedDenoiser) -> None:
    losses = torch.tensor(uninterrupted.losses)
    assert len(losses) == tiny_denoiser.steps
    assert losses[-10:].mean() < 0.7 * losses[:10].mean()


def test_training_is_reproducible(uninterrupted: Training, train: Train, tiny_denoiser: TrainedDenoiser) -> None:
    again = train(tiny_denoiser)
    assert all(torch.equal(again[name], tensor) for name, tensor in uninterrupted.weights.items())


def test_an_interrupted_training_resumes_to_the_weights_of_an_uninterrupted_one(
    uninterrupted: Training, train: Train, tiny_denoiser: TrainedDenoiser, tmp_path: Path
) -> None:
    steps: list[int] = []

    def kill(done: int, total: int) -> None:
        if done == 20:
            raise Killed

    with pytest.raises(Killed):
        train(tiny_denoiser, tmp_path, progress=kill)
    curves: dict[str, list[float]] = {}
    resumed = train(tiny_denoiser, tmp_path, progress=lambda done, total: steps.append(done), record=curves.__setitem__)
    assert len(curves["loss"]) == tiny_denoiser.steps
    assert steps[0] == 20
    assert all(torch.equal(resumed[name], tensor) for name, tensor in uninterrupted.weights.items())


def test_training_stops_at_the_first_loss_that_is_not_finite(
    train: Train, tiny_denoiser: TrainedDenoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    original_loss = TrainedDenoiser._loss

    def loss(self: TrainedDenoiser, unet: nn.Module, inputs: TrainingData, ctx: Context, step: int) -> Tensor:
        return original_loss(self, unet, inputs, ctx, step) * (float("nan") if step == 3 else 1.0)

    monkeypatch.setattr(TrainedDenoiser, "_loss", loss)
    with pytest.raises(ValueError, match="training: loss of step 4 is not finite: got nan"):
        train(tiny_denoiser)


def test_each_image_is_noised_to_its_own_level(images: Tensor, noise: Noise) -> None:
    eps, levels = noise.normal("eps", (3, 16, 16)), torch.tensor([0, 1, 44, 99, 177, 500, 998, 999])
    expected = [diffuse(images[row], alphas_cumprod()[level], eps[row]) for row, level in enumerate(levels.tolist())]
    assert torch.allclose(_diffuse_each(images, levels, eps), torch.stack(expected), rtol=1e-6, atol=1e-7)


def test_half_of_a_batch_has_low_levels() -> None:
    levels = TrainedDenoiser(batch_size=1000, levels=400, dense_below=50)._draw_levels(Noise(0, ("fit",)), step=3)
    assert (levels[:500] < 50).all()
    assert levels.min() >= 0
    assert levels.max() < 400
    assert 0.1 < (levels[500:] < 100).float().mean() < 0.4


def test_drawn_levels_never_exceed_the_trained_levels() -> None:
    assert TrainedDenoiser(batch_size=1000, levels=20)._draw_levels(Noise(0, ("fit",)), step=0).max() < 20


def test_purifiers_with_equal_training_options_share_one_denoiser(facts: Facts) -> None:
    options = {"denoiser": "train", "training": {"steps": 7}}
    assert Ddpm.create(options).parts(facts) == RetPur.create(options).parts(facts)
    assert Ddpm.create(options).parts(facts)["denoiser"] == TrainedDenoiser(steps=7)


def test_channels_that_are_no_multiple_of_the_norm_groups_are_an_option_error() -> None:
    with pytest.raises(OptionError, match="multiple of 8"):
        TrainedDenoiser.create({"channels": [12, 8]})


def test_the_picture_of_samples_shows_noised_and_denoised_images(train: Train, tiny_denoiser: TrainedDenoiser) -> None:
    recorded: dict[str, torch.Tensor] = {}
    train(tiny_denoiser.model_copy(update={"levels": 80, "steps": 60}), record=recorded.__setitem__)
    picture = recorded["samples"]
    assert picture.dtype == torch.uint8
    assert picture.shape == (3, 8 * 16, 7 * 16)
    tiles = picture.double().unflatten(1, (8, 16)).unflatten(3, (7, 16)).permute(3, 1, 0, 2, 4)
    clean, *others = tiles
    for noised, restored in (others[0:2], others[2:4], others[4:6]):
        assert (restored - clean).square().mean() < (noised - clean).square().mean()


def test_the_default_levels_include_the_start_level_of_every_published_setting() -> None:
    purifiers = [
        Ddpm(t_p=45),
        Ddpm(t_p=45, respace=250),
        RetPur(),
        Gdmp(),
        Gdmp(setting="imagenet"),
        DiffPure(),
        Gradual(),
    ]
    metadata = DenoiserMetadata({"block_out_channels": (8,)}, TrainedDenoiser().levels, (32, 32))
    start_levels = [each.start_level for purifier in purifiers for each in purifier.diffusion_passes(metadata)]
    assert max(start_levels) == 177 < metadata.levels


@pytest.mark.parametrize(("learning_rate", "diverges"), [(0.01, False), (1.0, True)])
def test_a_denoiser_no_better_than_one_that_predicts_no_noise_has_a_caveat(
    learning_rate: float, diverges: bool, train: Train, tiny_denoiser: TrainedDenoiser
) -> None:
    caveats: list[str] = []
    train(tiny_denoiser.model_copy(update={"steps": 60, "learning_rate": learning_rate}), distrust=caveats.append)
    assert [caveat.partition(": loss ")[0] for caveat in caveats] == ["its training diverged"] * diverges
