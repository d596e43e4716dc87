"""Why a step failed, and whether trying again makes sense."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import torch

from retbench.errors import ArtifactError, ContractBreach, PluginError, RetbenchError, StoreUnwritable

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed")
"""How allocators of PyTorch, the C library and cuBLAS say it."""


class FailureKind(StrEnum):
    """The classes of failure; only success is stored."""

    OOM = "oom"
    TIMEOUT = "timeout"
    PLUGIN = "plugin_error"
    INFRA = "infra_error"
    INVALID = "invalid"


class StepTimeout(RetbenchError):
    """A step ran longer than the limit."""


class Failure(NamedTuple):
    """A failed step; the steps that waited for it share its failure.

    Attributes:
        kind: its class.
        reason: one line.
        culprit: stage and label of the step that failed.
    """

    kind: FailureKind
    reason: str
    culprit: str


def classify(error: BaseException) -> FailureKind:
    """Return the class of what a step raised."""
    if isinstance(error, ContractBreach):
        return FailureKind.INVALID
    if isinstance(error, StepTimeout):
        return FailureKind.TIMEOUT
    if _out_of_memory(error):
        return FailureKind.OOM
    if isinstance(error, OSError | ArtifactError) and not isinstance(error, PluginError | StoreUnwritable):
        return FailureKind.INFRA
    return FailureKind.PLUGIN


def _out_of_memory(error: BaseException) -> bool:
    told = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in told for sign in OUT_OF_MEMORY)
    )
