from collections.abc import Callable

import pytest
import torch
from retbench_defenses.denoisers.denoiser import Predictor
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.retpur import RetPur
from retbench_defenses.diffusion.retpur_literal import RetPurLiteral
from torch import Tensor

from retbench import Noise

Predict = Callable[..., Predictor]


def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noise, "normal", lambda self, purpose, shape, step=0: torch.zeros(len(self.ids), *shape))


def test_the_printed_equations_multiply_the_image(
    predict: Predict, images: Tensor, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reverse part alone: no noise, no guidance, nothing predicted. Forward, the image is multiplied by its root."""
    quiet(monkeypatch)
    module = predict(lambda x, level: torch.zeros_like(x))
    dim = 0.5 + 0.1 * (images - 0.5)
    forward = alphas_cumprod()[44] ** 0.5
    printed = RetPurLiteral(scale=0.0).purify(dim, module, noise)
    derived = RetPur(scale=0.0, mean="eps_form").purify(dim, module, noise)
    for purified, factor in ((printed, 1.2251), (derived, 1.0122)):
        found = ((2 * purified - 1) / (2 * dim - 1)).median().item()
        assert found == pytest.approx(factor * forward, abs=5e-4)


def test_the_literal_guidance_is_the_gradient_times_the_predicted_noise(
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
