"""The laws behind the expectations, in tie groups too large for probabilities that start at one end."""

import math

import numpy as np
import pytest

LARGE = [(50_000, 20_000), (60_000, 59_990), (200_000, 80_000), (200_000, 2), (1, 1), (7, 7)]


@pytest.mark.parametrize(("size", "relevant"), LARGE)
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 1.0])
def test_hits_among_those_drawn_have_the_mean_and_variance_of_their_law(size: int, relevant: int, part: float) -> None:
    from retbench.metrics.expectation import drawn_hits

    drawn = max(1, int(part * size))
    first, weights = drawn_hits(size, relevant, drawn)
    hits, mean = first + np.arange(len(weights)), drawn * relevant / size
    rest = (size - relevant) / size * (size - drawn) / max(1, size - 1)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights * hits).sum() == pytest.approx(mean)
    assert (weights * (hits - mean) ** 2).sum() == pytest.approx(mean * rest, abs=1e-9)


@pytest.mark.parametrize(("size", "relevant"), LARGE)
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 1.0])
def test_the_wait_for_a_relevant_item_has_the_mean_of_its_law(size: int, relevant: int, part: float) -> None:
    from retbench.metrics.expectation import waiting_places

    nth = max(1, int(part * relevant))
    first, weights = waiting_places(size, relevant, nth)
    places = first + np.arange(len(weights))
    assert weights.sum() == pytest.approx(1.0)
    assert (weights * places).sum() == pytest.approx(nth * (size + 1) / (relevant + 1))
    assert nth <= first
    assert places[-1] <= size - relevant + nth


def test_a_large_tie_cut_by_hits_is_the_sum_over_its_waits() -> None:
    from retbench.metrics.expectation import cut_by_hits, waiting_places

    waits = [waiting_places(40_000, 15_000, nth) for nth in range(1, 51)]
    terms = [
        (30 + nth) * (weights / (100 + first + np.arange(len(weights)))).sum()
        for nth, (first, weights) in enumerate(waits, start=1)
    ]
    assert cut_by_hits(100, 30, 40_000, 15_000, 50) == pytest.approx(math.fsum(terms), rel=1e-12)
