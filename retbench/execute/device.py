"""Choose the device and the precision of a run, and measure memory."""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from retbench.canon import Json
from retbench.contracts.context import Precision
from retbench.errors import UserError, option_name

CONTROL_GROUP = Path("/sys/fs/cgroup")
"""Where Linux records the memory limit of a container."""


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; `auto` is the accelerator, or the CPU without one. Raises UserError."""
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        expected = "expected auto, cpu, cuda or cuda:N"
        raise UserError(f"{option_name('device')}: unknown device: got {name!r}, {expected}") from None
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        unsupported = isinstance(error, NotImplementedError)
        reason = "torch does not support it here" if unsupported else str(error).splitlines()[0].partition(". ")[0]
        raise UserError(
            f"{option_name('device')}: not usable on this machine: got {name!r}: {reason}; use auto or cpu"
        ) from None
    return device


def resolve_precision(requested: Literal["auto", "float32", "bf16"], device: torch.device) -> Precision:
    """Return the precision of networks; `auto` is bf16 if the device has hardware for it, else float32."""
    if requested != "auto":
        return requested
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bf16" if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else "float32"


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute convolutions and matrix products of float32 tensors in float32 for the block.

    By default torch rounds the inputs of convolutions to TF32 on NVIDIA GPUs, which leaves 10 of the 23 bits of a
    mantissa; attacks run in float32 because signs of gradients depend on the last bits. A user's settings are restored.
    """
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


def environment(device: torch.device) -> dict[str, Json]:
    """Return what the rounding errors of a result may depend on: device, versions, and threads, which split sums.

    `cpu_capability` is the instruction set that torch uses on a CPU, such as AVX2; empty on another device.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": device.type,
        "device_name": name,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else "",
    }


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that this process can still allocate on `device`; None if unknown."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached  # torch can allocate from its own cache
    limits = [_available_memory(), _memory_below_limit()] if device.type == "cpu" else []
    return min((limit for limit in limits if limit is not None), default=None)


def _available_memory() -> int | None:
    """Return the available memory as Linux counts it; None on other systems."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _memory_below_limit() -> int | None:
    """Return the memory left below a container's limit, None without one; cached files count as free."""
    try:
        names = ("memory.max", "memory.current", "memory.stat")
        limit, used, stat = ((CONTROL_GROUP / name).read_text().strip() for name in names)
    except OSError:
        return None
    cached = next((int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file ")), 0)
    return int(limit) - int(used) + cached if limit.isdigit() else None


def reset_peak(device: torch.device) -> None:
    """Restart the measurement of peak memory if the device supports it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: of the device since `reset_peak`, on a CPU of the process since its start."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
