import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from retbench_defenses.controls.tv import TV
from torch import Tensor, nn

from retbench import Noise

NOISE = Noise(0, ("query",))
ALL = torch.ones(1, 3, 12, 10)


def cleaned(images: Tensor, **options: object) -> Tensor:
    return TV(**options).purify(images, nn.Module(), NOISE)


def random_images(seed: int) -> Tensor:
    return torch.rand(1, 3, 12, 10, generator=torch.Generator().manual_seed(seed))


def kept(drop: float) -> Tensor:
    return (NOISE.uniform("tv", (3, 12, 10)) >= drop).float()


def energy(image: Tensor, values: Tensor, keep: Tensor, weight: float, smooth: float = 0.0) -> Tensor:
    """The energy by its definition, pixel pairs written out; `smooth` rounds the corner of the square root."""
    down, right = torch.zeros_like(image), torch.zeros_like(image)
    down[:, :, :-1] = image[:, :, 1:] - image[:, :, :-1]
    right[:, :, :, :-1] = image[:, :, :, 1:] - image[:, :, :, :-1]
    lengths = (down**2 + right**2 + smooth**2).sqrt()
    return (keep * (image - values) ** 2).sum() / 2 + weight * lengths.sum()


def descend(values: Tensor, keep: Tensor, weight: float) -> Tensor:
    """The minimizer by another method: LBFGS in float64 on energies ever less smooth."""
    values, keep = values.double(), keep.double()
    image = torch.full_like(values, 0.5).requires_grad_()
    for smooth in (1e-1, 1e-2, 1e-3, 1e-4):
        optimizer = torch.optim.LBFGS([image], max_iter=200, tolerance_change=1e-14, line_search_fn="strong_wolfe")

        def loss(smooth: float = smooth, optimizer: torch.optim.LBFGS = optimizer) -> Tensor:
            optimizer.zero_grad()
            value = energy(image, values, keep, weight, smooth)
            value.backward()
            return value

        optimizer.step(loss)
    return image.detach()


def test_the_plateaus_of_a_step_approach_each_other_by_weight_over_length() -> None:
    step = torch.cat([torch.full((1, 3, 5, 6), 0.2), torch.full((1, 3, 5, 10), 0.8)], dim=3)
    moved = torch.cat([torch.full((1, 3, 5, 6), 0.2 + 0.1 / 6), torch.full((1, 3, 5, 10), 0.8 - 0.1 / 10)], dim=3)
    assert torch.allclose(cleaned(step, weight=0.1, iterations=1000), moved, atol=1e-4)
    assert torch.allclose(cleaned(step.mT, weight=0.1, iterations=1000), moved.mT, atol=1e-4)
    assert torch.allclose(cleaned(step, weight=0.1), moved, atol=2e-3)


def test_a_large_weight_leaves_the_mean_of_each_channel() -> None:
    images = random_images(0)
    flat = images.mean((2, 3), keepdim=True).expand_as(images)
    assert torch.allclose(cleaned(images, weight=10.0, iterations=5000), flat, atol=1e-4)


@pytest.mark.parametrize("drop", [0.0, 0.5])
@pytest.mark.parametrize("weight", [0.03, 0.1])
def test_the_minimum_is_the_one_that_another_solver_finds(weight: float, drop: float) -> None:
    images, keep = random_images(1), kept(drop)
    expected = descend(images, keep, weight)
    lowest = energy(expected, images.double(), keep.double(), weight)
    found = cleaned(images, weight=weight, drop=drop, iterations=2000)
    assert torch.isclose(energy(found.double(), images.double(), keep.double(), weight), lowest, rtol=2e-4)
    if not drop:  # only then is the minimizer unique
        assert torch.allclose(found.double(), expected, atol=3e-3)


def test_the_default_iterations_come_near_the_minimum_of_a_picture() -> None:
    ramp = torch.linspace(0.1, 0.9, 64).expand(1, 3, 64, 64)
    picture = ramp + 0.05 * NOISE.normal("picture", (3, 64, 64))
    short, long = (cleaned(picture, iterations=iterations) for iterations in (100, 3000))
    excess = energy(short, picture, torch.ones_like(picture), 0.1) / energy(
        long, picture, torch.ones_like(picture), 0.1
    )
    assert excess < 1.001  # without the acceleration it is 1.0015


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.floats(0.01, 1))
def test_the_mean_stays_and_the_energy_falls(seed: int, weight: float) -> None:
    images = random_images(seed)
    found = cleaned(images, weight=weight)
    assert torch.allclose(found.mean((2, 3)), images.mean((2, 3)), atol=1e-4)
    assert energy(found, images, ALL, weight) < energy(images, images, ALL, weight)
    assert images.min() - 1e-2 <= found.min() <= found.max() <= images.max() + 1e-2


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 1), st.floats(0.01, 10), st.sampled_from([0.0, 0.5, 0.9]))
def test_a_flat_image_stays(value: float, weight: float, drop: float) -> None:
    flat = torch.full((1, 3, 6, 7), value)
    assert torch.allclose(cleaned(flat, weight=weight, drop=drop, iterations=20), flat, atol=1e-6)


def test_dropped_values_leave_no_trace() -> None:
    images, others, keep = random_images(3), random_images(4), kept(0.5)
    assert 0.4 < keep.mean() < 0.6
    assert torch.equal(cleaned(images, drop=0.5), cleaned(torch.where(keep > 0, images, others), drop=0.5))
    assert not torch.allclose(cleaned(images, drop=0.5), cleaned(others, drop=0.5), atol=1e-2)


def test_channels_do_not_meet() -> None:
    images = random_images(5)
    assert torch.allclose(cleaned(images.flip(1)), cleaned(images).flip(1), atol=1e-6)
    one = images.clone()
    one[:, 1:] = 0
    assert torch.equal(cleaned(one)[:, 0], cleaned(images)[:, 0])


def test_the_gradient_is_the_identity_s_and_values_are_those_without_one() -> None:
    pixels, weights = random_images(6).requires_grad_(), random_images(7)
    output = cleaned(pixels)
    (gradient,) = torch.autograd.grad((weights * output).sum(), pixels)
    assert torch.equal(gradient, weights)
    assert torch.equal(output.detach(), cleaned(pixels.detach()))


@pytest.mark.parametrize("options", [{"weight": 0}, {"iterations": 0}, {"drop": 1}])
def test_an_option_outside_its_range_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TV(**options)
