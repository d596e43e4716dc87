import pytest
from retbench_defenses.ddpm import Ddpm
from retbench_defenses.diffpure import DiffPure
from retbench_defenses.diffusion import DiffusionPurifier
from retbench_defenses.gdmp import Gdmp
from retbench_defenses.gradual import Gradual
from retbench_defenses.retpur import RetPur
from retbench_defenses.retpur_literal import RetPurLiteral
from retbench_defenses.trained_denoiser import TrainedDenoiser

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
