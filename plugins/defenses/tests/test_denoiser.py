import json
from collections.abc import Callable

import pytest
import torch
from retbench_defenses.ddpm import Ddpm
from retbench_defenses.denoiser import build_unet
from retbench_defenses.trained_denoiser import TrainedDenoiser

from retbench import Facts, State, part_state


def test_the_network_is_recovered_from_its_state(state: State) -> None:
    weights = part_state(state, "denoiser")
    net = build_unet(weights, torch.device("cpu"))
    assert not net.training
    assert all(not weight.requires_grad for weight in net.parameters())
    assert all(torch.equal(net.state_dict()[name], weights[name]) for name in net.state_dict())
    assert json.loads(bytes(weights["config"].tolist()))["block_out_channels"] == [8, 8]
    assert weights["levels"].item() == 400


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
    [({"t_p": 401}, 400, 400), ({"t_p": 45, "respace": 50}, 897, 400), ({"training": {"levels": 44}}, 44, 44)],
)
def test_a_chain_above_the_trained_levels_is_refused(
    options: dict[str, object], start: int, levels: int, facts: Facts
) -> None:
    reason = Ddpm.create({"denoiser": "train", **options}).supports(facts)
    assert reason is not None
    assert f"got {start}, expected below {levels}" in reason


@pytest.mark.parametrize("options", [{"t_p": 400}, {"t_p": 45, "respace": 250}, {"training": {"levels": 45}}])
def test_a_chain_within_the_trained_levels_is_supported(options: dict[str, object], facts: Facts) -> None:
    assert Ddpm.create({"denoiser": "train", **options}).supports(facts) is None


def test_a_purify_step_outside_the_respaced_chain_is_refused(facts: Facts) -> None:
    reason = Ddpm(denoiser="train", t_p=51, respace=50).supports(facts)
    assert reason == "t_p is outside the chain: got 51, expected at most 50, its `respace`"
