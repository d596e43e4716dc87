"""The interface of the networks under a hash layer, and the color statistics of the images they were published for."""

from __future__ import annotations

from torch import nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the red, green and blue of ImageNet's training images in [0, 1], as torchvision's weights were trained with."""


class Features(nn.Module):
    """A network from float images (B, 3, H, W) to features (B, `width`).

    Attributes:
        width: features of one image.
        smallest_side: the smallest height and width in pixels that its strides leave something of.
        hash_std: standard deviation of the hash layer's first weights, whose bias is then zero; None for the bounds
            that `nn.Linear` draws from.
        replaced: name of the published network's last layer, which the hash layer replaces; empty if there is none.
    """

    width: int
    smallest_side: int
    hash_std: float | None = None
    replaced: str = ""
