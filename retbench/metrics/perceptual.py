"""How far an adversarial, or purified, picture is from the clean one: a number for each float32 picture in [0, 1]."""

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 64  # pictures held in float64 at a time
RESIDUE = 1e-5  # what rounding may leave outside [0, 1]
WINDOW = 11  # SSIM's usual window


def linf(images: Tensor, references: Tensor) -> Tensor:
    """Return the largest absolute difference of any channel value: float64 (N,), 0..1, on the device of `images`.

    Element-wise, not an induced matrix norm. No pictures give an empty tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        references: the same shape and range, picture for picture.

    Raises:
        ValueError: wrong dtype, shape, device or range.
    """
    _check_pair("linf", images, references)
    return _per_image(lambda difference: difference.abs().amax(dim=1), images, references)


def l2(images: Tensor, references: Tensor) -> Tensor:
    """Return the Euclidean norm of the difference: float64 (N,), 0..sqrt(3 H W), on the device of `images`.

    Over all 3 H W values (Frobenius), not a spectral norm; it grows with the picture's size. No pictures give an empty
    tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        references: the same shape and range, picture for picture.

    Raises:
        ValueError: wrong dtype, shape, device or range.
    """
    _check_pair("l2", images, references)
    return _per_image(lambda difference: difference.square().sum(dim=1).sqrt(), images, references)


def mse(images: Tensor, references: Tensor) -> Tensor:
    """Return the mean squared difference over all 3 H W values: float64 (N,), 0..1, on the device of `images`.

    No pictures give an empty tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        references: the same shape and range, picture for picture.

    Raises:
        ValueError: wrong dtype, shape, device or range.
    """
    _check_pair("mse", images, references)
    return _per_image(lambda difference: difference.square().mean(dim=1), images, references)


def psnr(images: Tensor, references: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in decibels, -10 log10(MSE): float64 (N,), on the device of `images`.

    Identical pictures give infinity; no pictures give an empty tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        references: the same shape and range, picture for picture.

    Raises:
        ValueError: wrong dtype, shape, device or range.
    """
    _check_pair("psnr", images, references)
    return -10 * _per_image(lambda difference: difference.square().mean(dim=1), images, references).log10()


def ssim(images: Tensor, references: Tensor) -> Tensor:
    """Return the structural similarity (SSIM): float64 (N,), -1..1, on the device of `images`.

    Mean over channels and window positions; Gaussian window of 11 x 11 pixels, sigma 1.5, data range 1, no padding.
    Where a side is shorter than 11, the window shrinks to the largest odd number that fits; values from different
    windows are not comparable. Computed in float64, for the variances cancel, and neither TF32 nor autocast touches it.
    Identical pictures give 1; no pictures give an empty tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1], both sides at least 3.
        references: the same shape and range, picture for picture.

    Raises:
        ValueError: wrong dtype, shape, device or range, or a side below 3 (a window of one pixel has no structure).

    Source: Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity.
    """
    _check_pair("ssim", images, references)
    side = min(images.shape[2:])
    if side < 3:
        raise ValueError(f"ssim: pictures too small: got {tuple(images.shape[2:])} pixels, expected at least (3, 3)")
    from pytorch_msssim import ssim as windowed

    window = min(WINDOW, side if side % 2 else side - 1)
    values = torch.empty(len(images), dtype=torch.float64, device=images.device)
    for start in range(0, len(images), BLOCK):
        block = slice(start, start + BLOCK)
        pair = images[block].to(torch.float64), references[block].to(torch.float64)
        values[block] = windowed(*pair, data_range=1, size_average=False, win_size=window)
    return values


def perceptibility(mse_per_image: Tensor) -> float:
    """Return the root of the mean, over pictures, of their mean squared errors: 0..1, in units of the pixel range.

    Not the mean of the per-picture roots, which is smaller. No pictures give NaN.

    Args:
        mse_per_image: floating point (N,), each at least 0, from `mse`.

    Raises:
        ValueError: not one-dimensional, or a negative value.

    Source: Wang et al. 2021, Prototype-Supervised Adversarial Network for Targeted Attack of Deep Hashing (there
    "per.").
    """
    if mse_per_image.ndim != 1:
        raise ValueError(f"perceptibility: wrong shape: got {tuple(mse_per_image.shape)}, expected one dimension")
    if bool((mse_per_image < 0).any()):
        raise ValueError(f"perceptibility: not squared errors: got {float(mse_per_image.min())}, expected at least 0")
    return float(mse_per_image.to(torch.float64).mean().sqrt())


def _check_pair(where: str, images: Tensor, references: Tensor) -> None:
    for name, batch in (("images", images), ("references", references)):
        if batch.dtype != torch.float32:
            raise ValueError(f"{where}: {name}: wrong dtype: got {batch.dtype}, expected torch.float32")
        if batch.ndim != 4 or batch.shape[1] != 3 or 0 in batch.shape[2:]:
            raise ValueError(f"{where}: {name}: wrong shape: got {tuple(batch.shape)}, expected (N, 3, H, W)")
        if len(batch) and not (float(batch.min()) >= -RESIDUE and float(batch.max()) <= 1 + RESIDUE):
            extent = f"{float(batch.min())} to {float(batch.max())}"
            raise ValueError(f"{where}: {name}: wrong range: got {extent}, expected 0 to 1")
    if images.shape != references.shape:
        got, expected = tuple(references.shape), tuple(images.shape)
        raise ValueError(f"{where}: references: wrong shape: got {got}, expected the images' {expected}")
    if images.device != references.device:
        raise ValueError(f"{where}: references: wrong device: got {references.device}, expected {images.device}")


def _per_image(measure: Callable[[Tensor], Tensor], images: Tensor, references: Tensor) -> Tensor:
    values = torch.empty(len(images), dtype=torch.float64, device=images.device)
    for start in range(0, len(images), BLOCK):
        block = slice(start, start + BLOCK)
        difference = images[block].to(torch.float64) - references[block].to(torch.float64)
        values[block] = measure(difference.flatten(1))
    return values
