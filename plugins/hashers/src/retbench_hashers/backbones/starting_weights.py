"""The option `weights` of hashers and backbones: which weights a training starts from."""

from __future__ import annotations

from retbench_hashers.backbones.weight_file import SUFFIXES

CNN_F_SUFFIXES = (".mat", *SUFFIXES)
"""CNN-F is published as a MATLAB file."""


def starting_weights(value: str, backbone: str) -> str:
    """Return the option `weights` of a hasher, `auto` resolved: `warm-up` for `conv`, else `imagenet`.

    Raises:
        ValueError: this backbone cannot start from `value`.
    """
    conv = backbone == "conv"
    if value == "auto":
        return "warm-up" if conv else "imagenet"
    if conv != (value == "warm-up"):
        raise ValueError("conv starts from its warm-up, and every other backbone from published or given weights")
    if conv:
        return value
    return published_or_given(value, suffixes=CNN_F_SUFFIXES if backbone == "cnn-f" else SUFFIXES)


def published_or_given(value: str, *, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """Return the option `weights` of a backbone: `imagenet`, `random`, or the path of a weight file.

    Raises:
        ValueError: it is neither of the two words, nor a path that ends in one of `suffixes`.
    """
    if value not in ("imagenet", "random") and not value.endswith(suffixes):
        raise ValueError(f"expected imagenet, random, or a path that ends in {', '.join(suffixes)}")
    return value
