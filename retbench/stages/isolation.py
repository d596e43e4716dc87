"""Isolate a component while it runs: nothing that it shares with the core and with other steps may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn

from retbench.contracts import Component
from retbench.contracts.noise import reserve_noise
from retbench.stages.check import contract_breach, describe_component

Input = Tensor | nn.Module | Mapping[str, Tensor] | None
"""An input of a component; None for one that it was not given."""

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@contextmanager
def isolate(component: Component, inputs: Mapping[str, Input], reserved_ids: Sequence[str] = ()) -> Iterator[None]:
    """Raise ContractBreach if the component changes an input or a setting of torch in this block.

    Without this check, an attack could edit the clean images that its perturbation is measured against, and any
    component could change the weights, labels or settings of the steps after it. Inputs are compared by
    checksums, because version counters miss changes through numpy and `.data`, and copies of networks may not fit into
    memory; a tensor on an accelerator is compared with a copy, which is faster than reading it. Settings are restored
    in any case.

    Args:
        component: the component that runs; errors name it.
        inputs: what the component is given, by the name in messages. Of a module, all parameters, buffers and modes
            (training, requires_grad) are compared.
        reserved_ids: ids for which the component must not make its own `Noise` (see `reserve_noise`).

    Raises:
        ContractBreach: the block ended without an exception, but an input or a setting changed.
    """
    settings, before = _read_settings(), _summarize(inputs)
    try:
        with reserve_noise(describe_component(component), reserved_ids):
            yield
    finally:
        changed_settings = [name for name, value in _read_settings().items() if value != settings[name]]
        for name in changed_settings:
            _SETTINGS[name][1](settings[name])
    if changed_settings:
        raise contract_breach(component, f"it changed torch's {changed_settings[0]} and did not restore it")
    after = _summarize(inputs)
    if changed := [name for name, summary in before.items() if after.get(name) != summary]:
        raise contract_breach(component, f"it changed {changed[0]} in place; clone a tensor before you change it")


class _Copy:
    """A private copy of a tensor on its device, equal to another one whose bits are the same."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach().clone()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Copy):
            return False
        mine, others = self.tensor, other.tensor
        if (mine.shape, mine.dtype, mine.device) != (others.shape, others.dtype, others.device):
            return False
        return torch.equal(_view_bits(mine), _view_bits(others))

    __hash__ = None  # type: ignore[assignment]  # compared only


def _summarize(inputs: Mapping[str, Input]) -> dict[str, object]:
    """Return a value for each input that changes with its bits, shapes, types and modes."""
    return {name: _summarize_input(value) for name, value in inputs.items()}


def _summarize_input(value: Input) -> object:
    if value is None:
        return None
    if isinstance(value, Tensor):
        return _Copy(value) if value.device.type != "cpu" else _checksums({"": value})
    if isinstance(value, nn.Module):
        modes = [(name, module.training) for name, module in value.named_modules()]
        tensors = dict([*value.named_parameters(), *value.named_buffers()])
        return modes, [tensor.requires_grad for tensor in tensors.values()], _checksums(tensors)
    return _checksums(value)


def _checksums(tensors: Mapping[str, Tensor]) -> list[tuple[object, ...]]:
    """Return name, shape, type and CRC-32 of each tensor."""
    return [
        (name, tensor.shape, tensor.dtype, crc32(_view_bits(tensor.detach()).cpu().contiguous().numpy().data))
        for name, tensor in tensors.items()
    ]


def _view_bits(tensor: Tensor) -> Tensor:
    """Return a tensor's elements as integers, so that NaN equals NaN, and numpy can read every type."""
    return tensor.view(_INTEGERS[tensor.element_size()])


def _read_settings() -> dict[str, object]:
    return {name: read() for name, (read, _) in _SETTINGS.items()}


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, torch.set_default_device),
    "gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic mode": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    "matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
}
"""The functions that read and restore each setting."""
