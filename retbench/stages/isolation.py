"""Isolate a component while it runs: nothing that it shares with the core and with other steps may change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn

from retbench.contracts import Component
from retbench.contracts.noise import reserve_noise
from retbench.contracts.tensors import contract_breach, describe_component

Input = Tensor | nn.Module | Mapping[str, Tensor] | None
"""An input of a component; None for one that it was not given."""

_DENORMAL = 5e-324
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_BLOCK = 1 << 20
"""Elements of a checksum on an accelerator that are computed at once; 16 MB of memory."""


@contextmanager
def isolate(component: Component, inputs: Mapping[str, Input], reserved_ids: Sequence[str] = ()) -> Iterator[None]:
    """Raise ContractBreach if the component changes an input or a setting of the process in this block.

    Without this check, an attack could edit the clean images that its perturbation is measured against, and any
    component could change the weights, labels or settings of the steps after it. Inputs are compared by
    checksums, because version counters miss changes through numpy and `.data`, and copies of networks may not fit into
    memory. Settings are restored in any case.

    Networks are built, and states and batches read, anew for every step, so a change never reaches another step. Not
    found are changes that are undone before the block ends, attributes of a network that are no parameters, buffers or
    modes, and code that circumvents Python's and torch's interfaces.

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
        raise contract_breach(component, f"it changed {changed_settings[0]} and did not restore it")
    after = _summarize(inputs)
    if changed := [name for name, summary in before.items() if after.get(name) != summary]:
        raise contract_breach(component, f"it changed {changed[0]} in place; clone a tensor before you change it")


def _summarize(inputs: Mapping[str, Input]) -> dict[str, object]:
    """Return a value for each input that changes with its bits, shapes, types and modes."""
    return {name: _summarize_input(value) for name, value in inputs.items()}


def _summarize_input(value: Input) -> object:
    if value is None:
        return None
    if isinstance(value, Tensor):
        return _checksums({"": value})
    if isinstance(value, nn.Module):
        modes = [(name, module.training) for name, module in value.named_modules()]
        tensors = dict([*value.named_parameters(), *value.named_buffers()])
        return modes, [tensor.requires_grad for tensor in tensors.values()], _checksums(tensors)
    return _checksums(value)


def _checksums(tensors: Mapping[str, Tensor]) -> list[tuple[object, ...]]:
    """Return name, shape, type and checksum of each tensor."""
    plain = {name: tensor.detach() for name, tensor in tensors.items()}
    sums = {name: weighted_sum(tensor) for name, tensor in plain.items() if tensor.device.type != "cpu"}
    numbers = dict(zip(sums, torch.stack([*sums.values()]).tolist(), strict=True)) if sums else {}  # one transfer
    for name in plain.keys() - sums.keys():
        numbers[name] = crc32(_view_bits(plain[name]).contiguous().numpy().data)
    return [(name, tensor.shape, tensor.dtype, numbers[name]) for name, tensor in plain.items()]


def weighted_sum(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor's bits, as integers, times odd random weights, modulo 2^64: an int64 on its device.

    Any change of one element changes the sum, because an odd number can be inverted modulo 2^64. It is a checksum for
    accelerators, which read a network faster than it can be copied to the CPU.
    """
    bits = _view_bits(tensor).reshape(-1)
    total = torch.zeros((), dtype=torch.int64, device=tensor.device)
    for start in range(0, len(bits), _BLOCK):
        block = bits[start : start + _BLOCK]
        total = total * 3 + (block * _odd_weights(tensor.device)[: len(block)]).sum()
    return total


@lru_cache(maxsize=8)
def _odd_weights(device: torch.device) -> Tensor:
    weights = torch.randint(-(2**62), 2**62, (_BLOCK,), generator=torch.Generator().manual_seed(0)) * 2 + 1
    return weights.to(device)


def _view_bits(tensor: Tensor) -> Tensor:
    """Return a tensor's elements as integers, so that NaN equals NaN, and numpy can read every type."""
    return tensor.view(_INTEGERS[tensor.element_size()])


def _read_settings() -> dict[str, object]:
    return {name: read() for name, (read, _) in _SETTINGS.items()}


def _restore_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)  # the CPU by name slows every call of torch


def _read_autocast() -> list[tuple[str, bool, torch.dtype]]:
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return [(device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)) for device in devices]


def _restore_autocast(states: list[tuple[str, bool, torch.dtype]]) -> None:
    for device, enabled, dtype in states:
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)


def _read_determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _read_cudnn() -> tuple[bool, bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32


def _restore_cudnn(values: tuple[bool, bool, bool, bool]) -> None:
    cudnn = torch.backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = values


def _flushes_denormals() -> bool:
    """Return whether the processor takes denormal numbers for 0, which torch can set and does not show."""
    return _DENORMAL == 0.0


def _read_folder() -> str | None:
    """Return the working folder, on which relative paths of data and stores depend; None if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _restore_folder(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, _restore_device),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's autocast": (_read_autocast, _restore_autocast),
    "torch's anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's deterministic mode": (
        _read_determinism,
        lambda values: torch.use_deterministic_algorithms(values[0], warn_only=values[1]),
    ),
    "torch's matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "torch's settings of cuDNN": (_read_cudnn, _restore_cudnn),
    "torch's treatment of denormal numbers": (_flushes_denormals, torch.set_flush_denormal),
    "the working folder": (_read_folder, _restore_folder),
}
"""The functions that read and restore each setting."""
