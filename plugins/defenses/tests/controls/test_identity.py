import torch
from retbench_defenses.controls.identity import Identity
from torch import Tensor, nn

from retbench import Noise


def test_the_images_are_returned_unchanged(images: Tensor, noise: Noise) -> None:
    assert torch.equal(Identity().purify(images, nn.Module(), noise), images)
