import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from retbench_defenses.controls.bit_depth import BitDepth
from retbench_defenses.controls.gaussian_blur import GaussianBlur
from retbench_defenses.controls.gaussian_noise import GaussianNoise
from retbench_defenses.controls.identity import Identity
from retbench_defenses.controls.jpeg import Jpeg
from retbench_defenses.controls.median import Median
from retbench_defenses.controls.random_resize_pad import RandomResizePad
from retbench_defenses.controls.resize import Resize
from retbench_defenses.controls.tv import TV
from torch import Tensor, nn

from retbench import Noise, Purifier, TrainingData
from retbench.testing import check_component

CONTROLS = [
    BitDepth(),
    GaussianBlur(),
    GaussianNoise(),
    Identity(),
    Jpeg(),
    Median(),
    Median(window=2),
    RandomResizePad(),
    RandomResizePad(interpolation="bilinear"),
    Resize(),
    TV(),
    TV(drop=0.5, weight=0.03),
]


@pytest.mark.parametrize("purifier", CONTROLS, ids=str)
def test_the_controls_fulfill_the_contract(purifier: Purifier, data: TrainingData) -> None:
    check_component(purifier, data.dataset)
    check_component(purifier)


@pytest.mark.parametrize("purifier", CONTROLS, ids=str)
def test_the_name_of_a_control_is_its_module_name_with_dashes(purifier: Purifier) -> None:
    assert type(purifier).__module__.rpartition(".")[2].replace("_", "-") == purifier.name


@pytest.mark.parametrize("purifier", CONTROLS, ids=str)
def test_autocast_does_not_change_the_result(purifier: Purifier, images: Tensor, noise: Noise) -> None:
    without_autocast = purifier.purify(images, nn.Module(), noise)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(purifier.purify(images, nn.Module(), noise), without_autocast)


@pytest.mark.parametrize("purifier", CONTROLS, ids=str)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), height=st.integers(4, 20), width=st.integers(4, 20), contrast=st.integers(0, 40))
def test_shape_dtype_and_range_are_kept(purifier: Purifier, seed: int, height: int, width: int, contrast: int) -> None:
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    images = ((images - 0.5) * contrast + 0.5).clamp(0, 1)  # at high contrast almost black and white
    output = purifier.purify(images, nn.Module(), Noise(seed, ("first", "second")))
    assert output.shape == images.shape
    assert output.dtype == torch.float32
    assert 0 <= output.min() <= output.max() <= 1
