"""What this machine computes on, and how exactly."""

from __future__ import annotations

import platform
import resource
from pathlib import Path
from typing import Literal

import torch

from retbench.canon import Json
from retbench.contracts.context import Precision
from retbench.errors import UserError

CONTROL_GROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may use."""


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; `auto` is the accelerator where there is one. Raises UserError."""
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device: this machine cannot use it: got {name!r}: {reason}") from None
    return device


def resolve_precision(wanted: Literal["auto", "float32", "bf16"], device: torch.device) -> Precision:
    """Return the precision that networks run in; `auto` is bf16 where the device multiplies it in hardware."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bf16" if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else "float32"


def environment(device: torch.device) -> dict[str, Json]:
    """Return what a number may hang on besides its recipe."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": device.type,
        "device_name": name,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that this process may still take on `device`; None where the system does not say."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept  # torch gives what it keeps back to itself
    found = [_available_memory(), _memory_below_limit()] if device.type == "cpu" else []
    return min((bytes_ for bytes_ in found if bytes_ is not None), default=None)


def _available_memory() -> int | None:
    """Return what Linux counts as available."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _memory_below_limit() -> int | None:
    """Return what is left below the limit of a container, where it has one; cached files make room when asked to."""
    try:
        names = ("memory.max", "memory.current", "memory.stat")
        limit, used, stat = ((CONTROL_GROUP / name).read_text().strip() for name in names)
    except OSError:
        return None
    cached = next((int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file ")), 0)
    return int(limit) - int(used) + cached if limit.isdigit() else None


def reset_peak(device: torch.device) -> None:
    """Starts measuring peak memory anew, where the device can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Return bytes: the device's peak since `reset_peak`; on a CPU the process's peak since it started."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
