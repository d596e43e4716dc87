"""The result of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from retbench.canon import Json


@dataclass(frozen=True)
class Artifact:
    """The tensors of a step, with a summary and a record of how they were computed.

    Attributes:
        key: the digest of the step's recipe.
        tensors: tensors by name.
        summary: small JSON values, such as counts and losses, that reports read without loading the tensors.
        meta: recipe, seconds, peak memory, environment and micro-batch; of these, only the recipe determines the key.
    """

    key: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    summary: Mapping[str, Json] = field(default_factory=dict)
    meta: Mapping[str, Json] = field(default_factory=dict)
