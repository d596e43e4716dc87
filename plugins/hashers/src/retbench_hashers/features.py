"""What stands under a hash layer."""

from __future__ import annotations

from torch import nn


class Features(nn.Module):
    """A network from float images (B, 3, H, W) to features (B, `width`).

    Attributes:
        width: features of one image.
        smallest_side: height and width in pixels below which nothing is left of an image.
        hash_std: standard deviation of the hash layer's first weights, whose bias is then zero; None for the bounds
            that `nn.Linear` draws from.
        replaced: name of the published network's last layer, whose place the hash layer takes; empty if there is none.
    """

    width: int
    smallest_side: int
    hash_std: float | None = None
    replaced: str = ""
