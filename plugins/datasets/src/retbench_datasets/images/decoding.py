"""Decoding of one image file into an array of the size that a hasher reads."""

from __future__ import annotations

import warnings
from os import PathLike
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Crop = Literal["center", "squash", "stretch"]
CROP_MEANINGS = (
    "center: shorter side to `resize` (bilinear), then a center crop; squash: both sides to `resize` (bicubic), which "
    "changes the proportions, then a center crop, as in DHTA's code; stretch: both sides to `size` (bilinear), nothing "
    "is cut off, the default of a cross-modal edition"
)
"""Meanings of the values of the option `crop`."""
DecodedImage = NDArray[np.uint8] | str
"""An image, or the reason why it cannot be read: a worker returns either, and its caller knows the row to name."""


class Preprocessing(NamedTuple):
    """The steps that turn an image of any shape into a square one.

    `center`: the shorter side is resized to `resize` (bilinear, antialiased), the longer one in proportion, rounded
    down; then a center crop of `size` x `size`. Source: the loaders of ProS-GAN, ATRDH and SAAT. `squash`: the whole
    image is resized to `resize` x `resize` (bicubic), which changes its proportions, then the same crop. Source: the
    loader of DHTA under Pillow 7 or later. `stretch`: the whole image is resized to `size` x `size` (bilinear,
    antialiased), which changes its proportions, and nothing is cut off; `resize` is ignored. Source: the 224 x 224
    images in the published files of DCMH (Jiang and Li 2017).

    `upright` rotates an image as its EXIF tag records; the published loaders take images as they are stored.
    """

    size: int
    resize: int
    crop: Crop
    upright: bool = True


def decode_image(path: str | PathLike[str], preprocessing: Preprocessing) -> DecodedImage:
    """Return uint8 (3, size, size), RGB, or the reason why the file cannot be read.

    The image is rotated by its EXIF tag if `preprocessing.upright` (an unreadable tag is ignored). Gray is repeated in
    the three channels, palettes are looked up, CMYK is converted without its color profile, transparent parts become
    white, and the first frame of an animation is used. More than 8 bits per channel is an error.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of broken EXIF tags, which many photographs have
            with Image.open(path) as image:
                fitted = _fit(_to_rgb(image, preprocessing.upright), preprocessing)
        return np.ascontiguousarray(np.asarray(fitted).transpose(2, 0, 1))
    except FileNotFoundError:
        return "no such file"
    except Exception as error:  # broken files make Pillow's decoders raise any exception, even SyntaxError
        return f"{type(error).__name__}: {error}"


def _to_rgb(image: Image.Image, upright: bool) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"got mode {image.mode}, expected 8 bits per channel")
    rotated = ImageOps.exif_transpose(image) if upright else image
    if rotated.has_transparency_data:
        white = Image.new("RGBA", rotated.size, "white")
        white.alpha_composite(rotated.convert("RGBA"))
        rotated = white
    return rotated.convert("RGB")


def _fit(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    if preprocessing.crop == "stretch":
        return image.resize((preprocessing.size, preprocessing.size), Image.Resampling.BILINEAR)
    if preprocessing.crop == "squash":
        resized = image.resize((preprocessing.resize, preprocessing.resize), Image.Resampling.BICUBIC)
    else:
        shorter = min(image.size)
        width, height = (int(preprocessing.resize * side / shorter) for side in image.size)
        resized = image.resize((width, height), Image.Resampling.BILINEAR)
    # Half a pixel is rounded to the even neighbor, as torchvision's center crop does.
    left, top = (round((side - preprocessing.size) / 2) for side in resized.size)
    return resized.crop((left, top, left + preprocessing.size, top + preprocessing.size))
