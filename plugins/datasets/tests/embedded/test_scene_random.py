import hashlib
import math

import numpy as np
import pytest
from retbench_datasets.embedded.scene_random import SceneRandom

MASK = 2**64 - 1


def splitmix(state: int) -> int:
    """Return the output of SplitMix64 for a state, in Python integers."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def uniform(seed: int, index: int, purpose: str, element: int) -> float:
    increment = 0x9E3779B97F4A7C15
    key = int.from_bytes(hashlib.blake2b(f"{seed}\0{purpose}".encode(), digest_size=8).digest(), "little")
    stream = splitmix((key + (index + 1) * increment) & MASK)
    return (splitmix((stream + (element + 1) * increment) & MASK) >> 11) / 2**53


def draws(seed: int = 0, count: int = 1000, start: int = 0) -> SceneRandom:
    return SceneRandom(seed, np.arange(start, start + count))


def test_the_mixer_gives_the_published_outputs_of_splitmix64() -> None:
    states = [(1234567 + step * 0x9E3779B97F4A7C15) & MASK for step in (1, 2, 3)]
    assert [splitmix(state) for state in states] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_numbers_equal_a_reference_in_plain_integers() -> None:
    drawn = draws(seed=3, count=4, start=998).uniform("radii", 2, 3)
    expected = [[uniform(3, 998 + row, "radii", element) for element in range(6)] for row in range(4)]
    assert drawn.reshape(4, 6).tolist() == expected


def test_the_stream_of_an_image_does_not_depend_on_other_images() -> None:
    together = draws().normal("noise", 5)
    assert np.array_equal(draws().select(np.array([7, 2])).normal("noise", 5), together[[7, 2]])
    assert np.array_equal(draws(count=3, start=40).normal("noise", 5), together[40:43])


@pytest.mark.parametrize("other", [draws(seed=1).uniform("a", 50), draws().uniform("b", 50)], ids=["seed", "purpose"])
def test_another_seed_or_purpose_gives_unrelated_numbers(other: np.ndarray) -> None:
    assert abs(np.corrcoef(draws().uniform("a", 50).ravel(), other.ravel())[0, 1]) < 0.02


def test_uniform_numbers_are_uniform_over_their_range() -> None:
    drawn = draws().uniform("a", 100, low=-2.0, high=6.0)
    counts, _ = np.histogram(drawn, bins=8, range=(-2, 6))
    assert -2 <= drawn.min() < -1.99
    assert 5.99 < drawn.max() < 6
    assert np.abs(counts / 12_500 - 1).max() < 0.05


def test_integers_are_equally_likely() -> None:
    counts = np.bincount(draws().integers("a", 60, below=6).ravel())
    assert len(counts) == 6
    assert np.abs(counts / 10_000 - 1).max() < 0.05


def test_normal_numbers_have_the_normal_distribution() -> None:
    drawn = draws().normal("a", 201)
    assert drawn.shape == (1000, 201)
    for sigmas in (-2, -1, 0, 1, 2):
        assert (drawn < sigmas).mean() == pytest.approx(0.5 * (1 + math.erf(sigmas / math.sqrt(2))), abs=0.004)
    assert abs(np.corrcoef(drawn[:, :100].ravel(), drawn[:, 101:].ravel())[0, 1]) < 0.02


def test_no_images_give_empty_draws() -> None:
    assert draws(count=0).normal("a", 3, 2).shape == (0, 3, 2)
    assert draws(count=0).integers("a", below=3).shape == (0,)
