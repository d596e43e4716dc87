"""Notes on trainings with different numbers of threads or instruction sets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from retbench.report.tables.mixture import training_notes, training_threads
from retbench.results import StepRecord

Step = Callable[..., StepRecord]


@pytest.mark.parametrize("numbers", [(), (2,), (2, 2)])
def test_equal_trainings_have_no_note(step: Step, numbers: tuple[int, ...]) -> None:
    assert [*training_notes([step("fit", threads=number) for number in numbers])] == []


def test_each_number_of_threads_names_its_trainings(step: Step) -> None:
    steps = [step("fit", threads=2)._replace(label=f"dpsh of seed {seed}") for seed in range(5)]
    steps += [step("fit_defense", threads=1)._replace(label="atrdh")] * 2
    (note,) = training_notes(steps)
    assert ": 1 thread: atrdh; 2 threads: dpsh of seed 0, dpsh of seed 1, dpsh of seed 2 and 2 more; " in note
    assert "OMP_NUM_THREADS" in note
    assert training_threads(steps) == ["1 thread", "2 threads"]


def test_a_training_resumed_with_another_number_of_threads_is_noted_beside_others(step: Step) -> None:
    (note,) = training_notes([step("fit", threads=2), step("fit", threads=2, earlier_threads=[1])])
    assert ": 1 and 2 threads: " in note


def test_a_training_of_two_numbers_of_threads_is_noted_alone(step: Step) -> None:
    (note,) = training_notes([step("fit", threads=2, earlier_threads=[1])])
    assert ": 1 and 2 threads: " in note
    assert training_threads([step("fit", threads=2, earlier_threads=[1])]) == ["1 thread", "2 threads"]


def test_different_instruction_sets_are_noted_where_they_are_known(step: Step) -> None:
    steps = [step("fit", cpu_capability="AVX2"), step("fit"), step("encode", cpu_capability="AVX512")]
    assert [*training_notes(steps)] == []
    (note,) = training_notes([*steps, step("fit_attack", cpu_capability="AVX512")])
    assert "different instruction sets" in note
    assert ": AVX2: " in note
