"""The centers of CSQ."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from retbench_hashers.supervised.csq import CSQ, TRIES, draw_codebook, hadamard_rows

from retbench import OptionError
from retbench.testing.toys import ToyDataset


@pytest.mark.parametrize("bits", [1, 2, 16, 64, 128])
def test_rows_of_a_hadamard_matrix_are_orthogonal_and_their_negatives_follow(bits: int) -> None:
    rows = hadamard_rows(bits)
    assert torch.equal(rows[:bits] @ rows[:bits].T, bits * torch.eye(bits))
    assert torch.equal(rows[bits:], -rows[:bits])


def test_four_bits_have_sylvesters_rows() -> None:
    assert hadamard_rows(4)[:4].tolist() == [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]


@pytest.mark.parametrize("bits", [12, 48, 96])
def test_other_lengths_have_none(bits: int) -> None:
    assert hadamard_rows(bits).shape == (0, bits)


@pytest.mark.parametrize(
    ("classes", "bits", "given"), [(20, 16, 20), (80, 32, 64), (38, 16, 32), (21, 48, 0), (5, 13, 0)]
)
def test_random_balanced_centers_replace_missing_rows(classes: int, bits: int, given: int) -> None:
    centers = draw_codebook(classes, bits, seed=0).centers
    assert centers.shape == (classes, bits)
    assert torch.equal(centers[:given], hadamard_rows(bits)[:given])
    assert set(centers.unique().tolist()) == {-1, 1}
    assert ((centers[given:] < 0).sum(dim=1) == bits // 2).all()


@pytest.mark.parametrize("seed", range(5))
def test_centers_are_drawn_until_they_are_well_spread(seed: int) -> None:
    """Of single draws at 21 classes and 48 bits about half have a mean distance below K/2."""
    bits = 48
    centers = draw_codebook(21, bits, seed).centers
    distances = (centers[:, None] != centers[None]).sum(dim=2)[tuple(torch.triu_indices(21, 21, 1))].float()
    assert distances.min() > bits / 4
    assert distances.mean() >= bits / 2


def test_draws_end_where_no_spread_is_wide_enough() -> None:
    """Two bits have two balanced vectors, so three classes never are K/4 apart."""
    assert TRIES == 20
    assert draw_codebook(9, 2, seed=0).centers.shape == (9, 2)


def test_the_codebook_is_fixed_by_its_seed() -> None:
    one, same, other = (draw_codebook(21, 48, seed) for seed in (0, 0, 1))
    assert torch.equal(one.centers, same.centers)
    assert torch.equal(one.ties, same.ties)
    assert not torch.equal(one.centers, other.centers)
    assert not torch.equal(one.ties, other.ties)


def test_an_image_has_the_majority_of_its_classes_centers_and_ties_have_fixed_bits() -> None:
    codebook = draw_codebook(4, 4, seed=0)
    labels = torch.tensor([[0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.uint8)
    single, three, two, none = codebook.of(labels).tolist()
    ties = codebook.ties.tolist()
    assert single == [1, -1, 1, -1]
    assert three == [1, 1, 1, -1]
    assert two == [1, ties[1], 1, ties[3]]
    assert none == ties


def test_codes_at_their_centers_cost_nothing() -> None:
    labels = torch.eye(4, dtype=torch.uint8)
    loss = CSQ(quantization=1).loss(hadamard_rows(8)[:4], labels, torch.arange(4), torch.zeros(4, 8))
    assert float(loss) == 0


@pytest.mark.parametrize(
    ("bits", "classes", "reason"),
    [
        (48, 3, "48 bits have 0 Hadamard centers for 3 classes; take a power of two of at least 2 bits"),
        (32, 80, "32 bits have 64 Hadamard centers for 80 classes; take a power of two of at least 40 bits"),
        (32, 64, None),
        (16, 21, None),
    ],
)
def test_classes_without_a_row_are_refused_where_that_is_asked_for(bits: int, classes: int, reason: str | None) -> None:
    facts = replace(ToyDataset().facts(), bits=bits, classes=tuple(map(str, range(classes))))
    found = CSQ(missing_centers="refuse").supports(facts)
    assert found is None if reason is None else reason in (found or "")
    assert CSQ().supports(facts) is None


def test_an_unknown_rule_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="hasher csq: missing_centers"):
        CSQ.create({"missing_centers": "zeros"})
