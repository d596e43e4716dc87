"""Check the tensors that components return."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import torch
from torch import Tensor, nn

from retbench.contracts.component import Component
from retbench.errors import ContractBreach


def check_tensor(
    value: object, component: Component, what: str, dtypes: Collection[torch.dtype], device: torch.device
) -> Tensor:
    """Return a tensor without its graph, after checking that it is a plain one.

    Tensors of other classes may compute in another way, and nested, sparse, quantized or complex ones lose information
    when they are stored or compared. A parameter becomes a tensor.

    Args:
        value: the value that the component returned.
        component: the component that errors name.
        what: a description for errors, such as `logits`.
        dtypes: the accepted types.
        device: the device on which the component had its inputs.

    Raises:
        ContractBreach: a check failed.
    """
    if type(value) not in (Tensor, nn.Parameter):
        raise contract_breach(component, f"wrong type of {what}: got {type(value).__name__}, expected a tensor")
    tensor = cast(Tensor, value).detach()
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        kind = "a quantized tensor" if tensor.is_quantized else "a nested tensor" if tensor.is_nested else tensor.layout
        raise contract_breach(component, f"wrong layout of {what}: got {kind}, expected a dense tensor")
    if tensor.dtype not in dtypes:
        expected = " or ".join(str(dtype) for dtype in dtypes)
        raise contract_breach(component, f"wrong dtype of {what}: got {tensor.dtype}, expected {expected}")
    if tensor.device != device:
        raise contract_breach(component, f"{what} on another device: got {tensor.device}, expected {device}")
    return tensor


def check_shape(tensor: Tensor, component: Component, what: str, shape: tuple[int | None, ...]) -> None:
    """Raise ContractBreach unless a tensor has these sizes; None stands for any size."""
    sizes = tuple(tensor.shape)
    if len(sizes) != len(shape) or any(size not in (got, None) for got, size in zip(sizes, shape, strict=True)):
        comma = "," if len(shape) == 1 else ""
        expected = f"({', '.join('any' if size is None else str(size) for size in shape)}{comma})"
        raise contract_breach(component, f"wrong shape of {what}: got {sizes}, expected {expected}")


def contract_breach(component: Component, problem: str) -> ContractBreach:
    """Return the error for a component that broke its contract; it names the component and its package."""
    return ContractBreach(describe_component(component), problem)


def describe_component(component: Component) -> str:
    """Return kind, name and package of a component, for messages."""
    return f"{component} (package {type(component).__module__.partition('.')[0]})"
