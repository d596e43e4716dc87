import pytest
from retbench_defenses.ddpm import Ddpm
from retbench_defenses.diffusion import DiffusionPurifier
from retbench_defenses.retpur import RetPur
from retbench_defenses.trained_denoiser import TrainedDenoiser

from retbench import TrainingData
from retbench.testing import check_component


@pytest.mark.parametrize("purifier", [Ddpm, RetPur])
def test_the_purifiers_keep_the_contract(
    purifier: type[DiffusionPurifier], data: TrainingData, tiny: TrainedDenoiser
) -> None:
    check_component(purifier(t_p=3, denoiser="train", training=tiny), data.dataset)
