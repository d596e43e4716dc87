import math
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
from diffusers import UNet2DModel
from retbench_defenses.denoisers.denoiser import Outline, Prediction, Predictor
from retbench_defenses.denoisers.local_denoiser import LocalDenoiser
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.chain import build_walk
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.diffpure import DiffPure
from retbench_defenses.diffusion.gdmp import Gdmp
from retbench_defenses.diffusion.gradual import Gradual
from retbench_defenses.diffusion.purifier import DiffusionPurifier
from retbench_defenses.diffusion.retpur import RetPur
from torch import Tensor

from retbench import Context, Dataset, Facts, Noise, State, TrainingData

Predict = Callable[..., Predictor]
SMALL = Outline({"block_out_channels": (8,)}, 1000, (32, 32))
LARGE = Outline({"block_out_channels": (8,)}, 1000, (256, 256))


def perfect(clean: Tensor) -> Callable[[Tensor, int], Tensor]:
    """The noise that leads from `clean` to the image given."""
    return lambda x, level: (x - alphas_cumprod()[level] ** 0.5 * clean) / (1 - alphas_cumprod()[level]) ** 0.5


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
    module = predict(perfect(clean))
    purified = Ddpm(variance=variance, mean=mean, **options).purify(images, module, noise)
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

    module = predict(wavy)
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
    assert torch.allclose(purifier.purify(images, module, noise), ((x + 1) / 2).clamp(0, 1), atol=2e-5)


@pytest.mark.parametrize("purifier", [Ddpm(t_p=6), RetPur(t_p=6)], ids=str)
def test_an_image_is_purified_alike_in_any_batch(
    purifier: Ddpm | RetPur, images: Tensor, module: Predictor, noise: Noise
) -> None:
    together = purifier.purify(images, module, noise)
    alone = torch.cat([purifier.purify(images[i : i + 1], module, noise.rows(i, i + 1)) for i in range(len(images))])
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together, purifier.purify(images, module, noise.copy(0)), atol=1e-2)


@pytest.mark.parametrize("purifier", [Ddpm(t_p=3), RetPur(t_p=3), RetPur(t_p=3, metric="mse")], ids=str)
def test_shape_range_and_dtype_are_kept(
    purifier: Ddpm | RetPur, images: Tensor, module: Predictor, noise: Noise
) -> None:
    purified = purifier.purify(images, module, noise)
    assert purified.shape == images.shape
    assert purified.dtype == torch.float32
    assert purified.min() >= 0
    assert purified.max() <= 1
    assert purifier.purify(images[:0], module, noise.rows(0, 0)).shape == (0, *images.shape[1:])


@pytest.mark.parametrize("purifier", [Ddpm(t_p=4), RetPur(t_p=4)], ids=str)
def test_only_the_network_runs_at_the_autocast_precision(
    purifier: Ddpm | RetPur, predict: Predict, images: Tensor, noise: Noise
) -> None:
    module = predict(wavy)
    expected = purifier.purify(images, module, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(purifier.purify(images, module, noise), expected)
    module = predict(lambda x, level: wavy(x, level).bfloat16())
    assert purifier.purify(images, module, noise).dtype == torch.float32


def test_the_network_runs_at_the_autocast_precision(images: Tensor, module: Predictor, noise: Noise) -> None:
    full = Ddpm(t_p=4).purify(images, module, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = Ddpm(t_p=4).purify(images, module, noise)
    assert not torch.equal(full, half)
    assert torch.allclose(full, half, atol=0.02)


@pytest.mark.parametrize("purifier", [Ddpm(t_p=3, mean="eps_form"), RetPur(t_p=3, mean="eps_form")], ids=str)
def test_gradients_reach_the_query_and_are_right(
    purifier: Ddpm | RetPur, images: Tensor, module: Predictor, noise: Noise
) -> None:
    queries = images.clone().requires_grad_()
    purifier.purify(queries, module, noise).square().sum().backward()
    assert queries.grad is not None
    direction = queries.grad / queries.grad.norm()
    with torch.no_grad():
        above, below = (
            purifier.purify(images + step * direction, module, noise).double().square().sum() for step in (0.05, -0.05)
        )
    assert ((above - below) / 0.1).item() == pytest.approx(queries.grad.norm().item(), rel=0.01)


def test_purifying_leaves_the_weights_alone(images: Tensor, state: State, noise: Noise) -> None:
    module = Ddpm().module(state, images.device)
    before = {name: tensor.clone() for name, tensor in state.items()}
    Ddpm(t_p=2).purify(images.requires_grad_(), module, noise).sum().backward()
    assert all(torch.equal(state[name], before[name]) and state[name].grad is None for name in state)


def test_the_purify_step_scales_the_noise_that_is_added(predict: Predict, images: Tensor, noise: Noise) -> None:
    seen: list[Tensor] = []
    module = predict(lambda x, level: seen.append(x) or torch.zeros_like(x))
    Ddpm(t_p=45).purify(images, module, noise)
    kept = alphas_cumprod()[44]
    expected = math.sqrt(kept) * (2 * images - 1) + math.sqrt(1 - kept) * noise.normal("forward", (3, 16, 16))
    assert torch.allclose(seen[0], expected, atol=1e-6)
    assert len(seen) == 45


@pytest.mark.parametrize(
    "purifier",
    [
        Ddpm(start="T", t_p=5, respace=20),
        Ddpm(passes=3, t_p=4),
        Ddpm(t_p=45, steps=5),
        Gradual(schedule=((6, 2), (9, 1))),
        DiffPure(sampler="ddpm", t_p=7),
        Gdmp(scale=0.0, t_p=5),
        RetPur(scale=0.0, t_p=5),
    ],
    ids=lambda purifier: f"{purifier.name} {purifier.model_dump(exclude_defaults=True)}",
)
def test_a_perfect_denoiser_gives_the_image_back_through_every_reading(
    purifier: DiffusionPurifier, predict: Predict, images: Tensor, noise: Noise
) -> None:
    module = predict(perfect(2 * images.flip(0) - 1))
    assert torch.allclose(purifier.purify(images, module, noise), images.flip(0), atol=1e-5)


def test_each_pass_goes_on_from_the_last_one_with_noise_of_its_own(
    predict: Predict, images: Tensor, noise: Noise
) -> None:
    seen: list[Tensor] = []
    module = predict(lambda x, level: seen.append(x) or torch.zeros_like(x))
    Ddpm(passes=2, t_p=1, mean="eps_form").purify(images, module, noise)
    kept = alphas_cumprod()[0]
    drawn = [(seen[0] - kept**0.5 * (2 * images - 1)) / (1 - kept) ** 0.5]
    back = seen[0] / math.sqrt(kept)
    drawn.append((seen[1] - kept**0.5 * back) / (1 - kept) ** 0.5)
    assert torch.allclose(drawn[0], noise.normal("forward", (3, 16, 16)), atol=1e-3)
    assert not torch.allclose(drawn[0], drawn[1], atol=1)


def test_45_steps_are_counted_by_the_size_of_the_denoiser() -> None:
    starts = {
        (outline.size, respace): RetPur(respace=respace).walks(outline)[0].start
        for outline in (SMALL, LARGE)
        for respace in ("auto", None, 250)
    }
    assert [starts[SMALL.size, respace] for respace in ("auto", None, 250)] == [44, 44, 177]
    assert [starts[LARGE.size, respace] for respace in ("auto", None, 250)] == [177, 44, 177]
    assert RetPur().walks(SMALL._replace(size=None))[0].start == 44


def test_the_whole_chain_starts_at_the_last_level() -> None:
    (walk,) = Ddpm(start="T", respace=100).walks(SMALL)
    assert (walk.start, len(walk.links), walk.alpha_bar) == (999, 100, alphas_cumprod()[999])
    assert len(Ddpm(start="T").walks(SMALL)[0].links) == 1000


def test_no_images_are_purified_by_a_network_with_attention(save: Callable[..., object], tmp_path: Path) -> None:
    save(tmp_path)
    folder = LocalDenoiser(path=str(tmp_path))
    facts = Facts("any", (16, 16), ("a",), {"train": 1, "query": 1, "database": 1})
    data = TrainingData(cast(Dataset, None), facts, torch.device("cpu"))
    state = folder.fit(data, Context(torch.device("cpu"), "float32", Noise(0, ("fit",))))
    module = folder.module(state, torch.device("cpu"))
    assert Ddpm(t_p=2).purify(torch.zeros(0, 3, 16, 16), module, Noise(0, ())).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("share", [-1.0, 0.0, 1.0])
def test_a_learned_variance_lies_between_small_and_large_on_a_logarithmic_scale(share: float) -> None:
    purifier = Ddpm(variance="learned_range")
    for link in build_walk(45, 250).links:
        prediction = Prediction(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), share))
        variance = purifier._variance("learned_range", prediction, link)
        assert isinstance(variance, Tensor)
        expected = {-1.0: link.clipped_variance, 1.0: link.beta, 0.0: math.sqrt(link.clipped_variance * link.beta)}
        assert torch.allclose(variance, torch.full_like(variance, expected[share]), rtol=1e-5)


def test_a_learned_variance_is_that_of_diffusers(
    predict: Predict, images: Tensor, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import DDPMScheduler

    def both(x: Tensor, level: int) -> Tensor:
        return torch.cat([0.8 * torch.sin(3 * x), torch.cos(5 * x + level)], dim=1)

    module = predict(both, channels=6)
    walk = build_walk(6, 250)
    scheduler = DDPMScheduler(variance_type="learned_range")
    scheduler.set_timesteps(timesteps=[link.level for link in walk.links])
    shape = tuple(images.shape[1:])
    x = scheduler.add_noise(2 * images - 1, noise.normal("forward", shape), torch.tensor([walk.start]))
    for link in walk.links:
        drawn = noise.normal("reverse", shape, link.level)
        monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, drawn=drawn, **__: drawn)
        x = scheduler.step(both(x, link.level), link.level, x).prev_sample
    purified = Ddpm(t_p=6, respace=250, variance="learned_range").purify(images, module, noise)
    assert torch.allclose(purified, ((x + 1) / 2).clamp(0, 1), atol=2e-5)


def test_a_fixed_variance_ignores_what_was_learned(predict: Predict, images: Tensor, noise: Noise) -> None:
    module = predict(lambda x, level: torch.cat([0.5 * x, 9 * x], dim=1), channels=6)
    fixed = Ddpm(t_p=4, variance="fixed_small").purify(images, module, noise)
    module = predict(lambda x, level: 0.5 * x)
    assert torch.equal(Ddpm(t_p=4, variance="fixed_small").purify(images, module, noise), fixed)


def test_a_row_records_where_the_walk_starts(facts: Facts) -> None:
    details = RetPur(denoiser="train", copies=3).details(facts)
    assert details["start_level"] == 44
    assert details["alpha_bar"] == pytest.approx(0.976062, abs=1e-6)
    assert (details["network_calls"], details["variance"], details["copies"]) == (45, "fixed_small", 3)
    assert Gradual(denoiser="train").details(facts)["start_level"] == 124
    assert "resolution" not in details
    assert DiffPure(denoiser="train").details(facts)["variance"] == "the equation's"


def test_how_it_is_compiled_and_what_it_does_not_train_are_in_no_recipe(facts: Facts) -> None:
    plain = Ddpm(denoiser="train").spec(facts)
    assert Ddpm(denoiser="train", compile=True, copies=4, vote="majority").spec(facts) == plain
    assert "training" in plain["options"]
    assert "training" not in Ddpm(denoiser="nobody/nothing").spec(facts)["options"]


def test_the_network_is_built_once_and_frozen(
    images: Tensor, state: State, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Ddpm(t_p=2).module(state, images.device)
    monkeypatch.setattr("retbench_defenses.denoisers.denoiser.lay_out", None)
    first = Ddpm(t_p=2).purify(images, module, noise)
    assert torch.equal(Ddpm(t_p=2).purify(images, module, noise), first)
    assert not any(weight.requires_grad for weight in module.parameters())
    assert not any(inner.training for inner in module.modules())


def test_a_module_made_in_inference_mode_can_be_differentiated(images: Tensor, state: State, noise: Noise) -> None:
    with torch.inference_mode():
        module = Ddpm(t_p=2).module(state, images.device)
        Ddpm(t_p=2).purify(images, module, noise)
    pixels = images.clone().requires_grad_()
    Ddpm(t_p=2).purify(pixels, module, noise).sum().backward()
    assert pixels.grad is not None


@pytest.mark.parametrize("wanted", [True, False])
def test_the_network_is_compiled_only_by_the_option(
    wanted: bool, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **options: compiled.append((type(self), options)))
    Ddpm(compile=wanted).module(state, torch.device("cpu"))
    assert compiled == ([(UNet2DModel, {"dynamic": False})] if wanted else [])
