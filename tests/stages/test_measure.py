"""Distances between changed and clean images."""

from __future__ import annotations

import math

import torch

from retbench.stages.measure import concatenate_batches, measure_images


def test_each_image_has_one_value_of_each_measure() -> None:
    clean = torch.full((2, 3, 8, 8), 0.5)
    images = clean.clone()
    images[1, :, :4] += 0.25
    measures = measure_images(images, clean)
    assert measures.keys() == {"linf", "l2", "mse", "ssim"}
    assert all(values.shape == (2,) and values.dtype == torch.float64 for values in measures.values())
    assert measures["linf"].tolist() == [0, 0.25]
    assert measures["l2"].tolist() == [0, 0.25 * math.sqrt(96)]
    assert measures["mse"].tolist() == [0, 0.25**2 / 2]
    assert measures["ssim"][0] == 1 > measures["ssim"][1]


def test_measures_keep_their_precision_under_autocast() -> None:
    clean = torch.full((1, 3, 8, 8), 0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert measure_images(clean + 2**-10, clean)["linf"].tolist() == [2**-10]


def test_batches_are_concatenated() -> None:
    batches = [{"images": torch.zeros(2, 3, 8, 8), "mse": torch.zeros(2)}, {"images": torch.ones(1, 3, 8, 8)}]
    batches[1]["mse"] = torch.ones(1)
    assert concatenate_batches(batches, (3, 8, 8))["mse"].tolist() == [0, 0, 1]
    assert concatenate_batches([], (3, 8, 8))["images"].shape == (0, 3, 8, 8)
