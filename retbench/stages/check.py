"""Check the tensors that components return."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, cast

import torch
from torch import Tensor

from retbench.canon import Json, canonical
from retbench.contracts import Ball, Component, State
from retbench.contracts.tensors import check_shape, check_tensor, contract_breach

ROUNDING = 1e-5
"""The largest excess over a range or a ball that counts as rounding and is projected; more is a breach."""
RECORD_PREFIX = "record/"
"""The prefix of recorded images among an artifact's tensors; no name in a state may start with it."""
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
STATE_DTYPES = (*FLOATS, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
"""Types of numbers that artifacts store."""


def check_outputs(
    value: object, component: Component, what: str, shape: tuple[int | None, ...], device: torch.device
) -> Tensor:
    """Return a copy of the outputs of a network as float32, after checking type, shape and finiteness.

    A copy, because the network may fill and return the same tensor at its next call.

    Args:
        value: the value that the network returned.
        component: the component that errors name.
        what: a description for errors, such as `logits`.
        shape: the expected sizes; None for any.
        device: the device of the network's inputs.

    Raises:
        ContractBreach: a check failed.
    """
    outputs = check_tensor(value, component, what, FLOATS, device)
    check_shape(outputs, component, what, shape)
    if not torch.isfinite(outputs).all():
        raise contract_breach(component, f"NaN or infinity in the {what}")
    return outputs.to(torch.float32, copy=True)


def check_state(state: object, component: Component, roles: Collection[str] = ()) -> State:
    """Return the state of a fit without graphs, after checking that it is a dictionary of finite tensors.

    Args:
        state: the value that `fit` returned.
        component: the component that errors name.
        roles: the roles of its parts, if their states will be added to this one under `<role>/<name>`.

    Raises:
        ContractBreach: a check failed.
    """
    if not isinstance(state, dict):
        raise contract_breach(component, f"fit must return a dictionary of tensors: got {type(state).__name__}")
    where = "the state that fit returned"
    for name in state:
        if expected := _expected_name(name, roles):
            raise contract_breach(component, f"wrong name in {where}: got {name!r}, expected {expected}")
    checked = {
        name: check_tensor(tensor, component, f"{name} in {where}", STATE_DTYPES, _device_of(tensor))
        for name, tensor in state.items()
    }
    if infinite := sorted(name for name, tensor in checked.items() if not torch.isfinite(tensor).all()):
        raise contract_breach(component, f"fit returned NaN or infinity in {', '.join(infinite[:3])}")
    return checked


def _expected_name(name: object, roles: Collection[str]) -> str | None:
    """Return what was expected in place of a name in a state, or None if it is a valid one."""
    if type(name) is not str or not name:
        return "a text"
    reserved = [RECORD_PREFIX, *(f"{role}/" for role in roles)]
    return next((f"a text that does not start with {start}" for start in reserved if name.startswith(start)), None)


def check_record(name: object, value: Any, component: Component) -> Json | Tensor:
    """Return a copy of a value that a component records: an image uint8 (3, H, W) on the CPU, or JSON.

    Raises:
        ContractBreach: the name is no text, or the value is neither.
    """
    if type(name) is not str or not name:
        raise contract_breach(component, f"wrong name of a record: got {name!r}, expected a text")
    if isinstance(value, Tensor):
        image = check_tensor(value, component, f"the record {name}", (torch.uint8,), _device_of(value))
        check_shape(image, component, f"the record {name}", (3, None, None))
        return image.to("cpu", copy=True)
    return check_json(value, component, f"the record {name}")


def check_json(value: Any, component: Component, what: str) -> Json:
    """Return a copy of a JSON value without NaN and infinity.

    Raises:
        ContractBreach: the value is anything else, such as a tensor or a numpy number.
    """
    try:
        return cast(Json, json.loads(canonical(value)))
    except (TypeError, ValueError) as error:
        raise contract_breach(component, f"{what} must be JSON with finite numbers: {error}") from None


def _device_of(value: object) -> torch.device:
    """Return the device of a state's tensor; any one that has numbers will do, because a copy on the CPU is stored."""
    return value.device if isinstance(value, Tensor) and not value.is_meta else torch.device("cpu")


def check_images(images: object, reference: Tensor, component: Component) -> Tensor:
    """Return a clamped copy of `images`, in [0, 1], after checking type, shape, dtype, finiteness and range.

    Args:
        images: the value that the component returned.
        reference: float32 (B, 3, H, W), the images that the component was given.
        component: the component that errors name.

    Raises:
        ContractBreach: a check failed.
    """
    images = check_tensor(images, component, "images", (torch.float32,), reference.device)
    check_shape(images, component, "images", tuple(reference.shape))
    if not torch.isfinite(images).all():
        raise contract_breach(component, f"NaN or infinity in {int((~torch.isfinite(images)).sum())} pixels")
    if images.numel() and (images.min() < -ROUNDING or images.max() > 1 + ROUNDING):
        low, high = float(images.min()), float(images.max())
        raise contract_breach(component, f"out of range: got [{low:.6g}, {high:.6g}], expected [0, 1]")
    return images.clamp(0, 1)


def project_into_ball(images: Tensor, clean: Tensor, ball: Ball | None, component: Component) -> Tensor:
    """Return `images` projected into the declared ball around `clean`, to remove rounding errors.

    Raises:
        ContractBreach: an image is farther than eps + 1e-5 from its clean one.
    """
    if ball is None or not images.numel():
        return images
    delta = images - clean
    distance = perturbation_norm(delta, ball)
    largest = float(distance.max())
    if largest > ball.eps + ROUNDING:
        raise contract_breach(
            component, f"outside its {ball.norm} ball: got a distance of {largest:.6g}, expected at most {ball.eps:.6g}"
        )
    if ball.norm == "linf":
        return (clean + delta.clamp(-ball.eps, ball.eps)).clamp(0, 1)
    scale = (ball.eps / distance.clamp(min=1e-12)).clamp(max=1.0)
    return clean + delta * scale[:, None, None, None]


def perturbation_norm(delta: Tensor, ball: Ball) -> Tensor:
    """Return the norm of each perturbation in the ball's norm: (B, 3, H, W) to float32 (B,)."""
    flat = delta.flatten(1)
    return flat.abs().amax(1) if ball.norm == "linf" else flat.norm(dim=1)


def quantize_images(images: Tensor, clean: Tensor | None = None) -> Tensor:
    """Return `images` rounded to 8-bit values.

    With `clean`, which has 8-bit values itself, every pixel is rounded towards it, so that an image stays in its ball.
    """
    if clean is None:
        return (images * 255).round() / 255
    steps = torch.trunc((images - clean) * 255 + torch.sign(images - clean) * 255 * ROUNDING)
    return ((clean * 255).round() + steps).clamp(0, 255) / 255
