"""Classify failures of steps."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import torch

from retbench.errors import (
    ArtifactError,
    ContractBreach,
    PluginError,
    RetbenchError,
    StoreUnwritable,
    TrainingDiverged,
    UserError,
)

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed")
"""Phrases in the errors of PyTorch's, the C library's and cuBLAS's allocators."""


class FailureKind(StrEnum):
    """The classes of failure; only success is stored."""

    OOM = "oom"
    TIMEOUT = "timeout"
    DIVERGED = "diverged"
    DATA = "data_error"
    PLUGIN = "plugin_error"
    INFRA = "infra_error"
    INVALID = "invalid"


class StepTimeout(RetbenchError):
    """A step exceeded the time limit."""


class Failure(NamedTuple):
    """The failure of a step, shared by all steps that depend on it.

    Attributes:
        kind: the class of the failure.
        reason: the error in one line.
        step: the stage and label of the failed step.
    """

    kind: FailureKind
    reason: str
    step: str


def classify(error: BaseException) -> FailureKind:
    """Return the class of an error that a step raised."""
    if isinstance(error, ContractBreach):
        return FailureKind.INVALID
    if isinstance(error, StepTimeout):
        return FailureKind.TIMEOUT
    if isinstance(error, TrainingDiverged):
        return FailureKind.DIVERGED
    if isinstance(error, UserError) and not isinstance(error, PluginError | StoreUnwritable):
        return FailureKind.DATA
    if _is_out_of_memory(error):
        return FailureKind.OOM
    if isinstance(error, OSError | ArtifactError) and not isinstance(error, PluginError | StoreUnwritable):
        return FailureKind.INFRA
    return FailureKind.PLUGIN


def _is_out_of_memory(error: BaseException) -> bool:
    message = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(phrase in message for phrase in OUT_OF_MEMORY)
    )
