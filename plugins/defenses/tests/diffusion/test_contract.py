import pytest
from retbench_defenses.denoisers.trained_denoiser import TrainedDenoiser
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.diffpure import DiffPure
from retbench_defenses.diffusion.gdmp import Gdmp
from retbench_defenses.diffusion.gradual import Gradual
from retbench_defenses.diffusion.purifier import DiffusionPurifier
from retbench_defenses.diffusion.retpur import RetPur
from retbench_defenses.diffusion.retpur_literal import RetPurLiteral

from retbench import TrainingData
from retbench.testing import check_component

SHORT = {"denoiser": "train", "t_p": 3}


@pytest.mark.parametrize(
    "purifier",
    [
        Ddpm(**SHORT),
        Ddpm(**SHORT, passes=2),
        DiffPure(**SHORT),
        DiffPure(**SHORT, sampler="ddpm"),
        Gdmp(**SHORT),
        Gdmp(**SHORT, setting="imagenet", guide_ref="noised_shared"),
        Gradual(denoiser="train", schedule=((3, 2), (4, 1))),
        RetPur(**SHORT),
        RetPur(**SHORT, pull=0.5, metric="mse"),
        RetPurLiteral(**SHORT),
    ],
    ids=lambda purifier: f"{purifier.name} {purifier.model_dump(exclude_defaults=True)}",
)
def test_the_purifiers_keep_the_contract(
    purifier: DiffusionPurifier, data: TrainingData, tiny: TrainedDenoiser
) -> None:
    check_component(purifier.model_copy(update={"training": tiny}), data.dataset)
