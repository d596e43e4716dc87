import pytest
import torch
from retbench_defenses.denoisers.activations import SAFETY, _Alive, activation_bytes
from retbench_defenses.denoisers.denoiser import lay_out
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser

from retbench import Facts


def test_what_is_alive_at_once_is_counted_and_what_is_gone_is_not() -> None:
    with torch.no_grad(), _Alive() as alive:
        first = torch.zeros(1000)
        second = first + 1
        view = second.view(10, 100)
        del first
        third = view * 2
        del second, view, third
    assert alive.most == 2 * 1000 * 4


def test_memory_grows_with_the_pixels(facts: Facts) -> None:
    config = TrainedDenoiser().outline(facts).config
    small, large = activation_bytes(config, (32, 32)), activation_bytes(config, (64, 64))
    assert large == pytest.approx(4 * small, rel=0.05)


def test_memory_is_more_than_the_skip_connections_and_less_than_everything_computed(facts: Facts) -> None:
    config = TrainedDenoiser().outline(facts).config
    unet, sizes = lay_out(config).eval(), list[int]()
    for module in unet.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda module, inputs, output: sizes.append(output.numel() * 4))
    with torch.no_grad():
        unet(torch.zeros(1, 3, 32, 32), 3)
    skips = 4 * (3 * 32 + 2 * 32 * 32 * 32 + 32 * 16 * 16 + 64 * 16 * 16 + 64 * 8 * 8)
    assert skips < activation_bytes(config, (32, 32)) / SAFETY < sum(sizes)
