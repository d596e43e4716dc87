"""The control that changes nothing.

Its rows show the effects of the harness alone: images rounded to 8 bits, and the differences between seeds.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from retbench import Noise, Purifier


class Identity(Purifier):
    """Returns the queries unchanged."""

    name: ClassVar[str] = "identity"
    source: ClassVar[str] = "control"

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return images
