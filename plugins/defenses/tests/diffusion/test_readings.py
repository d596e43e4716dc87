"""The published readings of the reverse procedure, each against its own closed form."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
from retbench_defenses.denoisers.denoiser import Outline
from retbench_defenses.denoisers.local_denoiser import LocalDenoiser
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.chain import build_walk
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.diffpure import DiffPure, kept_at, time_of
from retbench_defenses.diffusion.gdmp import Gdmp
from retbench_defenses.diffusion.gradual import Gradual
from retbench_defenses.diffusion.purifier import DiffusionPurifier, Moment
from retbench_defenses.diffusion.retpur import RetPur
from retbench_defenses.diffusion.retpur_literal import RetPurLiteral
from torch import Tensor

from retbench import Context, Dataset, Facts, Noise, State, TrainingData

Predict = Callable[..., None]
SMALL, LARGE = (Outline({"block_out_channels": (8,)}, 1000, (side, side)) for side in (32, 256))


def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noise, "normal", lambda self, purpose, shape, step=0: torch.zeros(len(self.ids), *shape))


def perfect(clean: Tensor) -> Callable[[Tensor, int], Tensor]:
    """The noise that leads from `clean` to what is asked about."""
    return lambda x, level: (x - alphas_cumprod()[level] ** 0.5 * clean) / (1 - alphas_cumprod()[level]) ** 0.5


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
    predict(perfect(2 * images.flip(0) - 1))
    assert torch.allclose(purifier.purify(images, {}, noise), images.flip(0), atol=1e-5)


def test_the_printed_equations_multiply_the_image(
    predict: Predict, images: Tensor, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reverse part alone: no noise, no guidance, nothing predicted. Forward, the image is multiplied by its root."""
    quiet(monkeypatch)
    predict(lambda x, level: torch.zeros_like(x))
    dim = 0.5 + 0.1 * (images - 0.5)
    forward = alphas_cumprod()[44] ** 0.5
    printed = RetPurLiteral(scale=0.0).purify(dim, {}, noise)
    derived = RetPur(scale=0.0, mean="eps_form").purify(dim, {}, noise)
    for purified, factor in ((printed, 1.2251), (derived, 1.0122)):
        found = ((2 * purified - 1) / (2 * dim - 1)).median().item()
        assert found == pytest.approx(factor * forward, abs=5e-4)


def test_the_literal_guidance_is_the_gradient_times_the_predicted_noise(
    images: Tensor, state: State, noise: Noise
) -> None:
    literal = RetPurLiteral(t_p=3)
    assert torch.equal(
        literal.purify(images, state, noise),
        RetPur(t_p=3, respace=None, mean="literal_abar", guide_form="literal_eps").purify(images, state, noise),
    )
    assert not torch.allclose(
        literal.purify(images, state, noise), RetPur(t_p=3).purify(images, state, noise), atol=0.01
    )


def test_each_pass_goes_on_from_the_last_one_with_noise_of_its_own(
    predict: Predict, images: Tensor, noise: Noise
) -> None:
    seen: list[Tensor] = []
    predict(lambda x, level: seen.append(x) or torch.zeros_like(x))
    Ddpm(passes=2, t_p=1, mean="eps_form").purify(images, {}, noise)
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
    assert RetPur().walks(replace_size(SMALL, None))[0].start == 44


def replace_size(outline: Outline, size: tuple[int, int] | None) -> Outline:
    return outline._replace(size=size)


def test_the_whole_chain_starts_at_the_last_level() -> None:
    (walk,) = Ddpm(start="T", respace=100).walks(SMALL)
    assert (walk.start, len(walk.links), walk.kept) == (999, 100, alphas_cumprod()[999])
    assert len(Ddpm(start="T").walks(SMALL)[0].links) == 1000


def test_gdmp_for_cifar_noises_one_level_above_where_it_starts_back_four_times() -> None:
    walks = Gdmp().walks(SMALL)
    assert [(walk.start, len(walk.links)) for walk in walks] == [(35, 36)] * 4
    assert {walk.kept for walk in walks} == {alphas_cumprod()[36]}


def test_gdmp_for_imagenet_walks_45_of_250_once() -> None:
    (walk,) = Gdmp(setting="imagenet").walks(LARGE)
    assert (walk.start, len(walk.links), walk.kept) == (177, 45, alphas_cumprod()[177])


def test_a_setting_of_gdmp_fills_in_what_is_not_given() -> None:
    cifar, imagenet = Gdmp(), Gdmp(setting="imagenet")
    assert (cifar.metric, cifar.scale, cifar.guide_ref, cifar.guide_batch) == ("mse", 60_000, "noised_fresh", 100)
    assert (imagenet.metric, imagenet.scale, imagenet.guide_ref, imagenet.guide_batch) == ("ssim", 1000, "clean", 60)
    assert Gdmp(setting="imagenet", scale=7.0).scale == 7.0
    assert Gdmp.create(imagenet.model_dump()) == imagenet


@pytest.mark.parametrize(("setting", "total", "largest"), [("cifar", 0.026, 0.0019), ("imagenet", 0.0022, None)])
def test_gdmps_guidance_contracts_by_next_to_nothing(setting: str, total: float, largest: float | None) -> None:
    """Sum over a chain of 2 sigma_t^2 s_t / (B C H W) as published: for MSE, at the published batch and image size."""
    outline = SMALL if setting == "cifar" else LARGE
    purifier = Gdmp(setting=setting, variance="fixed_large", metric="mse")
    walk = purifier.walks(outline)[0]
    assert outline.size is not None
    values = 3 * outline.size[0] * outline.size[1]
    images, noise = torch.zeros(1, 3, *outline.size), Noise(0, ("one",))
    moments = [Moment(walk, 0, link, images, images, images, link.beta, noise) for link in walk.links]
    shares = [2 * float(purifier.weight(at)) * purifier._scale(at) / values for at in moments]
    assert sum(shares) == pytest.approx(total, rel=0.06)
    if largest:
        assert max(shares) == pytest.approx(largest, rel=0.03)


def test_gdmps_last_variance_is_that_of_the_step_before(images: Tensor, noise: Noise) -> None:
    walk = Gdmp().walks(SMALL)[0]
    weights = [Gdmp().weight(Moment(walk, 0, link, images, images, images, link.beta, noise)) for link in walk.links]
    assert weights[-1] == pytest.approx(5.45e-5, rel=1e-3)
    assert weights[:-1] == [link.beta for link in walk.links[:-1]]


def test_gradual_noise_takes_470_network_calls() -> None:
    walks = Gradual().walks(SMALL)
    assert [walk.start for walk in walks] == [29] * 4 + [49] * 2 + [124] * 2
    assert sum(len(walk.links) for walk in walks) == 470
    assert [len(walk.links) for walk in Gradual(steps=5, schedule=((3, 1), (50, 1))).walks(SMALL)] == [3, 5]


def test_the_reverse_equation_takes_a_step_a_thousandth(predict: Predict, images: Tensor, noise: Noise) -> None:
    asked: list[int] = []
    predict(lambda x, level: asked.append(level) or torch.zeros_like(x))
    DiffPure().purify(images, {}, noise)
    assert asked == list(range(100, 0, -1))
    (walk,) = DiffPure().walks(SMALL)
    assert walk.kept == alphas_cumprod()[99]


def test_the_reverse_equation_over_the_whole_chain_asks_every_level_once() -> None:
    (walk,) = DiffPure(start="T").walks(SMALL)
    assert [link.level for link in walk.links] == list(range(999, 0, -1))


def test_no_images_are_purified_by_a_network_with_attention(save: Callable[..., object], tmp_path: Path) -> None:
    save(tmp_path)
    folder = LocalDenoiser(path=str(tmp_path))
    facts = Facts("any", (16, 16), ("a",), {"train": 1, "query": 1, "database": 1})
    data = TrainingData(cast(Dataset, None), facts, torch.device("cpu"))
    state = folder.fit(data, Context(torch.device("cpu"), "float32", Noise(0, ("fit",))))
    state = {f"denoiser/{name}": tensor for name, tensor in state.items()}
    assert Ddpm(t_p=2).purify(torch.zeros(0, 3, 16, 16), state, Noise(0, ())).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("time", [1e-5, 0.001, 0.1, 0.5, 1.0])
def test_time_and_noise_of_the_equation_are_each_others_inverse(time: float) -> None:
    assert time_of(kept_at(time)) == pytest.approx(time, rel=1e-6)
    steps = 20_000
    beta = sum(0.1 + 19.9 * time * (step + 0.5) / steps for step in range(steps)) * time / steps
    assert kept_at(time) == pytest.approx(math.exp(-beta), rel=1e-6)


def test_the_discrete_levels_follow_the_equation() -> None:
    for level in (44, 99, 177):
        assert alphas_cumprod()[level] == pytest.approx(kept_at((level + 1) / 1000), rel=2e-3)


def test_the_reverse_equation_with_the_true_score_comes_back_to_the_image(
    predict: Predict, images: Tensor, noise: Noise
) -> None:
    """The score at time u of a single picture; what is left at time 1e-5 is the noise of the last steps."""
    clean = 2 * images.flip(0) - 1
    predict(lambda x, level: (x - kept_at(level / 1000) ** 0.5 * clean) / (1 - kept_at(level / 1000)) ** 0.5)
    purified = DiffPure().purify(images, {}, noise)
    assert (purified - images.flip(0)).abs().mean() < 0.01
    assert (purified - images).abs().mean() > 0.05


def test_the_reverse_equation_keeps_the_spread_of_gaussian_pictures(predict: Predict) -> None:
    """Pictures of independent pixels N(0, 0.2^2) have a linear score: the walk must end with that variance again."""
    spread = 0.2
    predict(lambda x, level: x * (1 - kept_at(level / 1000)) ** 0.5 / (1 - (1 - spread**2) * kept_at(level / 1000)))
    many = Noise(3, tuple(str(row) for row in range(64)))
    pictures = (many.normal("pictures", (3, 16, 16)) * spread + 1) / 2
    purified = 2 * DiffPure().purify(pictures, {}, many) - 1
    assert purified.std().item() == pytest.approx(spread, rel=0.02)
    assert torch.corrcoef(torch.stack([purified.flatten(), (2 * pictures - 1).flatten()]))[0, 1] < 0.8


@pytest.mark.parametrize("share", [-1.0, 0.0, 1.0])
def test_a_learned_variance_lies_between_small_and_large_on_a_logarithmic_scale(share: float) -> None:
    from retbench_defenses.denoisers.denoiser import Prediction

    purifier = Ddpm(variance="learned_range")
    for link in build_walk(45, 250).links:
        told = Prediction(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), share))
        variance = purifier._variance("learned_range", told, link)
        assert isinstance(variance, Tensor)
        expected = {-1.0: link.clipped_variance, 1.0: link.beta, 0.0: math.sqrt(link.clipped_variance * link.beta)}
        assert torch.allclose(variance, torch.full_like(variance, expected[share]), rtol=1e-5)


def test_a_learned_variance_is_that_of_diffusers(
    predict: Predict, images: Tensor, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import DDPMScheduler

    def both(x: Tensor, level: int) -> Tensor:
        return torch.cat([0.8 * torch.sin(3 * x), torch.cos(5 * x + level)], dim=1)

    predict(both, channels=6)
    walk = build_walk(6, 250)
    scheduler = DDPMScheduler(variance_type="learned_range")
    scheduler.set_timesteps(timesteps=[link.level for link in walk.links])
    shape = tuple(images.shape[1:])
    x = scheduler.add_noise(2 * images - 1, noise.normal("forward", shape), torch.tensor([walk.start]))
    for link in walk.links:
        drawn = noise.normal("reverse", shape, link.level)
        monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, drawn=drawn, **__: drawn)
        x = scheduler.step(both(x, link.level), link.level, x).prev_sample
    purified = Ddpm(t_p=6, respace=250, variance="learned_range").purify(images, {}, noise)
    assert torch.allclose(purified, ((x + 1) / 2).clamp(0, 1), atol=2e-5)


def test_a_fixed_variance_ignores_what_was_learned(predict: Predict, images: Tensor, noise: Noise) -> None:
    predict(lambda x, level: torch.cat([0.5 * x, 9 * x], dim=1), channels=6)
    fixed = Ddpm(t_p=4, variance="fixed_small").purify(images, {}, noise)
    predict(lambda x, level: 0.5 * x)
    assert torch.equal(Ddpm(t_p=4, variance="fixed_small").purify(images, {}, noise), fixed)


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
