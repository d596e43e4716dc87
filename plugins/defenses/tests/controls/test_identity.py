import torch
from retbench_defenses.controls.identity import Identity
from torch import Tensor, nn

from retbench import Noise


def test_the_images_come_back_bit_for_bit(images: Tensor, noise: Noise) -> None:
    assert torch.equal(Identity().purify(images, nn.Module(), noise), images)
