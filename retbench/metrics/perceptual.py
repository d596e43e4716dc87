"""Distances between attacked or purified images and the clean ones: one number per float32 image in [0, 1]."""

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 64  # images converted to float64 at a time
ROUNDING = 1e-5  # tolerated distance of rounded values from [0, 1]
WINDOW = 11  # the usual window of SSIM, in pixels


def linf(images: Tensor, references: Tensor) -> Tensor:
    """Return the L-infinity distance of each image: float64 (N,), 0..1, on the device of `images`.

    This is the largest absolute difference of any channel value. No images give an empty tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        references: the images to compare with, one for each of `images`, of the same dtype, shape and range.

    Raises:
        ValueError: the images have a wrong dtype, shape, device or range.

    Example:
        >>> import torch
        >>> from retbench.metrics import linf
        >>> clean, attacked = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
        >>> attacked[0, 1, 2, 3] = 0.5
        >>> linf(attacked, clean)
        tensor([0.5000], dtype=torch.float64)
    """
    _check_pair("linf", images, references)
    return _per_image(lambda difference: difference.abs().amax(dim=1), images, references)


def l2(images: Tensor, references: Tensor) -> Tensor:
    """Return the L2 distance of each image: float64 (N,), 0..sqrt(3 H W), on the device of `images`.

    This is the Euclidean norm over all 3 H W differences; it grows with the size of the image. No images give an empty
    tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        references: the images to compare with, one for each of `images`, of the same dtype, shape and range.

    Raises:
        ValueError: the images have a wrong dtype, shape, device or range.

    Example:
        >>> import torch
        >>> from retbench.metrics import l2
        >>> clean = torch.zeros(1, 3, 3, 4)
        >>> l2(clean + 0.5, clean)  # the square root of 36 * 0.25
        tensor([3.], dtype=torch.float64)
    """
    _check_pair("l2", images, references)
    return _per_image(lambda difference: difference.square().sum(dim=1).sqrt(), images, references)


def mse(images: Tensor, references: Tensor) -> Tensor:
    """Return the mean squared difference of each image: float64 (N,), 0..1, on the device of `images`.

    The mean is over all 3 H W values. No images give an empty tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        references: the images to compare with, one for each of `images`, of the same dtype, shape and range.

    Raises:
        ValueError: the images have a wrong dtype, shape, device or range.

    Example:
        >>> import torch
        >>> from retbench.metrics import mse
        >>> clean = torch.zeros(1, 3, 3, 4)
        >>> mse(clean + 0.5, clean)
        tensor([0.2500], dtype=torch.float64)
    """
    _check_pair("mse", images, references)
    return _per_image(lambda difference: difference.square().mean(dim=1), images, references)


def psnr(images: Tensor, references: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in decibels: float64 (N,), on the device of `images`.

    The ratio is -10 log10(MSE), at least 0. Identical images give infinity; no images give an empty tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1].
        references: the images to compare with, one for each of `images`, of the same dtype, shape and range.

    Raises:
        ValueError: the images have a wrong dtype, shape, device or range.

    Example:
        >>> import torch
        >>> from retbench.metrics import psnr
        >>> clean = torch.zeros(1, 3, 3, 4)
        >>> psnr(clean + 0.1, clean)  # a mean squared error of 0.01
        tensor([20.0000], dtype=torch.float64)
    """
    _check_pair("psnr", images, references)
    return -10 * _per_image(lambda difference: difference.square().mean(dim=1), images, references).log10()


def ssim(images: Tensor, references: Tensor) -> Tensor:
    """Return the structural similarity (SSIM) of each image: float64 (N,), -1..1, on the device of `images`.

    The mean over channels and window positions, with a Gaussian window of 11 x 11 pixels, sigma 1.5, data range 1 and
    no padding. For images with a side below 11 pixels the window is the largest odd number that fits; values of
    different windows are not comparable. The computation runs in float64, because the variances cancel; TF32 and
    autocast do not affect it. Identical images give 1; no images give an empty tensor.

    Args:
        images: float32 (N, 3, H, W) in [0, 1], height and width at least 3.
        references: the images to compare with, one for each of `images`, of the same dtype, shape and range.

    Raises:
        ValueError: the images have a wrong dtype, shape, device or range, or a side below 3 pixels.

    Source: Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity.

    Example:
        Two constant images have no structure, so only their brightness a and b counts:
        (2ab + 0.0001) / (a^2 + b^2 + 0.0001).

        >>> import torch
        >>> from retbench.metrics import ssim
        >>> ssim(torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), 0.25))
        tensor([0.8001], dtype=torch.float64)
    """
    _check_pair("ssim", images, references)
    side = min(images.shape[2:])
    if side < 3:
        raise ValueError(f"ssim: images too small: got {tuple(images.shape[2:])} pixels, expected at least (3, 3)")
    from pytorch_msssim import ssim as windowed

    window = min(WINDOW, side if side % 2 else side - 1)
    values = torch.empty(len(images), dtype=torch.float64, device=images.device)
    for start in range(0, len(images), BLOCK):
        block = slice(start, start + BLOCK)
        pair = images[block].to(torch.float64), references[block].to(torch.float64)
        values[block] = windowed(*pair, data_range=1, size_average=False, win_size=window)
    return values


def perceptibility(mse_per_image: Tensor) -> float:
    """Return the root of the mean of the images' mean squared errors: 0..1, in units of the pixel range.

    The mean of the roots of single images would be smaller. No images give NaN.

    Args:
        mse_per_image: mean squared errors, floating point (N,), each at least 0, from `mse`.

    Raises:
        ValueError: the tensor is not one-dimensional or has a negative value.

    Source: Wang et al. 2021, Prototype-Supervised Adversarial Network for Targeted Attack of Deep Hashing (there
    "per.").

    Example:
        >>> import torch
        >>> from retbench.metrics import perceptibility
        >>> perceptibility(torch.tensor([0.0, 0.5]))  # the square root of 0.25
        0.5
    """
    if mse_per_image.ndim != 1:
        raise ValueError(f"perceptibility: wrong shape: got {tuple(mse_per_image.shape)}, expected one dimension")
    if bool((mse_per_image < 0).any()):
        raise ValueError(f"perceptibility: not squared errors: got {float(mse_per_image.min())}, expected at least 0")
    return float(mse_per_image.to(torch.float64).mean().sqrt())


def _check_pair(caller: str, images: Tensor, references: Tensor) -> None:
    for name, batch in (("images", images), ("references", references)):
        if batch.dtype != torch.float32:
            raise ValueError(f"{caller}: {name}: wrong dtype: got {batch.dtype}, expected torch.float32")
        if batch.ndim != 4 or batch.shape[1] != 3 or 0 in batch.shape[2:]:
            raise ValueError(f"{caller}: {name}: wrong shape: got {tuple(batch.shape)}, expected (N, 3, H, W)")
        if len(batch) and not (float(batch.min()) >= -ROUNDING and float(batch.max()) <= 1 + ROUNDING):
            value_range = f"{float(batch.min())} to {float(batch.max())}"
            raise ValueError(f"{caller}: {name}: wrong range: got {value_range}, expected 0 to 1")
    if images.shape != references.shape:
        got, expected = tuple(references.shape), tuple(images.shape)
        raise ValueError(f"{caller}: references: wrong shape: got {got}, expected the images' {expected}")
    if images.device != references.device:
        raise ValueError(f"{caller}: references: wrong device: got {references.device}, expected {images.device}")


def _per_image(measure: Callable[[Tensor], Tensor], images: Tensor, references: Tensor) -> Tensor:
    values = torch.empty(len(images), dtype=torch.float64, device=images.device)
    for start in range(0, len(images), BLOCK):
        block = slice(start, start + BLOCK)
        difference = images[block].to(torch.float64) - references[block].to(torch.float64)
        values[block] = measure(difference.flatten(1))
    return values
