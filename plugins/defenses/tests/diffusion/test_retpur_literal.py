from collections.abc import Callable

import pytest
import torch
from retbench_defenses.denoisers.denoiser import Predictor
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.retpur import RetPur
from retbench_defenses.diffusion.retpur_literal import RetPurLiteral
from torch import Tensor

from retbench import Noise

MakePredictor = Callable[..., Predictor]


@pytest.fixture
def no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noise, "normal", lambda self, purpose, shape, step=0: torch.zeros(len(self.ids), *shape))


@pytest.mark.usefixtures("no_noise")
def test_the_printed_mean_brightens_the_image(make_predictor: MakePredictor, images: Tensor, noise: Noise) -> None:
    """Without noise and guidance, and with a prediction of zero, only the factors of the means remain."""
    module = make_predictor(lambda x, level: torch.zeros_like(x))
    low_contrast = 0.5 + 0.1 * (images - 0.5)
    forward_factor = alphas_cumprod()[44] ** 0.5
    printed = RetPurLiteral(scale=0.0).purify(low_contrast, module, noise)
    derived = RetPur(scale=0.0, mean="eps_form").purify(low_contrast, module, noise)
    for purified, factor in ((printed, 1.2251), (derived, 1.0122)):
        ratio = ((2 * purified - 1) / (2 * low_contrast - 1)).median().item()
        assert ratio == pytest.approx(factor * forward_factor, abs=5e-4)


def test_retpur_literal_equals_retpur_with_the_printed_mean_and_guidance(
    images: Tensor, module: Predictor, noise: Noise
) -> None:
    literal = RetPurLiteral(t_p=3)
    assert torch.equal(
        literal.purify(images, module, noise),
        RetPur(t_p=3, respace=None, mean="literal_abar", guide_form="literal_eps").purify(images, module, noise),
    )
    assert not torch.allclose(
        literal.purify(images, module, noise), RetPur(t_p=3).purify(images, module, noise), atol=0.01
    )
