"""The centers of CSQ."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from retbench_hashers.supervised.csq import CSQ, MAX_DRAWS, draw_codebook, hadamard_rows

from retbench import OptionError
from retbench.testing.toys import ToyDataset


@pytest.mark.parametrize("bits", [1, 2, 16, 64, 128])
def test_hadamard_rows_are_orthogonal_and_followed_by_their_negatives(bits: int) -> None:
    rows = hadamard_rows(bits)
    assert torch.equal(rows[:bits] @ rows[:bits].T, bits * torch.eye(bits))
    assert torch.equal(rows[bits:], -rows[:bits])


def test_hadamard_rows_are_those_of_sylvesters_matrix() -> None:
    assert hadamard_rows(4)[:4].tolist() == [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]


@pytest.mark.parametrize("bits", [12, 48, 96])
def test_lengths_that_are_no_power_of_two_have_no_hadamard_rows(bits: int) -> None:
    assert hadamard_rows(bits).shape == (0, bits)


@pytest.mark.parametrize(
    ("classes", "bits", "available"), [(20, 16, 20), (80, 32, 64), (38, 16, 32), (21, 48, 0), (5, 13, 0)]
)
def test_random_balanced_centers_replace_missing_rows(classes: int, bits: int, available: int) -> None:
    centers = draw_codebook(classes, bits, seed=0).centers
    assert centers.shape == (classes, bits)
    assert torch.equal(centers[:available], hadamard_rows(bits)[:available])
    assert set(centers.unique().tolist()) == {-1, 1}
    assert ((centers[available:] < 0).sum(dim=1) == bits // 2).all()


@pytest.mark.parametrize("seed", range(5))
def test_centers_are_drawn_until_they_are_well_spread(seed: int) -> None:
    """About half of single draws for 21 classes and 48 bits have a mean distance below K/2."""
    bits = 48
    centers = draw_codebook(21, bits, seed).centers
    distances = (centers[:, None] != centers[None]).sum(dim=2)[tuple(torch.triu_indices(21, 21, 1))].float()
    assert distances.min() > bits / 4
    assert distances.mean() >= bits / 2


def test_drawing_ends_if_no_centers_are_well_spread() -> None:
    """There are only two balanced vectors of two bits, so more classes cannot be K/4 apart."""
    assert MAX_DRAWS == 20
    assert draw_codebook(9, 2, seed=0).centers.shape == (9, 2)


def test_the_codebook_depends_on_its_seed() -> None:
    first, same, other = (draw_codebook(21, 48, seed) for seed in (0, 0, 1))
    assert torch.equal(first.centers, same.centers)
    assert torch.equal(first.tie_bits, same.tie_bits)
    assert not torch.equal(first.centers, other.centers)
    assert not torch.equal(first.tie_bits, other.tie_bits)


def test_the_center_of_an_image_is_the_majority_of_its_classes_and_ties_have_fixed_bits() -> None:
    codebook = draw_codebook(4, 4, seed=0)
    labels = torch.tensor([[0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.uint8)
    one_class, three_classes, two_classes, no_class = codebook.image_centers(labels).tolist()
    tie_bits = codebook.tie_bits.tolist()
    assert one_class == [1, -1, 1, -1]
    assert three_classes == [1, 1, 1, -1]
    assert two_classes == [1, tie_bits[1], 1, tie_bits[3]]
    assert no_class == tie_bits


def test_the_loss_of_codes_at_their_centers_is_zero() -> None:
    labels = torch.eye(4, dtype=torch.uint8)
    loss = CSQ(quantization=1).loss(hadamard_rows(8)[:4], labels, torch.arange(4), torch.zeros(4, 8))
    assert float(loss) == 0


@pytest.mark.parametrize(
    ("bits", "classes", "reason"),
    [
        (48, 3, "got 0 with 48 bits, expected 3, one per class; take a power of two of at least 2 bits"),
        (32, 80, "got 64 with 32 bits, expected 80, one per class; take a power of two of at least 40 bits"),
        (32, 64, None),
        (16, 21, None),
    ],
)
def test_too_few_hadamard_centers_are_refused_on_request(bits: int, classes: int, reason: str | None) -> None:
    facts = replace(ToyDataset().facts(), bits=bits, classes=tuple(map(str, range(classes))))
    found = CSQ(missing_centers="refuse").supports(facts)
    assert found is None if reason is None else reason in (found or "")
    assert CSQ().supports(facts) is None


def test_an_unknown_value_of_missing_centers_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="hasher csq: missing_centers"):
        CSQ.create({"missing_centers": "zeros"})
