"""The data behind a report: rows, step records and per-query values, from a store or from a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, cast

from torch import Tensor

from retbench.canon import Json
from retbench.errors import ArtifactError
from retbench.plan import Plan
from retbench.results.row import Row
from retbench.store import Store

ScoreReader = Callable[[str], Mapping[str, Tensor]]
"""Returns the per-query values of a score by its key."""


class StepRecord(NamedTuple):
    """The description and the cost of a stored step.

    Attributes:
        stage: the name of the stage.
        label: the component and its data, in words.
        precision: the precision of its networks; empty without networks.
        seconds: the wall time.
        peak_memory: the peak memory in bytes.
        environment: device, device_name, threads, cpu_capability (missing in older records), versions of torch and
            python, and `versions` of retbench and plugins; `earlier_threads` of a training that resumed one with other
            numbers of threads.
        summary: `distinct` codes and `float32_agreement` of encodings; empty for other stages.
    """

    stage: str
    label: str
    precision: str
    seconds: float
    peak_memory: int
    environment: Mapping[str, Json]
    summary: Mapping[str, Json]


@dataclass(frozen=True)
class Evidence:
    """The rows of a suite, with the data from which they were computed.

    Attributes:
        title: the name of the suite, with its profile.
        description: the description of the suite.
        digest: the digest of the suite as it was read.
        rows: one row for each cell.
        steps: the stored steps behind the rows, by key.
        scores: returns the per-query values of a row's key: float (Q,) for each metric (mean squares for
            `perceptibility` and `purified_rmse`), NaN for a query that the metric leaves out; `cluster` int64 (Q,),
            equal for equal target labels; `map_recall` and `t_map_recall` float32 (Q, 21), precision at recall 0,
            0.05 ... 1; `map_depth` and `t_map_depth` float32 (Q, D), precision among the first `depths` int64 (D,).
        log: the log file with failures; empty without one.
        notice: a note about the origin of the rows; empty for a store.
    """

    title: str
    description: str
    digest: str
    rows: tuple[Row, ...]
    steps: Mapping[str, StepRecord]
    scores: ScoreReader
    log: str = ""
    notice: str = ""


def read_step_records(plan: Plan, store: Store) -> dict[str, StepRecord]:
    """Return the records of a plan's stored steps by key, without missing and damaged ones."""
    records = {key: _read_step_record(store, key) for key in plan.steps}
    return {key: record for key, record in records.items() if record is not None}


def _read_step_record(store: Store, key: str) -> StepRecord | None:
    """Return the record of a stored step, or None for a missing or damaged one."""
    try:
        meta = cast(dict[str, Any], store.meta(key))
        recipe = meta["recipe"]
        summary = store.summary(key) if recipe["stage"] == "encode" else {}
    except ArtifactError:
        return None
    encoding: dict[str, Json] = {name: summary[name] for name in ("distinct", "float32_agreement") if name in summary}
    label, precision = str(meta["label"]), str(recipe.get("precision") or "")
    return StepRecord(
        recipe["stage"], label, precision, meta["seconds"], meta["peak_memory"], meta["environment"], encoding
    )


def make_score_reader(store: Store) -> ScoreReader:
    """Return a function that reads the per-query values of a score from a store, each key once."""

    @cache
    def read_scores(key: str) -> Mapping[str, Tensor]:
        return store.get(key).tensors

    return read_scores


def trainings_by(
    field: Literal["threads", "cpu_capability"], steps: Iterable[StepRecord]
) -> dict[str, list[StepRecord]]:
    """Return the trainings on a CPU by a field of their environment on which the rounding of their sums depends.

    A training amplifies rounding errors: with another number of threads, it ends with other weights under the same key.
    Trainings whose record lacks the field are left out.
    """
    trainings: dict[str, list[StepRecord]] = {}
    for step in steps:
        if step.stage.startswith("fit") and step.environment["device"] == "cpu" and step.environment.get(field):
            values = {step.environment[field]}
            if field == "threads":  # those of the attempts that a resumed training continued
                values |= {*cast(list[int], step.environment.get("earlier_threads", []))}
            trainings.setdefault(" and ".join(map(str, sorted(cast(set[Any], values)))), []).append(step)
    return trainings


def steps_of_rows(rows: Sequence[Row], steps: Mapping[str, StepRecord]) -> list[StepRecord]:
    """Return the records of all steps behind some rows, each once, in the order of the plan."""
    return [steps[key] for key in dict.fromkeys(key for row in rows for key in row.steps) if key in steps]
