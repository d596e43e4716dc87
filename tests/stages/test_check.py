"""Checks of the images that plugins return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from retbench.contracts import Ball
from retbench.contracts.threat import Norm
from retbench.errors import ContractBreach
from retbench.stages.check import (
    FLOATS,
    STATE_DTYPES,
    check_images,
    check_outputs,
    check_record,
    check_state,
    perturbation_norm,
    project_into_ball,
    quantize_images,
)
from retbench.testing.toys import ToyAttack, ToyHasher, ToyPurifier

SHAPE = (2, 3, 4, 4)
NORMS: tuple[Norm, ...] = ("linf", "l2")


def gray(level: float = 0.5) -> Tensor:
    return torch.full(SHAPE, level)


def eight_bit_images(seed: int) -> Tensor:
    return torch.randint(256, SHAPE, generator=torch.Generator().manual_seed(seed)) / 255


def perturb(clean: Tensor, ball: Ball, seed: int) -> Tensor:
    """Return images on the surface of the ball, with the largest rounding error that is accepted."""
    delta = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
    delta = delta.sign() if ball.norm == "linf" else delta / delta.flatten(1).norm(dim=1)[:, None, None, None]
    return (clean + delta * (ball.eps + 9e-6)).clamp(-9e-6, 1 + 9e-6)


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (gray() * float("nan"), "NaN or infinity in 96 pixels"),
        (gray() / 0, "NaN or infinity in 96 pixels"),
        (gray()[:, :, 1:], r"wrong shape of images: got \(2, 3, 3, 4\), expected \(2, 3, 4, 4\)"),
        (gray().double(), "wrong dtype of images: got torch.float64, expected torch.float32"),
        (gray(1.00002), r"out of range: got \[1.00002, 1.00002\], expected \[0, 1\]"),
        (gray(-0.00002), "out of range"),
        (gray().tolist(), "wrong type of images: got list, expected a tensor"),
    ],
    ids=["nan", "inf", "shape", "dtype", "above", "below", "type"],
)
def test_the_error_of_invalid_images_names_component_and_package(images: Any, problem: str) -> None:
    with pytest.raises(ContractBreach, match=rf"^defense toy \(package retbench\): {problem}"):
        check_images(images, gray(), ToyPurifier())


def test_rounding_errors_outside_the_range_are_clamped() -> None:
    images = torch.cat([gray(-9e-6), gray(1 + 9e-6)])
    checked = check_images(images, images, ToyAttack())
    assert checked.min() == 0
    assert checked.max() == 1


def test_checked_images_have_no_gradient() -> None:
    assert not check_images(gray().requires_grad_(), gray(), ToyAttack()).requires_grad


@pytest.mark.parametrize("norm", NORMS)
def test_a_distance_beyond_ball_and_rounding_is_a_contract_breach(norm: Norm) -> None:
    clean, ball = gray(), Ball(norm, 0.1)
    images = clean.clone()
    images[1, 0, 0, 0] += 0.1 + 2e-5
    with pytest.raises(
        ContractBreach, match=rf"^attack toy \(package retbench\): outside its {norm} ball: got a distance of 0.10002"
    ):
        project_into_ball(images, clean, ball, ToyAttack())


@given(norm=st.sampled_from(NORMS), eps=st.floats(1e-3, 1), seed=st.integers(0, 1000), clean=st.integers(0, 1000))
def test_rounding_errors_are_projected_into_ball_and_range(norm: Norm, eps: float, seed: int, clean: int) -> None:
    ball, queries = Ball(norm, eps), eight_bit_images(clean)
    images = project_into_ball(
        check_images(perturb(queries, ball, seed), queries, ToyAttack()), queries, ball, ToyAttack()
    )
    assert float(perturbation_norm(images - queries, ball).max()) <= eps + 2e-7
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1


@given(norm=st.sampled_from(NORMS), share=st.floats(0, 0.999), seed=st.integers(0, 1000))
def test_images_inside_the_ball_do_not_change(norm: Norm, share: float, seed: int) -> None:
    clean = eight_bit_images(seed)
    images = (clean + share * (perturb(clean, Ball(norm, 0.2), seed) - clean)).clamp(0, 1)
    assert torch.allclose(project_into_ball(images, clean, Ball(norm, 0.2), ToyAttack()), images, rtol=0, atol=1e-7)


def test_an_attack_without_a_ball_has_no_limit() -> None:
    assert torch.equal(project_into_ball(gray(1.0), gray(0.0), None, ToyAttack()), gray(1.0))


@given(norm=st.sampled_from(NORMS), eps=st.floats(1e-3, 1), seed=st.integers(0, 1000), clean=st.integers(0, 1000))
def test_quantized_images_have_8_bit_values_inside_the_ball(norm: Norm, eps: float, seed: int, clean: int) -> None:
    ball, queries = Ball(norm, eps), eight_bit_images(clean)
    images = project_into_ball(
        check_images(perturb(queries, ball, seed), queries, ToyAttack()), queries, ball, ToyAttack()
    )
    rounded = quantize_images(images, queries)
    assert torch.equal(rounded, (rounded * 255).round() / 255)
    assert float(perturbation_norm(rounded - queries, ball).max()) <= eps + 1e-5


@pytest.mark.parametrize("levels", [8, 16])
def test_quantizing_keeps_changes_by_whole_gray_levels(levels: int) -> None:
    clean = torch.arange(240)[:, None, None, None].expand(-1, 3, 4, 4) / 255
    assert torch.allclose(quantize_images(clean + levels / 255, clean) - clean, torch.tensor(levels / 255))


def test_images_without_clean_ones_are_rounded_to_nearest() -> None:
    images = torch.tensor([0.4, 0.6, 254.7]) / 255
    assert torch.equal(quantize_images(images), torch.tensor([0.0, 1.0, 255.0]) / 255)


def test_empty_batches_are_accepted() -> None:
    empty = torch.zeros(0, 3, 4, 4)
    checked = project_into_ball(check_images(empty, empty, ToyAttack()), empty, Ball("l2", 0.1), ToyAttack())
    assert quantize_images(checked, empty).shape == quantize_images(checked).shape == (0, 3, 4, 4)


class LoggingTensor(torch.Tensor):
    """A tensor of another class."""


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([1.0], "wrong type of weight in the state that fit returned: got list, expected a tensor"),
        (torch.ones(2).as_subclass(LoggingTensor), "wrong type of weight .* got LoggingTensor, expected a tensor"),
        (torch.eye(2).to_sparse(), "wrong layout of weight .* got torch.sparse_coo, expected a dense tensor"),
        (torch.ones(2, dtype=torch.complex64), "wrong dtype of weight .* got torch.complex64, expected torch.float64"),
        (torch.ones(2, device="meta"), "weight in the state that fit returned on another device: got meta"),
        (torch.tensor([1.0, float("nan")]), "fit returned NaN or infinity in weight"),
    ],
    ids=["list", "subclass", "sparse", "complex", "meta", "nan"],
)
def test_a_state_with_anything_but_plain_finite_tensors_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(ContractBreach, match=problem):
        check_state({"weight": value}, ToyHasher())


@pytest.mark.parametrize("name", ["", "record/curve", 1, None])
def test_a_state_with_another_name_is_refused(name: Any) -> None:
    with pytest.raises(ContractBreach, match="wrong name in the state that fit returned: got"):
        check_state({name: torch.ones(1)}, ToyHasher())


def test_a_name_of_a_part_is_refused_where_the_state_of_the_part_is_added() -> None:
    state = {"prior/weight": torch.ones(1), "priority": torch.ones(1), "prior": torch.ones(1)}
    assert check_state(state, ToyHasher()).keys() == state.keys()
    problem = "wrong name in the state that fit returned: got 'prior/weight', expected a text that does not start with"
    with pytest.raises(ContractBreach, match=f"{problem} prior/"):
        check_state(state, ToyAttack(), {"prior": "key"})


@given(st.sampled_from(STATE_DTYPES), st.integers(0, 3))
def test_a_state_of_plain_tensors_is_returned_without_graphs(dtype: torch.dtype, count: int) -> None:
    state = {"a": torch.ones(count).to(dtype), "b": torch.nn.Parameter(torch.ones(count)), "c": torch.ones(count)}
    state["view"] = state["b"][:1] * 2
    checked = check_state(state, ToyHasher())
    assert checked.keys() == state.keys()
    assert not any(tensor.requires_grad for tensor in checked.values())
    assert all(torch.equal(checked[name], tensor.detach()) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "wrong type of logits: got NoneType, expected a tensor"),
        (torch.ones(2, 3, dtype=torch.int64), "wrong dtype of logits: got torch.int64, expected torch.float64 or"),
        (torch.ones(3, 3), r"wrong shape of logits: got \(3, 3\), expected \(2, any\)"),
        (torch.ones(2), r"wrong shape of logits: got \(2,\), expected \(2, any\)"),
        (torch.ones(2, 3) / 0, "NaN or infinity in the logits"),
        (torch.ones(2, 3, device="meta"), "logits on another device: got meta, expected cpu"),
    ],
    ids=["none", "integers", "rows", "rank", "infinite", "device"],
)
def test_invalid_outputs_of_a_network_are_refused(value: Any, problem: str) -> None:
    with pytest.raises(ContractBreach, match=problem):
        check_outputs(value, ToyHasher(), "logits", (2, None), torch.device("cpu"))


@pytest.mark.parametrize("dtype", FLOATS)
def test_outputs_of_any_precision_become_float32(dtype: torch.dtype) -> None:
    outputs = torch.ones(0, 4, dtype=dtype, requires_grad=True)
    checked = check_outputs(outputs, ToyHasher(), "logits", (0, 4), torch.device("cpu"))
    assert checked.dtype == torch.float32
    assert not checked.requires_grad


def test_checked_images_are_a_copy() -> None:
    images = gray()
    checked = check_images(images, gray(), ToyPurifier())
    images.zero_()
    assert torch.equal(checked, gray())


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("", [1.0], "wrong name of a record: got ''"),
        (1, [1.0], "wrong name of a record: got 1"),
        ("curve", [float("nan")], "the record curve must be JSON with finite numbers"),
        ("curve", {1: 2}, "the record curve must be JSON"),
        ("curve", np.float32(1), "the record curve must be JSON"),
        ("image", torch.ones(3, 4, 4), "wrong dtype of the record image: got torch.float32, expected torch.uint8"),
        (
            "image",
            torch.ones(1, 4, 4).byte(),
            r"wrong shape of the record image: got \(1, 4, 4\)",
        ),
    ],
)
def test_a_record_is_an_image_or_json(name: Any, value: Any, problem: str) -> None:
    with pytest.raises(ContractBreach, match=problem):
        check_record(name, value, ToyHasher())


def test_a_record_is_a_copy() -> None:
    curve, image = [1.0, 2.0], torch.zeros(3, 2, 2, dtype=torch.uint8)
    records = check_record("curve", curve, ToyHasher()), check_record("image", image, ToyHasher())
    curve.append(3.0)
    image.add_(1)
    assert records[0] == [1.0, 2.0]
    assert torch.equal(torch.as_tensor(records[1]), torch.zeros(3, 2, 2, dtype=torch.uint8))
