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

FEW_STEPS = {"denoiser": "train", "t_p": 3}


@pytest.mark.parametrize(
    "purifier",
    [
        Ddpm(**FEW_STEPS),
        Ddpm(**FEW_STEPS, passes=2),
        DiffPure(**FEW_STEPS),
        DiffPure(**FEW_STEPS, sampler="ddpm"),
        Gdmp(**FEW_STEPS),
        Gdmp(**FEW_STEPS, setting="imagenet", guide_ref="noised_shared"),
        Gradual(denoiser="train", schedule=((3, 2), (4, 1))),
        RetPur(**FEW_STEPS),
        RetPur(**FEW_STEPS, pull=0.5, metric="mse"),
        RetPurLiteral(**FEW_STEPS),
    ],
    ids=lambda purifier: f"{purifier.name} {purifier.model_dump(exclude_defaults=True)}",
)
def test_the_purifiers_fulfill_the_contract(
    purifier: DiffusionPurifier, data: TrainingData, tiny_denoiser: TrainedDenoiser
) -> None:
    short = tiny_denoiser.model_copy(update={"steps": 3})
    check_component(purifier.model_copy(update={"training": short}), data.dataset)
