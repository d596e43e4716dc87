import pytest
import torch
from retbench_defenses.denoisers.activations import SAFETY_FACTOR, _PeakMemory, activation_bytes
from retbench_defenses.denoisers.denoiser import build_unet
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser

from retbench import Facts


def test_the_peak_counts_tensors_that_exist_at_the_same_time_and_no_freed_ones() -> None:
    with torch.no_grad(), _PeakMemory() as memory:
        first = torch.zeros(1000)
        second = first + 1
        view = second.view(10, 100)
        del first
        third = view * 2
        del second, view, third
    assert memory.peak_bytes == 2 * 1000 * 4


def test_memory_is_proportional_to_the_number_of_pixels(facts: Facts) -> None:
    config = TrainedDenoiser().metadata(facts).config
    small, large = activation_bytes(config, (32, 32)), activation_bytes(config, (64, 64))
    assert large == pytest.approx(4 * small, rel=0.05)


def test_memory_is_between_the_skip_connections_and_the_sum_of_all_activations(facts: Facts) -> None:
    config = TrainedDenoiser().metadata(facts).config
    unet, sizes = build_unet(config).eval(), list[int]()
    for module in unet.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda module, inputs, output: sizes.append(output.numel() * 4))
    with torch.no_grad():
        unet(torch.zeros(1, 3, 32, 32), 3)
    skips = 4 * (3 * 32 + 2 * 32 * 32 * 32 + 32 * 16 * 16 + 64 * 16 * 16 + 64 * 8 * 8)
    assert skips < activation_bytes(config, (32, 32)) / SAFETY_FACTOR < sum(sizes)
