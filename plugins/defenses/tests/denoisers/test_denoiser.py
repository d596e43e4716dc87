from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from retbench_defenses.denoisers.denoiser import Predictor, build_predictor, read_metadata
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.gdmp import Gdmp
from retbench_defenses.diffusion.gradual import Gradual
from retbench_defenses.diffusion.purifier import DiffusionPurifier
from torch import Tensor

from retbench import Facts, OptionError, State, part_state

SaveUNet = Callable[..., UNet2DModel]


def test_the_network_is_built_from_its_state(state: State) -> None:
    weights = part_state(state, "denoiser")
    unet = build_predictor(weights, torch.device("cpu")).unet
    assert not unet.training
    assert all(not weight.requires_grad for weight in unet.parameters())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in unet.state_dict().items())
    metadata = read_metadata(weights)
    assert metadata.config["block_out_channels"] == [8, 8]
    assert (metadata.levels, metadata.size, metadata.variance) == (200, (16, 16), "fixed_small")


def test_the_default_network_has_about_a_million_weights(facts: Facts) -> None:
    unet = UNet2DModel(**TrainedDenoiser().metadata(facts).config)
    assert sum(weight.numel() for weight in unet.parameters()) == 1_046_883


def test_an_image_size_that_the_network_cannot_halve_is_not_supported(sized_facts: Callable[[int, int], Facts]) -> None:
    reason = Ddpm(denoiser="train").supports(sized_facts(32, 30))
    assert reason == "image size does not fit the U-Net: got 32x30, expected multiples of 4"
    assert Ddpm(denoiser="train").supports(sized_facts(28, 32)) is None


@pytest.mark.parametrize(
    ("options", "start", "levels"),
    [({"t_p": 201}, 200, 200), ({"t_p": 45, "respace": 50}, 897, 200), ({"training": {"levels": 44}}, 44, 44)],
)
def test_a_start_level_above_the_trained_levels_is_not_supported(
    options: dict[str, object], start: int, levels: int, facts: Facts
) -> None:
    reason = Ddpm.create({"denoiser": "train", **options}).supports(facts)
    assert reason is not None
    assert f"got {start}, expected below {levels}" in reason


@pytest.mark.parametrize("options", [{"t_p": 200}, {"t_p": 45, "respace": 250}, {"training": {"levels": 45}}])
def test_a_start_level_within_the_trained_levels_is_supported(options: dict[str, object], facts: Facts) -> None:
    assert Ddpm.create({"denoiser": "train", **options}).supports(facts) is None


def test_a_purify_step_outside_the_respaced_chain_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="outside the chain: got step 51, expected at most 50"):
        Ddpm.create({"t_p": 51, "respace": 50})


@pytest.mark.parametrize(
    ("purifier", "highest"),
    [
        (Ddpm(t_p=300), 300),
        (Gradual(respace="auto", schedule=((10, 1), (251, 1))), 251),
        (Gdmp(t_p=250, respace="auto"), 251),
        (Ddpm(start="T", steps=251), 251),
    ],
)
def test_a_step_outside_the_chain_of_an_automatic_respacing_is_not_supported(
    purifier: DiffusionPurifier,
    highest: int,
    save_unet: SaveUNet,
    tmp_path: Path,
    sized_facts: Callable[[int, int], Facts],
) -> None:
    save_unet(tmp_path, sample_size=256)
    large = purifier.model_copy(update={"denoiser": str(tmp_path)})
    reason = large.supports(sized_facts(256, 256))
    assert reason is not None
    assert f"outside the chain: got step {highest}, expected at most 250" in reason


def test_only_steps_that_are_used_must_be_inside_the_chain(facts: Facts) -> None:
    assert Gradual(denoiser="train", respace=30, schedule=((2, 1),)).steps is None
    assert Ddpm(start="T", steps=100).highest_step == 100
    with pytest.raises(OptionError, match="outside the chain: got step 37, expected at most 36"):
        Gdmp.create({"respace": 36})


def test_the_network_receives_its_level_as_a_tensor(images: Tensor, make_predictor: Callable[..., Predictor]) -> None:
    """torch.compile would compile the network anew for each level if it were a Python number."""
    levels: list[Tensor] = []
    predictor = make_predictor(lambda x, level: x)
    predictor.unet.register_forward_hook(lambda unet, inputs, output: levels.append(inputs[1]))
    predictor(images, 44)
    assert (levels[0].dtype, levels[0].shape, levels[0].item()) == (torch.int64, (), 44)


def test_more_steps_than_t_p_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="`steps` exceeds `t_p`: got 6, expected at most 5"):
        Ddpm.create({"t_p": 5, "steps": 6})
