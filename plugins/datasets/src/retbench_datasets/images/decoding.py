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
    "center: shorter side to `resize` (bilinear), then the middle; squash: both sides to `resize` (bicubic), "
    "proportions lost, then the middle, as DHTA's code does; stretch: both sides to `size` (bilinear), nothing cut "
    "off, the default of a cross-modal edition"
)
"""What the values of the option `crop` mean."""
Decoded = NDArray[np.uint8] | str
"""A picture, or why it cannot be read: a worker hands back either, so that its caller can name the row."""


class Preprocessing(NamedTuple):
    """How a picture of any shape becomes a square one.

    `center`: the shorter side is resized to `resize` (bilinear, antialiased), the longer one in proportion, rounded
    down; then the middle `size` x `size`. Source: the loaders of ProS-GAN, ATRDH and SAAT. `squash`: the whole picture
    is resized to `resize` x `resize` (bicubic), its proportions lost, then the same crop. Source: the loader of DHTA
    under Pillow 7 or later. `stretch`: the whole picture is resized to `size` x `size` (bilinear, antialiased), its
    proportions lost, and nothing is cut off; `resize` has no meaning. Source: the 224 x 224 pictures in the published
    files of DCMH (Jiang and Li 2017).

    `upright` turns an image back that is stored turned, as its EXIF tag records; the published loaders take images as
    they are stored.
    """

    size: int
    resize: int
    crop: Crop
    upright: bool = True


def decode_image(path: str | PathLike[str], preprocessing: Preprocessing) -> Decoded:
    """Returns uint8 (3, size, size), RGB, or the reason why the file cannot be read.

    A turned image is set upright if `preprocessing` asks for it (an EXIF tag that cannot be read is none). Gray is
    repeated in the three channels, palettes are looked up, CMYK is converted without its color profile, transparent
    parts become white, and of an animation the first frame is taken. More than 8 bits a channel is refused.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of broken EXIF tags, which many photographs have
            with Image.open(path) as picture:
                fitted = _fit(_rgb(picture, preprocessing.upright), preprocessing)
        return np.ascontiguousarray(np.asarray(fitted).transpose(2, 0, 1))
    except FileNotFoundError:
        return "no such file"
    except Exception as error:  # a broken file makes Pillow's decoders raise anything, SyntaxError included
        return f"{type(error).__name__}: {error}"


def _rgb(picture: Image.Image, upright: bool) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        raise ValueError(f"got mode {picture.mode}, expected 8 bits a channel")
    turned = ImageOps.exif_transpose(picture) if upright else picture
    if turned.has_transparency_data:
        white = Image.new("RGBA", turned.size, "white")
        white.alpha_composite(turned.convert("RGBA"))
        turned = white
    return turned.convert("RGB")


def _fit(picture: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    if preprocessing.crop == "stretch":
        return picture.resize((preprocessing.size, preprocessing.size), Image.Resampling.BILINEAR)
    if preprocessing.crop == "squash":
        whole = picture.resize((preprocessing.resize, preprocessing.resize), Image.Resampling.BICUBIC)
    else:
        shorter = min(picture.size)
        width, height = (int(preprocessing.resize * side / shorter) for side in picture.size)
        whole = picture.resize((width, height), Image.Resampling.BILINEAR)
    # Half a pixel is rounded to the even neighbor, as torchvision's center crop does.
    left, top = (round((side - preprocessing.size) / 2) for side in whole.size)
    return whole.crop((left, top, left + preprocessing.size, top + preprocessing.size))
