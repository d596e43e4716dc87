from collections.abc import Callable

import pytest
import torch
from retbench_defenses.ddpm import Ddpm
from retbench_defenses.denoiser import build_unet, read_outline
from retbench_defenses.trained_denoiser import TrainedDenoiser

from retbench import Facts, OptionError, State, part_state


def test_the_network_is_recovered_from_its_state(state: State) -> None:
    weights = part_state(state, "denoiser")
    net = build_unet(weights, torch.device("cpu"))
    assert not net.training
    assert all(not weight.requires_grad for weight in net.parameters())
    assert all(torch.equal(net.state_dict()[name], weights[name]) for name in net.state_dict())
    outline = read_outline(weights)
    assert outline.config["block_out_channels"] == [8, 8]
    assert (outline.levels, outline.size, outline.variance) == (200, (16, 16), "fixed_small")


def test_the_default_network_has_about_a_million_weights(facts: Facts) -> None:
    from diffusers import UNet2DModel

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
    with pytest.raises(OptionError, match="t_p is outside the chain: t_p is 51, expected at most its respace: got 50"):
        Ddpm.create({"t_p": 51, "respace": 50})


def test_a_walk_in_more_steps_than_it_has_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="a walk of t_p 5 has no more steps than that: got 6"):
        Ddpm.create({"t_p": 5, "steps": 6})
