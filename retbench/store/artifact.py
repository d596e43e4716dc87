"""What a step left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from retbench.canon import Json


@dataclass(frozen=True)
class Artifact:
    """Tensors, facts and the story of how they came about.

    Attributes:
        key: the digest of the step's recipe.
        tensors: by name.
        facts: small JSON: what a report reads without loading tensors.
        meta: recipe, seconds, peak memory, environment, micro-batch; nothing of it is in the key but the recipe.
    """

    key: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)
    meta: Mapping[str, Json] = field(default_factory=dict)
