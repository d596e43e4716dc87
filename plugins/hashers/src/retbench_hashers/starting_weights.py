"""What a backbone starts from, as an option of the hasher above it says."""

from __future__ import annotations

from retbench_hashers import cnn_f_part, pretrained


def starting_weights(value: str, backbone: str) -> str:
    """Returns the option `weights` of a hasher, `auto` resolved: `warm-up` for `conv`, else `imagenet`.

    Raises:
        ValueError: it is nothing that this backbone can start from.
    """
    conv = backbone == "conv"
    if value == "auto":
        return "warm-up" if conv else "imagenet"
    if conv != (value == "warm-up"):
        raise ValueError("conv starts from its warm-up, and every other backbone from published or given weights")
    if conv:
        return value
    return (cnn_f_part if backbone == "cnn-f" else pretrained).source_of_weights(value)
