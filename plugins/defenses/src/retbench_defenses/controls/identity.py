"""The control that changes nothing.

Its rows show what the harness does on its own: images rounded to 8 bits, and the spread between seeds.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from retbench import Noise, Purifier


class Identity(Purifier):
    """Hands the queries on as they are."""

    name: ClassVar[str] = "identity"
    source: ClassVar[str] = "control"

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return images
