"""Notes on a table whose networks were trained with different numbers of threads or instruction sets of a CPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from retbench.results import StepRecord, trainings_by

SHOWN = 3
"""Trainings that a note names for each number of threads."""


def training_notes(steps: Sequence[StepRecord]) -> Iterator[str]:
    """Yield a note for each property of the CPU that differs between trainings whose numbers stand side by side."""
    threads = {_count_threads(count): each for count, each in trainings_by("threads", steps).items()}
    if len(threads) > 1 or any(" and " in count for count in threads):  # a training may itself have several
        yield (
            f"trained with different numbers of threads, which change MAP by rounding alone: {_list(threads)}; train "
            "again with one number (OMP_NUM_THREADS) in a store of its own before you compare small differences"
        )
    capabilities = trainings_by("cpu_capability", steps)
    if len(capabilities) > 1:
        yield f"trained with different instruction sets, which change MAP by rounding alone: {_list(capabilities)}"


def training_threads(steps: Sequence[StepRecord]) -> list[str]:
    """Return the different numbers of threads of trainings on a CPU, in words; a resumed one may have several."""
    counts = {count for counts in trainings_by("threads", steps) for count in counts.split(" and ")}
    return [_count_threads(count) for count in sorted(counts, key=int)]


def _count_threads(count: str) -> str:
    return f"{count} thread" if count == "1" else f"{count} threads"


def _list(trainings: Mapping[str, Sequence[StepRecord]]) -> str:
    return "; ".join(f"{value}: {_list_labels(trainings[value])}" for value in sorted(trainings))


def _list_labels(steps: Sequence[StepRecord]) -> str:
    labels = list(dict.fromkeys(step.label for step in steps))
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return f"{', '.join(labels[:SHOWN])}{more}"
