"""The distributions behind the expectations, in tie groups too large for recursions that start at one end."""

import math

import numpy as np
import pytest

LARGE = [(50_000, 20_000), (60_000, 59_990), (200_000, 80_000), (200_000, 2), (1, 1), (7, 7)]


@pytest.mark.parametrize(("size", "relevant"), LARGE)
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 1.0])
def test_the_number_of_drawn_hits_has_the_mean_and_variance_of_its_distribution(
    size: int, relevant: int, part: float
) -> None:
    from retbench.metrics.expectation import hypergeometric

    drawn = max(1, int(part * size))
    first, probabilities = hypergeometric(size, relevant, drawn)
    hits, mean = first + np.arange(len(probabilities)), drawn * relevant / size
    rest = (size - relevant) / size * (size - drawn) / max(1, size - 1)
    assert probabilities.sum() == pytest.approx(1.0)
    assert (probabilities * hits).sum() == pytest.approx(mean)
    assert (probabilities * (hits - mean) ** 2).sum() == pytest.approx(mean * rest, abs=1e-9)


@pytest.mark.parametrize(("size", "relevant"), LARGE)
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 1.0])
def test_the_position_of_a_relevant_item_has_the_mean_of_its_distribution(
    size: int, relevant: int, part: float
) -> None:
    from retbench.metrics.expectation import negative_hypergeometric

    nth = max(1, int(part * relevant))
    first, probabilities = negative_hypergeometric(size, relevant, nth)
    positions = first + np.arange(len(probabilities))
    assert probabilities.sum() == pytest.approx(1.0)
    assert (probabilities * positions).sum() == pytest.approx(nth * (size + 1) / (relevant + 1))
    assert nth <= first
    assert positions[-1] <= size - relevant + nth


def test_the_sum_over_the_first_hits_of_a_large_tie_is_the_sum_over_their_positions() -> None:
    from retbench.metrics.expectation import negative_hypergeometric, sum_first_hits

    positions = [negative_hypergeometric(40_000, 15_000, nth) for nth in range(1, 51)]
    terms = [
        (30 + nth) * (probabilities / (100 + first + np.arange(len(probabilities)))).sum()
        for nth, (first, probabilities) in enumerate(positions, start=1)
    ]
    assert sum_first_hits(100, 30, 40_000, 15_000, 50) == pytest.approx(math.fsum(terms), rel=1e-12)
