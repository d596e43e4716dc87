import math
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
from diffusers import UNet2DModel
from retbench_defenses.denoisers.denoiser import DenoiserMetadata, Prediction, Predictor
from retbench_defenses.denoisers.local_denoiser import LocalDenoiser
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.chain import build_pass
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.diffpure import DiffPure
from retbench_defenses.diffusion.gdmp import Gdmp
from retbench_defenses.diffusion.gradual import Gradual
from retbench_defenses.diffusion.purifier import DiffusionPurifier
from retbench_defenses.diffusion.retpur import RetPur
from torch import Tensor

from retbench import Context, Dataset, Facts, Noise, State, TrainingData

MakePredictor = Callable[..., Predictor]
SMALL_DENOISER = DenoiserMetadata({"block_out_channels": (8,)}, 1000, (32, 32))
LARGE_DENOISER = DenoiserMetadata({"block_out_channels": (8,)}, 1000, (256, 256))


def perfect_denoiser(clean: Tensor) -> Callable[[Tensor, int], Tensor]:
    """Return the function whose prediction always leads to the image `clean`."""
    return lambda x, level: (x - alphas_cumprod()[level] ** 0.5 * clean) / (1 - alphas_cumprod()[level]) ** 0.5


def predict_sine(x: Tensor, level: int) -> Tensor:
    """Return a noise prediction that depends on the image and the level."""
    return 0.8 * torch.sin(3 * x) + 0.001 * level


@pytest.mark.parametrize("options", [{}, {"t_p": 1}, {"t_p": 300}, {"respace": 250}, {"respace": 10, "t_p": 4}])
@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("mean", ["posterior_clip", "eps_form"])
def test_a_perfect_denoiser_restores_its_image(
    options: dict[str, int], variance: str, mean: str, make_predictor: MakePredictor, images: Tensor, noise: Noise
) -> None:
    clean = 2 * images.flip(0) - 1  # other images than the input: the result comes from the denoiser alone
    module = make_predictor(perfect_denoiser(clean))
    purified = Ddpm(variance=variance, mean=mean, **options).purify(images, module, noise)
    assert torch.allclose(purified, images.flip(0), atol=1e-5)


def test_posterior_and_eps_form_are_equal_unless_a_value_is_clipped(images: Tensor) -> None:
    step = build_pass(45, None).steps[0]
    x, eps = 2 * images - 1, torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    clipped, unclipped = (Ddpm(mean=mean)._mean for mean in ("posterior_clip", "eps_form"))
    assert torch.allclose(clipped(0.5 * x, 0.5 * eps, step), unclipped(0.5 * x, 0.5 * eps, step), atol=3e-6)
    assert not torch.allclose(clipped(2 * x, eps, step), unclipped(2 * x, eps, step), atol=3e-6)


@pytest.mark.parametrize(("mean", "factor"), [("literal_abar", 1.2251), ("eps_form", 1.0122)])
def test_equation_12_as_printed_brightens_the_image(mean: str, factor: float) -> None:
    x = torch.ones(1, 3, 4, 4)
    for step in build_pass(45, None).steps:
        x = Ddpm(mean=mean)._mean(x, torch.zeros_like(x), step)
    assert x.mean().item() == pytest.approx(factor, abs=5e-5)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize(("t_p", "respace"), [(45, None), (45, 250), (12, 50)])
def test_the_chain_equals_that_of_diffusers(
    variance: str,
    t_p: int,
    respace: int | None,
    make_predictor: MakePredictor,
    images: Tensor,
    noise: Noise,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from diffusers import DDPMScheduler

    module = make_predictor(predict_sine)
    purifier = Ddpm(t_p=t_p, respace=respace, variance=variance)
    levels = [step.level for step in build_pass(t_p, respace).steps]
    scheduler = DDPMScheduler(variance_type=variance)
    scheduler.set_timesteps(timesteps=levels)
    shape = tuple(images.shape[1:])
    x = scheduler.add_noise(2 * images - 1, noise.normal("forward", shape), torch.tensor(levels[:1]))
    for level in levels:
        drawn = noise.normal("reverse", shape, level)
        monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, drawn=drawn, **__: drawn)
        x = scheduler.step(predict_sine(x, level), level, x).prev_sample
    assert torch.allclose(purifier.purify(images, module, noise), ((x + 1) / 2).clamp(0, 1), atol=2e-5)


@pytest.mark.parametrize("purifier", [Ddpm(t_p=6), RetPur(t_p=6)], ids=str)
def test_purification_of_an_image_does_not_depend_on_the_batch(
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
def test_computations_outside_the_network_ignore_autocast(
    purifier: Ddpm | RetPur, make_predictor: MakePredictor, images: Tensor, noise: Noise
) -> None:
    module = make_predictor(predict_sine)
    expected = purifier.purify(images, module, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(purifier.purify(images, module, noise), expected)
    module = make_predictor(lambda x, level: predict_sine(x, level).bfloat16())
    assert purifier.purify(images, module, noise).dtype == torch.float32


def test_the_network_runs_in_the_autocast_precision(images: Tensor, module: Predictor, noise: Noise) -> None:
    full = Ddpm(t_p=4).purify(images, module, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = Ddpm(t_p=4).purify(images, module, noise)
    assert not torch.equal(full, half)
    assert torch.allclose(full, half, atol=0.02)


@pytest.mark.parametrize("purifier", [Ddpm(t_p=3, mean="eps_form"), RetPur(t_p=3, mean="eps_form")], ids=str)
def test_the_gradient_with_respect_to_the_query_equals_finite_differences(
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


def test_purification_does_not_change_the_weights(images: Tensor, state: State, noise: Noise) -> None:
    module = Ddpm().module(state, images.device)
    before = {name: tensor.clone() for name, tensor in state.items()}
    Ddpm(t_p=2).purify(images.requires_grad_(), module, noise).sum().backward()
    assert all(torch.equal(state[name], before[name]) and state[name].grad is None for name in state)


def test_the_purify_step_determines_the_forward_noise(
    make_predictor: MakePredictor, images: Tensor, noise: Noise
) -> None:
    inputs: list[Tensor] = []
    module = make_predictor(lambda x, level: inputs.append(x) or torch.zeros_like(x))
    Ddpm(t_p=45).purify(images, module, noise)
    alpha_bar = alphas_cumprod()[44]
    expected = math.sqrt(alpha_bar) * (2 * images - 1) + math.sqrt(1 - alpha_bar) * noise.normal("forward", (3, 16, 16))
    assert torch.allclose(inputs[0], expected, atol=1e-6)
    assert len(inputs) == 45


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
def test_a_perfect_denoiser_restores_its_image_with_every_purifier(
    purifier: DiffusionPurifier, make_predictor: MakePredictor, images: Tensor, noise: Noise
) -> None:
    module = make_predictor(perfect_denoiser(2 * images.flip(0) - 1))
    assert torch.allclose(purifier.purify(images, module, noise), images.flip(0), atol=1e-5)


def test_each_pass_continues_from_the_one_before_with_new_noise(
    make_predictor: MakePredictor, images: Tensor, noise: Noise
) -> None:
    inputs: list[Tensor] = []
    module = make_predictor(lambda x, level: inputs.append(x) or torch.zeros_like(x))
    Ddpm(passes=2, t_p=1, mean="eps_form").purify(images, module, noise)
    alpha_bar = alphas_cumprod()[0]
    first_noise = (inputs[0] - alpha_bar**0.5 * (2 * images - 1)) / (1 - alpha_bar) ** 0.5
    first_result = inputs[0] / math.sqrt(alpha_bar)
    second_noise = (inputs[1] - alpha_bar**0.5 * first_result) / (1 - alpha_bar) ** 0.5
    assert torch.allclose(first_noise, noise.normal("forward", (3, 16, 16)), atol=1e-3)
    assert not torch.allclose(first_noise, second_noise, atol=1)


def test_auto_respaces_the_chain_for_large_denoisers_only() -> None:
    starts = {
        (metadata.size, respace): RetPur(respace=respace).diffusion_passes(metadata)[0].start_level
        for metadata in (SMALL_DENOISER, LARGE_DENOISER)
        for respace in ("auto", None, 250)
    }
    assert [starts[SMALL_DENOISER.size, respace] for respace in ("auto", None, 250)] == [44, 44, 177]
    assert [starts[LARGE_DENOISER.size, respace] for respace in ("auto", None, 250)] == [177, 44, 177]
    assert RetPur().diffusion_passes(SMALL_DENOISER._replace(size=None))[0].start_level == 44


def test_a_start_at_the_last_level_takes_the_whole_chain() -> None:
    (diffusion_pass,) = Ddpm(start="T", respace=100).diffusion_passes(SMALL_DENOISER)
    assert (diffusion_pass.start_level, len(diffusion_pass.steps)) == (999, 100)
    assert diffusion_pass.alpha_bar == alphas_cumprod()[999]
    assert len(Ddpm(start="T").diffusion_passes(SMALL_DENOISER)[0].steps) == 1000


def test_a_network_with_attention_purifies_an_empty_batch(save_unet: Callable[..., object], tmp_path: Path) -> None:
    save_unet(tmp_path)
    denoiser = LocalDenoiser(path=str(tmp_path))
    facts = Facts("any", (16, 16), ("a",), {"train": 1, "query": 1, "database": 1})
    data = TrainingData(cast(Dataset, None), facts, torch.device("cpu"))
    state = denoiser.fit(data, Context(torch.device("cpu"), "float32", Noise(0, ("fit",))))
    module = denoiser.module(state, torch.device("cpu"))
    assert Ddpm(t_p=2).purify(torch.zeros(0, 3, 16, 16), module, Noise(0, ())).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("output", [-1.0, 0.0, 1.0])
def test_a_learned_variance_interpolates_small_and_large_on_a_logarithmic_scale(output: float) -> None:
    purifier = Ddpm(variance="learned_range")
    for step in build_pass(45, 250).steps:
        prediction = Prediction(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), output))
        variance = purifier._variance("learned_range", prediction, step)
        assert isinstance(variance, Tensor)
        expected = {-1.0: step.clipped_variance, 1.0: step.beta, 0.0: math.sqrt(step.clipped_variance * step.beta)}
        assert torch.allclose(variance, torch.full_like(variance, expected[output]), rtol=1e-5)


def test_a_learned_variance_equals_that_of_diffusers(
    make_predictor: MakePredictor, images: Tensor, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import DDPMScheduler

    def predict_both(x: Tensor, level: int) -> Tensor:
        return torch.cat([0.8 * torch.sin(3 * x), torch.cos(5 * x + level)], dim=1)

    module = make_predictor(predict_both, channels=6)
    diffusion_pass = build_pass(6, 250)
    scheduler = DDPMScheduler(variance_type="learned_range")
    scheduler.set_timesteps(timesteps=[step.level for step in diffusion_pass.steps])
    shape = tuple(images.shape[1:])
    x = scheduler.add_noise(2 * images - 1, noise.normal("forward", shape), torch.tensor([diffusion_pass.start_level]))
    for step in diffusion_pass.steps:
        drawn = noise.normal("reverse", shape, step.level)
        monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, drawn=drawn, **__: drawn)
        x = scheduler.step(predict_both(x, step.level), step.level, x).prev_sample
    purified = Ddpm(t_p=6, respace=250, variance="learned_range").purify(images, module, noise)
    assert torch.allclose(purified, ((x + 1) / 2).clamp(0, 1), atol=2e-5)


def test_a_fixed_variance_ignores_the_learned_one(make_predictor: MakePredictor, images: Tensor, noise: Noise) -> None:
    module = make_predictor(lambda x, level: torch.cat([0.5 * x, 9 * x], dim=1), channels=6)
    fixed = Ddpm(t_p=4, variance="fixed_small").purify(images, module, noise)
    module = make_predictor(lambda x, level: 0.5 * x)
    assert torch.equal(Ddpm(t_p=4, variance="fixed_small").purify(images, module, noise), fixed)


def test_details_contain_start_level_network_calls_and_variance(facts: Facts) -> None:
    details = RetPur(denoiser="train", copies=3).details(facts)
    assert details["start_level"] == 44
    assert details["alpha_bar"] == pytest.approx(0.976062, abs=1e-6)
    assert (details["network_calls"], details["variance"], details["copies"]) == (45, "fixed_small", 3)
    assert Gradual(denoiser="train").details(facts)["start_level"] == 124
    assert "resolution" not in details
    assert DiffPure(denoiser="train").details(facts)["variance"] == "the equation's"


def test_the_recipe_omits_compilation_votes_and_unused_training_options(facts: Facts) -> None:
    default = Ddpm(denoiser="train").spec(facts)
    assert Ddpm(denoiser="train", compile=True, copies=4, vote="majority").spec(facts) == default
    assert "training" in default["options"]
    assert "training" not in Ddpm(denoiser="nobody/nothing").spec(facts)["options"]


def test_the_network_is_built_once_and_frozen(
    images: Tensor, state: State, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Ddpm(t_p=2).module(state, images.device)
    monkeypatch.setattr("retbench_defenses.denoisers.denoiser.build_unet", None)
    first = Ddpm(t_p=2).purify(images, module, noise)
    assert torch.equal(Ddpm(t_p=2).purify(images, module, noise), first)
    assert not any(weight.requires_grad for weight in module.parameters())
    assert not any(submodule.training for submodule in module.modules())


def test_a_module_made_in_inference_mode_can_be_differentiated(images: Tensor, state: State, noise: Noise) -> None:
    with torch.inference_mode():
        module = Ddpm(t_p=2).module(state, images.device)
        Ddpm(t_p=2).purify(images, module, noise)
    queries = images.clone().requires_grad_()
    Ddpm(t_p=2).purify(queries, module, noise).sum().backward()
    assert queries.grad is not None


@pytest.mark.parametrize("option", [True, False])
def test_the_network_is_compiled_only_with_the_option(
    option: bool, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **options: compiled.append((type(self), options)))
    Ddpm(compile=option).module(state, torch.device("cpu"))
    assert compiled == ([(UNet2DModel, {"dynamic": False})] if option else [])
