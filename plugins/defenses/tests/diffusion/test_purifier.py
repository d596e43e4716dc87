import math
from collections.abc import Callable

import pytest
import torch
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.chain import build_walk
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.retpur import RetPur
from torch import Tensor

from retbench import Noise, State

Predict = Callable[..., None]


def wavy(x: Tensor, level: int) -> Tensor:
    """Some noise prediction that depends on the image and the level."""
    return 0.8 * torch.sin(3 * x) + 0.001 * level


@pytest.mark.parametrize("options", [{}, {"t_p": 1}, {"t_p": 300}, {"respace": 250}, {"respace": 10, "t_p": 4}])
@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("mean", ["posterior_clip", "eps_form"])
def test_a_perfect_denoiser_gives_the_image_back(
    options: dict[str, int], variance: str, mean: str, predict: Predict, images: Tensor, noise: Noise
) -> None:
    clean = 2 * images.flip(0) - 1  # other images than those handed in: what is returned comes from the denoiser
    predict(lambda x, level: (x - alphas_cumprod()[level] ** 0.5 * clean) / (1 - alphas_cumprod()[level]) ** 0.5)
    purified = Ddpm(variance=variance, mean=mean, **options).purify(images, {}, noise)
    assert torch.allclose(purified, images.flip(0), atol=1e-5)


def test_posterior_and_eps_form_agree_until_something_is_clipped(images: Tensor) -> None:
    link = build_walk(45, None).links[0]
    x, eps = 2 * images - 1, torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    clipped, unclipped = (Ddpm(mean=mean)._mean for mean in ("posterior_clip", "eps_form"))
    assert torch.allclose(clipped(0.5 * x, 0.5 * eps, link), unclipped(0.5 * x, 0.5 * eps, link), atol=3e-6)
    assert not torch.allclose(clipped(2 * x, eps, link), unclipped(2 * x, eps, link), atol=3e-6)


@pytest.mark.parametrize(("mean", "factor"), [("literal_abar", 1.2251), ("eps_form", 1.0122)])
def test_the_letter_of_equation_12_brightens_the_image(mean: str, factor: float) -> None:
    x = torch.ones(1, 3, 4, 4)
    for link in build_walk(45, None).links:
        x = Ddpm(mean=mean)._mean(x, torch.zeros_like(x), link)
    assert x.mean().item() == pytest.approx(factor, abs=5e-5)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize(("t_p", "respace", "spacing"), [(45, None, None), (45, 250, 250), (12, 50, 50)])
def test_the_chain_is_that_of_diffusers(
    variance: str,
    t_p: int,
    respace: int | None,
    spacing: int | None,
    predict: Predict,
    images: Tensor,
    noise: Noise,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from diffusers import DDPMScheduler

    predict(wavy)
    purifier = Ddpm(t_p=t_p, respace=respace, variance=variance)
    levels = [link.level for link in build_walk(t_p, respace).links]
    scheduler = DDPMScheduler(variance_type=variance)
    scheduler.set_timesteps(timesteps=levels)
    shape = tuple(images.shape[1:])
    x = scheduler.add_noise(2 * images - 1, noise.normal("forward", shape), torch.tensor(levels[:1]))
    for level in levels:
        drawn = noise.normal("reverse", shape, level)
        monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, drawn=drawn, **__: drawn)
        x = scheduler.step(wavy(x, level), level, x).prev_sample
    assert torch.allclose(purifier.purify(images, {}, noise), ((x + 1) / 2).clamp(0, 1), atol=2e-5)


@pytest.mark.parametrize("purifier", [Ddpm(t_p=6), RetPur(t_p=6)], ids=str)
def test_an_image_is_purified_alike_in_any_batch(
    purifier: Ddpm | RetPur, images: Tensor, state: State, noise: Noise
) -> None:
    together = purifier.purify(images, state, noise)
    alone = torch.cat([purifier.purify(images[i : i + 1], state, noise.rows(i, i + 1)) for i in range(len(images))])
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together, purifier.purify(images, state, noise.copy(0)), atol=1e-2)


@pytest.mark.parametrize("purifier", [Ddpm(t_p=3), RetPur(t_p=3), RetPur(t_p=3, metric="mse")], ids=str)
def test_shape_range_and_dtype_are_kept(purifier: Ddpm | RetPur, images: Tensor, state: State, noise: Noise) -> None:
    purified = purifier.purify(images, state, noise)
    assert purified.shape == images.shape
    assert purified.dtype == torch.float32
    assert purified.min() >= 0
    assert purified.max() <= 1
    assert purifier.purify(images[:0], state, noise.rows(0, 0)).shape == (0, *images.shape[1:])


@pytest.mark.parametrize("purifier", [Ddpm(t_p=4), RetPur(t_p=4)], ids=str)
def test_only_the_network_runs_at_the_autocast_precision(
    purifier: Ddpm | RetPur, predict: Predict, images: Tensor, noise: Noise
) -> None:
    predict(wavy)
    expected = purifier.purify(images, {}, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(purifier.purify(images, {}, noise), expected)
    predict(lambda x, level: wavy(x, level).bfloat16())
    assert purifier.purify(images, {}, noise).dtype == torch.float32


def test_the_network_runs_at_the_autocast_precision(images: Tensor, state: State, noise: Noise) -> None:
    full = Ddpm(t_p=4).purify(images, state, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = Ddpm(t_p=4).purify(images, state, noise)
    assert not torch.equal(full, half)
    assert torch.allclose(full, half, atol=0.02)


@pytest.mark.parametrize("purifier", [Ddpm(t_p=3, mean="eps_form"), RetPur(t_p=3, mean="eps_form")], ids=str)
def test_gradients_reach_the_query_and_are_right(
    purifier: Ddpm | RetPur, images: Tensor, state: State, noise: Noise
) -> None:
    queries = images.clone().requires_grad_()
    purifier.purify(queries, state, noise).square().sum().backward()
    assert queries.grad is not None
    direction = queries.grad / queries.grad.norm()
    with torch.no_grad():
        above, below = (
            purifier.purify(images + step * direction, state, noise).double().square().sum() for step in (0.05, -0.05)
        )
    assert ((above - below) / 0.1).item() == pytest.approx(queries.grad.norm().item(), rel=0.01)


def test_purifying_leaves_the_weights_alone(images: Tensor, state: State, noise: Noise) -> None:
    before = {name: tensor.clone() for name, tensor in state.items()}
    Ddpm(t_p=2).purify(images.requires_grad_(), state, noise).sum().backward()
    assert all(torch.equal(state[name], before[name]) and state[name].grad is None for name in state)


def test_the_purify_step_scales_the_noise_that_is_added(predict: Predict, images: Tensor, noise: Noise) -> None:
    seen: list[Tensor] = []
    predict(lambda x, level: seen.append(x) or torch.zeros_like(x))
    Ddpm(t_p=45).purify(images, {}, noise)
    kept = alphas_cumprod()[44]
    expected = math.sqrt(kept) * (2 * images - 1) + math.sqrt(1 - kept) * noise.normal("forward", (3, 16, 16))
    assert torch.allclose(seen[0], expected, atol=1e-6)
    assert len(seen) == 45
