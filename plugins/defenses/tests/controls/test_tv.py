import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from retbench_defenses.controls.tv import TV
from torch import Tensor, nn

from retbench import Noise

NOISE = Noise(0, ("query",))
KEEP_ALL = torch.ones(1, 3, 12, 10)


def purify(images: Tensor, **options: object) -> Tensor:
    return TV(**options).purify(images, nn.Module(), NOISE)


def random_images(seed: int) -> Tensor:
    return torch.rand(1, 3, 12, 10, generator=torch.Generator().manual_seed(seed))


def keep_mask(drop: float) -> Tensor:
    return (NOISE.uniform("tv", (3, 12, 10)) >= drop).float()


def energy(image: Tensor, values: Tensor, keep: Tensor, weight: float, smoothing: float = 0.0) -> Tensor:
    """Return the energy by its definition; `smoothing` makes the square root differentiable at 0."""
    down, right = torch.zeros_like(image), torch.zeros_like(image)
    down[:, :, :-1] = image[:, :, 1:] - image[:, :, :-1]
    right[:, :, :, :-1] = image[:, :, :, 1:] - image[:, :, :, :-1]
    lengths = (down**2 + right**2 + smoothing**2).sqrt()
    return (keep * (image - values) ** 2).sum() / 2 + weight * lengths.sum()


def minimize_by_lbfgs(values: Tensor, keep: Tensor, weight: float) -> Tensor:
    """Return the minimizer by another method: LBFGS in float64, with the smoothing reduced step by step."""
    values, keep = values.double(), keep.double()
    image = torch.full_like(values, 0.5).requires_grad_()
    for smoothing in (1e-1, 1e-2, 1e-3, 1e-4):
        optimizer = torch.optim.LBFGS([image], max_iter=60, tolerance_change=1e-14, line_search_fn="strong_wolfe")

        def loss(smoothing: float = smoothing, optimizer: torch.optim.LBFGS = optimizer) -> Tensor:
            optimizer.zero_grad()
            value = energy(image, values, keep, weight, smoothing)
            value.backward()
            return value

        optimizer.step(loss)
    return image.detach()


def test_the_two_sides_of_an_edge_move_by_weight_over_length() -> None:
    edge = torch.cat([torch.full((1, 3, 5, 6), 0.2), torch.full((1, 3, 5, 10), 0.8)], dim=3)
    expected = torch.cat([torch.full((1, 3, 5, 6), 0.2 + 0.1 / 6), torch.full((1, 3, 5, 10), 0.8 - 0.1 / 10)], dim=3)
    assert torch.allclose(purify(edge, weight=0.1, iterations=1000), expected, atol=1e-4)
    assert torch.allclose(purify(edge.mT, weight=0.1, iterations=1000), expected.mT, atol=1e-4)
    assert torch.allclose(purify(edge, weight=0.1), expected, atol=2e-3)


def test_a_large_weight_gives_the_mean_of_each_channel() -> None:
    images = random_images(0)
    flat = images.mean((2, 3), keepdim=True).expand_as(images)
    assert torch.allclose(purify(images, weight=10.0, iterations=5000), flat, atol=1e-4)


@pytest.mark.parametrize("drop", [0.0, 0.5])
@pytest.mark.parametrize("weight", [0.03, 0.1])
def test_the_minimum_equals_that_of_another_solver(weight: float, drop: float) -> None:
    images, keep = random_images(1), keep_mask(drop)
    expected = minimize_by_lbfgs(images, keep, weight)
    lowest = energy(expected, images.double(), keep.double(), weight)
    minimizer = purify(images, weight=weight, drop=drop, iterations=2000)
    assert torch.isclose(energy(minimizer.double(), images.double(), keep.double(), weight), lowest, rtol=2e-4)
    if not drop:  # only then is the minimizer unique
        assert torch.allclose(minimizer.double(), expected, atol=3e-3)


def test_the_default_iterations_reach_almost_the_minimum() -> None:
    ramp = torch.linspace(0.1, 0.9, 64).expand(1, 3, 64, 64)
    image = ramp + 0.05 * NOISE.normal("picture", (3, 64, 64))
    short, long = (
        energy(purify(image, iterations=iterations), image, torch.ones_like(image), 0.1) for iterations in (100, 3000)
    )
    assert short / long < 1.001  # without the acceleration it is 1.0015


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.floats(0.01, 1))
def test_the_mean_is_kept_and_the_energy_decreases(seed: int, weight: float) -> None:
    images = random_images(seed)
    output = purify(images, weight=weight)
    assert torch.allclose(output.mean((2, 3)), images.mean((2, 3)), atol=1e-4)
    assert energy(output, images, KEEP_ALL, weight) < energy(images, images, KEEP_ALL, weight)
    assert images.min() - 1e-2 <= output.min() <= output.max() <= images.max() + 1e-2


@settings(max_examples=20)
@given(st.floats(0, 1), st.floats(0.01, 10), st.sampled_from([0.0, 0.5, 0.9]))
def test_a_flat_image_is_kept(value: float, weight: float, drop: float) -> None:
    flat = torch.full((1, 3, 6, 7), value)
    assert torch.allclose(purify(flat, weight=weight, drop=drop, iterations=20), flat, atol=1e-6)


def test_the_result_does_not_depend_on_dropped_values() -> None:
    images, others, keep = random_images(3), random_images(4), keep_mask(0.5)
    assert 0.4 < keep.mean() < 0.6
    assert torch.equal(purify(images, drop=0.5), purify(torch.where(keep > 0, images, others), drop=0.5))
    assert not torch.allclose(purify(images, drop=0.5), purify(others, drop=0.5), atol=1e-2)


def test_channels_do_not_affect_each_other() -> None:
    images = random_images(5)
    assert torch.allclose(purify(images.flip(1)), purify(images).flip(1), atol=1e-6)
    only_red = images.clone()
    only_red[:, 1:] = 0
    assert torch.equal(purify(only_red)[:, 0], purify(images)[:, 0])


def test_the_gradient_is_that_of_the_identity_and_does_not_change_the_values() -> None:
    pixels, weights = random_images(6).requires_grad_(), random_images(7)
    output = purify(pixels)
    (gradient,) = torch.autograd.grad((weights * output).sum(), pixels)
    assert torch.equal(gradient, weights)
    assert torch.equal(output.detach(), purify(pixels.detach()))


@pytest.mark.parametrize("options", [{"weight": 0}, {"iterations": 0}, {"drop": 1}])
def test_an_option_outside_its_range_is_an_error(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TV(**options)
