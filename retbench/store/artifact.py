"""What a step left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from retbench.canon import Json


@dataclass(frozen=True)
class Artifact:
    """Tensors, a summary, and how they were computed.

    Attributes:
        key: the digest of the step's recipe.
        tensors: by name.
        summary: small JSON, such as counts and losses: what a report reads without loading tensors.
        meta: recipe, seconds, peak memory, environment, micro-batch; nothing of it is in the key but the recipe.
    """

    key: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    summary: Mapping[str, Json] = field(default_factory=dict)
    meta: Mapping[str, Json] = field(default_factory=dict)
