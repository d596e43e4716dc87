"""The similarity of training pairs, against published values and row by row."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.dgcpn_similarity import graph_similarity
from torch import Tensor


def waves(rows: int, columns: int, down: float, across: float, shift: float) -> Tensor:
    """Returns sin(down * i + across * j + shift), float32 (rows, columns)."""
    return torch.sin(down * torch.arange(rows)[:, None] + across * torch.arange(columns) + shift)


IMAGES = waves(8, 5, 0.5, 1.1, 0.1).abs()
TEXTS = waves(8, 6, 1.2, 0.4, 0.9).abs()


def drawn(count: int, seed: int = 0, width: int = 12) -> tuple[Tensor, Tensor]:
    """Returns rectified features and word counts of `count` pairs."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, width, generator=generator).relu()
    return images, torch.rand(count, 7, generator=generator).lt(0.3).float()


def test_the_similarity_is_the_published_one_with_three_of_eight_dropped() -> None:
    similarity = graph_similarity(IMAGES, TEXTS, neighbours=8 - 3 - 1, scale=10)
    published = [1.90300, 1.02447, 1.08982, 0.49545, 0.41434, 1.03359, 1.45180, 1.08341]
    assert similarity[0].tolist() == pytest.approx(published, abs=1e-5)
    assert float(similarity.sum()) == pytest.approx(61.7024, abs=1e-4)


def test_the_coherence_alone_is_the_published_one() -> None:
    coherence = (graph_similarity(IMAGES, TEXTS, neighbours=4, scale=10, coherence_weight=1) + 1) / 2
    assert coherence[0, :2].tolist() == pytest.approx([2.50499, 1.29432], abs=1e-5)


def test_the_similarity_is_that_of_a_loop_over_sorted_rows() -> None:
    images, texts = drawn(40)
    unit_images = images / images.norm(dim=1, keepdim=True).clamp(min=1e-12)
    unit_texts = texts / texts.norm(dim=1, keepdim=True).clamp(min=1e-12)
    pairs = 0.2 * unit_texts @ unit_texts.T + 0.8 * unit_images @ unit_images.T
    shares = torch.zeros_like(pairs)
    for row in range(40):
        others = sorted((j for j in range(40) if j != row), key=lambda j: float(pairs[row, j]), reverse=True)[:9]
        for j in others:
            shares[row, j] = pairs[row, j] / pairs[row, others].sum()
    expected = 2 * (0.6 * pairs + 0.4 * 18 * shares @ shares.T) - 1
    found = graph_similarity(images, texts, neighbours=9, scale=18, text_weight=0.2, coherence_weight=0.4)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("block", [1, 7, 64, 100])
def test_the_size_of_a_block_changes_nothing(block: int) -> None:
    images, texts = drawn(64)
    options = {"neighbours": 20, "scale": 40.0}
    whole, cut = (graph_similarity(images, texts, **options, block=size) for size in (64, block))
    torch.testing.assert_close(cut, whole, atol=1e-6, rtol=0)


def test_the_similarity_is_symmetric_and_at_least_minus_one_for_rectified_features() -> None:
    similarity = graph_similarity(*drawn(50), neighbours=10, scale=20)
    torch.testing.assert_close(similarity, similarity.T, atol=1e-6, rtol=0)
    assert float(similarity.min()) >= -1


def test_two_halves_with_nothing_in_common_have_no_coherence_across() -> None:
    images = torch.eye(2).repeat_interleave(5, dim=0)
    similarity = graph_similarity(images, torch.zeros(10, 3), neighbours=4, scale=8, text_weight=0)
    within = 2 * (0.7 + 0.3 * 8 * torch.tensor([4 / 16, 3 / 16])) - 1  # an item shares 3 of 4 neighbours with another
    assert similarity[0, [0, 1, 5]].tolist() == pytest.approx([*within.tolist(), -1.0])


def test_pairs_without_a_text_are_compared_by_their_images() -> None:
    images, texts = drawn(30)
    texts[3] = 0
    similarity = graph_similarity(images, texts, neighbours=6, scale=12, coherence_weight=0)
    cosines = torch.cosine_similarity(images[3], images)
    torch.testing.assert_close(similarity[3], 2 * 0.99 * cosines - 1, atol=1e-5, rtol=0)


def test_a_pair_without_features_and_text_has_no_neighbours_and_is_similar_to_nothing() -> None:
    images, texts = drawn(30)
    images[3], texts[3] = 0, 0
    similarity = graph_similarity(images, texts, neighbours=6, scale=12)
    assert torch.isfinite(similarity).all()
    assert similarity[3].tolist() == [-1.0] * 30


def test_nothing_at_all_is_similar_to_nothing() -> None:
    similarity = graph_similarity(torch.zeros(5, 4), torch.zeros(5, 2), neighbours=3, scale=6)
    assert similarity.tolist() == [[-1.0] * 5] * 5


def test_copies_of_one_pair_are_each_others_neighbours() -> None:
    images, texts = torch.ones(6, 4), torch.ones(6, 3)
    similarity = graph_similarity(images, texts, neighbours=5, scale=10)
    assert torch.isfinite(similarity).all()
    assert float(similarity[0, 0]) == pytest.approx(2 * (0.7 + 0.3 * 10 / 5) - 1)


@pytest.mark.parametrize("neighbours", [0, 8, 3000])
def test_as_many_neighbours_as_rows_are_refused(neighbours: int) -> None:
    with pytest.raises(ValueError, match=f"neighbours: got {neighbours}, expected 1 to 7, fewer than the 8 rows"):
        graph_similarity(IMAGES, TEXTS, neighbours=neighbours, scale=10)


def test_texts_of_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="wrong number of texts: got 7, expected one for each of 8 images"):
        graph_similarity(IMAGES, TEXTS[:7], neighbours=3, scale=10)


@pytest.mark.parametrize(("name", "value"), [("images", torch.inf), ("texts", torch.nan)])
def test_features_that_are_not_finite_are_refused(name: str, value: float) -> None:
    features = {"images": IMAGES.clone(), "texts": TEXTS.clone()}
    features[name][2] = value
    with pytest.raises(ValueError, match=f"{name}: got 1 rows that are not finite, expected none"):
        graph_similarity(**features, neighbours=3, scale=10)
