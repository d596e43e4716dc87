"""The option `weights` of hashers and backbones: the initial weights of a backbone."""

from __future__ import annotations

from retbench_hashers.backbones.weight_file import SUFFIXES

CNN_F_SUFFIXES = (".mat", *SUFFIXES)
"""Suffixes of the weight files of CNN-F, which is published as a MATLAB file."""


def resolve_weights(value: str, backbone: str) -> str:
    """Return the option `weights` of a hasher with `auto` resolved: `warm-up` for `conv`, else `imagenet`.

    Raises:
        ValueError: `value` is not possible for this backbone.
    """
    conv = backbone == "conv"
    if value == "auto":
        return "warm-up" if conv else "imagenet"
    if conv != (value == "warm-up"):
        raise ValueError("conv takes warm-up only, and every other backbone imagenet, random, or a path")
    if conv:
        return value
    return check_weights_option(value, suffixes=CNN_F_SUFFIXES if backbone == "cnn-f" else SUFFIXES)


def check_weights_option(value: str, *, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """Return the option `weights` of a backbone unchanged if it is `imagenet`, `random`, or the path of a weight file.

    Raises:
        ValueError: it is none of these, or the path does not end in one of `suffixes`.
    """
    if value not in ("imagenet", "random") and not value.endswith(suffixes):
        raise ValueError(f"expected imagenet, random, or a path that ends in {', '.join(suffixes)}")
    return value
