"""The settings of a process that components share: what one of them changes is restored and named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from retbench.contracts.component import Component
from retbench.contracts.tensors.returned import contract_breach

_DENORMAL = 5e-324


@contextmanager
def keep_settings(component: Component) -> Iterator[None]:
    """Restore the settings of torch and the working folder after this block.

    Args:
        component: the component that runs; errors name it.

    Raises:
        ContractBreach: the block ended without an exception, but had changed a setting.
    """
    before = _read_settings()
    try:
        yield
    finally:
        changed = [name for name, value in _read_settings().items() if value != before[name]]
        for name in changed:
            _SETTINGS[name][1](before[name])
    if changed:
        raise contract_breach(component, f"it changed {changed[0]} and did not restore it")


def _read_settings() -> dict[str, object]:
    return {name: read() for name, (read, _) in _SETTINGS.items()}


def _restore_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)  # the CPU by name slows every call of torch


def _read_autocast() -> tuple[int, bool, list[tuple[str, bool, torch.dtype]]]:
    """Return the number of open blocks of autocast, whether it caches weights, and the state of each device."""
    torch.autocast_increment_nesting()
    depth = torch.autocast_decrement_nesting()
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    states = [(device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)) for device in devices]
    return depth, torch.is_autocast_cache_enabled(), states


def _restore_autocast(before: tuple[int, bool, list[tuple[str, bool, torch.dtype]]]) -> None:
    depth, caches, states = before
    for device, enabled, dtype in states:
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)
    torch.set_autocast_cache_enabled(caches)
    while (open_blocks := _read_autocast()[0]) != depth:
        torch.autocast_decrement_nesting() if open_blocks > depth else torch.autocast_increment_nesting()
    torch.clear_autocast_cache()  # a block that never ends keeps the weights of the first step in low precision


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
