"""The interface of the networks under a hash layer, and the color statistics of ImageNet."""

from __future__ import annotations

from torch import nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of red, green and blue in ImageNet's training images in [0, 1], as used by torchvision."""


class Features(nn.Module):
    """A network from float images (B, 3, H, W) to features (B, `width`).

    Attributes:
        width: number of features of an image.
        min_side: smallest height and width of an image, in pixels.
        hash_layer_std: standard deviation of the initial weights of the hash layer, whose bias then starts at 0; None
            for the initialization of `nn.Linear`.
        replaced_layer: name of the last layer of the published network, which the hash layer replaces; empty if none.
    """

    width: int
    min_side: int
    hash_layer_std: float | None = None
    replaced_layer: str = ""
