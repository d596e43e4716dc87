from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from retbench_defenses.denoisers.denoiser import Predictor, build_predictor, read_outline
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.gdmp import Gdmp
from retbench_defenses.diffusion.gradual import Gradual
from retbench_defenses.diffusion.purifier import DiffusionPurifier
from torch import Tensor

from retbench import Facts, OptionError, State, part_state

Save = Callable[..., UNet2DModel]


def test_the_network_is_recovered_from_its_state(state: State) -> None:
    weights = part_state(state, "denoiser")
    net = build_predictor(weights, torch.device("cpu")).unet
    assert not net.training
    assert all(not weight.requires_grad for weight in net.parameters())
    assert all(torch.equal(net.state_dict()[name], weights[name]) for name in net.state_dict())
    outline = read_outline(weights)
    assert outline.config["block_out_channels"] == [8, 8]
    assert (outline.levels, outline.size, outline.variance) == (200, (16, 16), "fixed_small")


def test_the_default_network_has_about_a_million_weights(facts: Facts) -> None:
    net = UNet2DModel(**TrainedDenoiser().outline(facts).config)
    assert sum(weight.numel() for weight in net.parameters()) == 1_046_883


def test_a_size_that_the_network_cannot_halve_is_refused(tiny_facts: Callable[[int, int], Facts]) -> None:
    reason = Ddpm(denoiser="train").supports(tiny_facts(32, 30))
    assert reason == "image size does not fit the U-Net: got 32x30, expected multiples of 4"
    assert Ddpm(denoiser="train").supports(tiny_facts(28, 32)) is None


@pytest.mark.parametrize(
    ("options", "start", "levels"),
    [({"t_p": 201}, 200, 200), ({"t_p": 45, "respace": 50}, 897, 200), ({"training": {"levels": 44}}, 44, 44)],
)
def test_a_chain_above_the_trained_levels_is_refused(
    options: dict[str, object], start: int, levels: int, facts: Facts
) -> None:
    reason = Ddpm.create({"denoiser": "train", **options}).supports(facts)
    assert reason is not None
    assert f"got {start}, expected below {levels}" in reason


@pytest.mark.parametrize("options", [{"t_p": 200}, {"t_p": 45, "respace": 250}, {"training": {"levels": 45}}])
def test_a_chain_within_the_trained_levels_is_supported(options: dict[str, object], facts: Facts) -> None:
    assert Ddpm.create({"denoiser": "train", **options}).supports(facts) is None


def test_a_purify_step_outside_the_respaced_chain_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="outside the chain: its highest step is 51, the chain has 50"):
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
def test_a_walk_outside_a_chain_that_the_denoiser_chooses_is_refused(
    purifier: DiffusionPurifier, highest: int, save: Save, tmp_path: Path, tiny_facts: Callable[[int, int], Facts]
) -> None:
    save(tmp_path, sample_size=256)
    asked = purifier.model_copy(update={"denoiser": str(tmp_path)})
    assert asked.supports(tiny_facts(256, 256)) == (
        f"the walk is outside the chain: its highest step is {highest}, the chain has 250"
    )


def test_a_step_that_is_not_read_may_be_outside_the_chain(facts: Facts) -> None:
    assert Gradual(denoiser="train", respace=30, schedule=((2, 1),)).steps is None
    assert Ddpm(start="T", steps=100).highest_step == 100
    with pytest.raises(OptionError, match="its highest step is 37, the chain has 36"):
        Gdmp.create({"respace": 36})


def test_the_network_is_called_with_its_level_as_a_tensor(images: Tensor, predict: Callable[..., Predictor]) -> None:
    """A number would be compiled into the network once for each level."""
    levels: list[Tensor] = []
    predictor = predict(lambda x, level: x)
    predictor.unet.register_forward_hook(lambda unet, inputs, output: levels.append(inputs[1]))
    predictor(images, 44)
    assert (levels[0].dtype, levels[0].shape, levels[0].item()) == (torch.int64, (), 44)


def test_a_walk_in_more_steps_than_it_has_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="a walk of 5 steps has no more than that: steps is 6"):
        Ddpm.create({"t_p": 5, "steps": 6})
