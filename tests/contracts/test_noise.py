"""Random numbers depend on their key only."""

import itertools
import math
from dataclasses import replace
from threading import Thread

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from retbench.contracts import Noise
from retbench.contracts.noise import _INCREMENT, _mix, reserve_noise
from retbench.errors import ContractBreach

IDS = tuple(f"query-{number}" for number in range(40))
DRAWS = ("normal", "uniform")


def draw(noise: Noise, kind: str, purpose: str = "chain", shape: tuple[int, ...] = (3, 5), step: int = 0) -> Tensor:
    numbers: Tensor = getattr(noise, kind)(purpose, shape, step)
    return numbers


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def test_the_generator_gives_the_published_sequence_of_splitmix64() -> None:
    states = torch.tensor(1234567) + torch.arange(1, 4) * _INCREMENT
    raw = [number % 2**64 for number in _mix(states).tolist()]
    assert raw == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("kind", DRAWS)
@given(
    chosen=st.lists(st.sampled_from(IDS), unique=True, max_size=8), seed=st.integers(0, 2**40), step=st.integers(0, 999)
)
@settings(max_examples=40)
def test_an_id_has_the_same_numbers_in_every_batch(kind: str, chosen: list[str], seed: int, step: int) -> None:
    together = draw(Noise(seed, tuple(chosen)), kind, step=step)
    assert together.shape == (len(chosen), 3, 5)
    assert together.dtype == torch.float32
    for row, name in enumerate(chosen):
        assert torch.equal(together[row], draw(Noise(seed, (name,)), kind, step=step)[0])


@pytest.mark.parametrize("kind", DRAWS)
@given(cuts=st.lists(st.integers(0, len(IDS)), max_size=5))
@settings(max_examples=30)
def test_the_shards_of_a_batch_have_the_numbers_of_the_batch(kind: str, cuts: list[int]) -> None:
    noise = Noise(3, IDS).copy(1)
    edges = [0, *sorted(cuts), len(IDS)]
    shards = [draw(noise.rows(start, stop), kind) for start, stop in itertools.pairwise(edges)]
    assert torch.equal(torch.cat(shards), draw(noise, kind))


@pytest.mark.parametrize("kind", DRAWS)
def test_every_part_of_the_key_changes_the_numbers(kind: str) -> None:
    shape, noise = (200, 200), Noise(7, ("a",))
    streams = [
        draw(noise, kind, shape=shape),
        draw(noise, kind, "other", shape),
        draw(noise, kind, step=1, shape=shape),
        draw(noise, kind, step=2, shape=shape),
        draw(Noise(8, ("a",)), kind, shape=shape),
        draw(Noise(7, ("b",)), kind, shape=shape),
        draw(noise.copy(0), kind, shape=shape),
        draw(noise.copy(1), kind, shape=shape),
        draw(noise.copy(0).copy(0), kind, shape=shape),
        draw(noise.copy(1).copy(0), kind, shape=shape),
        draw(noise.derive("attacker"), kind, shape=shape),
        draw(noise.derive("attacker").derive("purifier"), kind, shape=shape),
        draw(noise.derive("purifier"), kind, shape=shape),
    ]
    for one, other in itertools.combinations(streams, 2):
        assert abs(correlation(one, other)) < 5 / math.sqrt(one.numel())
        assert float((one == other).float().mean()) < 1e-3


@pytest.mark.parametrize("kind", DRAWS)
def test_neighboring_numbers_and_neighboring_ids_are_uncorrelated(kind: str) -> None:
    numbers = draw(Noise(0, IDS), kind, shape=(5000,))
    bound = 5 / math.sqrt(numbers.numel())
    for lag in (1, 2, 3, 64, 2500):
        assert abs(correlation(numbers[:, lag:], numbers[:, :-lag])) < bound
        assert abs(correlation(numbers[:, lag:] ** 2, numbers[:, :-lag] ** 2)) < bound
    assert abs(correlation(numbers[1:], numbers[:-1])) < bound


def test_copies_are_reproducible_and_copies_of_copies_are_distinct() -> None:
    noise = Noise(1, IDS[:2])
    assert torch.equal(draw(noise.copy(3), "normal"), draw(noise.copy(3), "normal"))
    indices = {noise.copy(first).copy(second).copy_index for first in range(50) for second in range(50)}
    assert len(indices | {noise.copy(first).copy_index for first in range(50)} | {0}) == 2551


def test_normal_numbers_have_the_moments_and_tails_of_the_normal_distribution() -> None:
    numbers = Noise(11, IDS).normal("chain", (50_001,)).double().flatten()
    count = numbers.numel()
    for power, (moment, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert float((numbers**power).mean()) == pytest.approx(moment, abs=5 * math.sqrt(variance / count))
    for bound in (0.5, 1.0, 2.0, 3.0, 4.0):
        beyond = math.erfc(bound / math.sqrt(2)) / 2
        tolerance = 5 * math.sqrt(beyond / count)
        assert float((numbers > bound).double().mean()) == pytest.approx(beyond, abs=tolerance)
        assert float((numbers < -bound).double().mean()) == pytest.approx(beyond, abs=tolerance)
    assert torch.isfinite(numbers).all()


def test_uniform_numbers_fill_the_half_open_interval_evenly() -> None:
    numbers = Noise(11, IDS).uniform("chain", (50_001,)).double().flatten()
    count = numbers.numel()
    assert float(numbers.min()) >= 0.0
    assert float(numbers.min()) < 20 / count
    assert float(numbers.max()) < 1.0
    assert float(numbers.max()) > 1 - 20 / count
    histogram = torch.histc(numbers, bins=64, min=0, max=1)
    chi_square = float(((histogram - count / 64) ** 2 / (count / 64)).sum())
    assert 63 - 5 * math.sqrt(126) < chi_square < 63 + 5 * math.sqrt(126)


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 3, 3), ()])
def test_odd_and_single_counts_are_filled(shape: tuple[int, ...]) -> None:
    numbers = Noise(0, IDS[:3]).normal("chain", shape)
    assert numbers.shape == (3, *shape)
    assert numbers.unique().numel() == numbers.numel()


@pytest.mark.parametrize("kind", DRAWS)
def test_no_ids_or_an_empty_shape_give_empty_tensors(kind: str) -> None:
    assert draw(Noise(0, ()), kind).shape == (0, 3, 5)
    assert draw(Noise(0, IDS[:2]), kind, shape=(0, 4)).shape == (2, 0, 4)


def test_a_draw_does_not_change_later_draws() -> None:
    noise = Noise(5, IDS[:4])
    first = draw(noise, "normal")
    expected = first.clone()
    first.zero_()
    draw(noise, "uniform")
    assert torch.equal(draw(noise, "normal"), expected)


def test_a_generator_depends_on_the_key() -> None:
    def sequence(noise: Noise, purpose: str = "shuffle") -> list[int]:
        return torch.randperm(50, generator=noise.generator(purpose)).tolist()

    noise = Noise(2, ("fit",))
    assert sequence(noise) == sequence(Noise(2, ("fit",)))
    others = [sequence(Noise(3, ("fit",))), sequence(Noise(2, ("part",))), sequence(noise.copy(0))]
    assert sequence(noise) not in [*others, sequence(noise, "levels")]


@pytest.mark.parametrize("ids", [(), ("a", "b")])
def test_a_generator_needs_exactly_one_id(ids: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"noise: a sequential generator needs exactly one id: got {len(ids)}"):
        Noise(0, ids).generator("shuffle")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", DRAWS)
def test_a_gpu_draws_the_numbers_of_the_cpu(kind: str) -> None:
    on_cpu = draw(Noise(1, IDS), kind, shape=(3, 33, 33))
    on_gpu = draw(Noise(1, IDS, torch.device("cuda")), kind, shape=(3, 33, 33))
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-5, atol=1e-5)


def test_a_reserved_id_cannot_have_another_source() -> None:
    given_source = Noise(0, ("a", "b"))
    with reserve_noise("attack self-seeded", ("b", "c")), reserve_noise("defense inner", ()):
        with pytest.raises(ContractBreach, match="attack self-seeded: it made its own source of noise for b"):
            Noise(0, ("a", "b"))
        with pytest.raises(ContractBreach, match="it made its own source of noise for b"):
            replace(given_source, seed=1)
        assert Noise(0, ("a", "d")).ids == ("a", "d")
        derived = given_source.rows(1, 2).copy(3).derive("purifier").at_position(2)
        assert torch.equal(derived.normal("x", (2,)), derived.normal("x", (2,)))
    assert torch.equal(Noise(0, ("b",)).copy(3).normal("x", (2,)), given_source.rows(1, 2).copy(3).normal("x", (2,)))


def test_threads_have_no_reserved_source_either() -> None:
    problems: list[BaseException] = []

    def make() -> None:
        try:
            Noise(0, ("b",))
        except ContractBreach as error:
            problems.append(error)

    with reserve_noise("attack self-seeded", ("b",)):
        thread = Thread(target=make)
        thread.start()
        thread.join()
    assert len(problems) == 1


def test_the_noise_of_an_attacker_and_of_a_purifier_differ() -> None:
    purifier = Noise(0, ("a",)).copy(1).at_position(0)
    attacker = Noise(0, ("a",)).derive("attacker").derive("purifier").copy(1).at_position(0)
    assert not torch.isclose(purifier.normal("x", (8,)), attacker.normal("x", (8,))).any()


def test_draws_for_pairs_of_row_and_index_do_not_depend_on_each_other() -> None:
    noise = Noise(0, ("a", "b"))
    together = noise.draws((1, 0, 1), (0, 0, 1)).normal("x", (4,))
    alone = torch.cat([noise.draws((row,), (index,)).normal("x", (4,)) for row, index in ((1, 0), (0, 0), (1, 1))])
    assert torch.equal(together, alone)
    assert len({tuple(row.tolist()) for row in (*together, *noise.normal("x", (4,)))}) == 5
