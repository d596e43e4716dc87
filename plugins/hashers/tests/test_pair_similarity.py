"""Similarity of images by their classes."""

import torch
from retbench_hashers.pair_similarity import pair_similarity

LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]], dtype=torch.uint8)


def test_images_are_similar_if_they_share_a_class() -> None:
    assert pair_similarity(LABELS, torch.tensor([2, 5])).tolist() == [[1, 1, 1, 0, 1, 0], [0] * 6]
