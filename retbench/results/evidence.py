"""Everything that a report rests on, whether it comes from a store or from a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from torch import Tensor

from retbench.canon import Json
from retbench.errors import ArtifactError
from retbench.plan import Plan
from retbench.results.row import Row
from retbench.store import Store

Scores = Callable[[str], Mapping[str, Tensor]]
"""The per-query values of a score, by its key."""


class StepRecord(NamedTuple):
    """What a stored step was, and what it took.

    Attributes:
        stage, label: what was done, to what.
        precision: of its networks; empty where none ran.
        seconds: wall time.
        peak_memory: bytes.
        environment: device, device_name, threads, versions of torch and python, and `versions` of retbench and plugins.
        summary: what a report reads of the artifact's summary: `distinct` codes and `float32_agreement` of encodings.
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
    """A suite's rows and what they rest on.

    Attributes:
        title: the suite's name, with its profile.
        description: the suite's.
        digest: of the suite as it was read.
        rows: one for each cell.
        steps: what was computed for them, by key; what is not stored is left out.
        scores: the per-query values behind a row's key: float (Q,) of each metric (mean squares for `perceptibility`
            and `purified_rmse`), NaN for a query that a metric leaves out; `cluster` int64 (Q,), equal where the target
            labels are; `map_recall` and `t_map_recall` float32 (Q, 21), precision at recall 0, 0.05 ... 1;
            `map_depth` and `t_map_depth` float32 (Q, D), precision among the first of `depths` int64 (D,).
        log: the file that failures are logged in; empty where there is no such file.
        notice: what a reader must know of where all of it comes from; empty for a store.
    """

    title: str
    description: str
    digest: str
    rows: tuple[Row, ...]
    steps: Mapping[str, StepRecord]
    scores: Scores
    log: str = ""
    notice: str = ""


def stored_steps(plan: Plan, store: Store) -> dict[str, StepRecord]:
    """Return the stored steps of a plan by key; what is missing or damaged is left out."""
    found = {key: read_step(store, key) for key in plan.steps}
    return {key: step for key, step in found.items() if step is not None}


def read_step(store: Store, key: str) -> StepRecord | None:
    """Return what a stored step was and took, or None for one that is not there or is damaged."""
    try:
        meta = cast(dict[str, Any], store.meta(key))
        recipe = meta["recipe"]
        summary = store.summary(key) if recipe["stage"] == "encode" else {}
    except ArtifactError:
        return None
    kept: dict[str, Json] = {name: summary[name] for name in ("distinct", "float32_agreement") if name in summary}
    label, precision = str(meta["label"]), str(recipe.get("precision") or "")
    return StepRecord(
        recipe["stage"], label, precision, meta["seconds"], meta["peak_memory"], meta["environment"], kept
    )


def stored_scores(store: Store) -> Scores:
    """Return the reader of a store's scores; each is read and checked once."""
    read: dict[str, Mapping[str, Tensor]] = {}

    def scores(key: str) -> Mapping[str, Tensor]:
        if key not in read:
            read[key] = store.get(key).tensors
        return read[key]

    return scores


def shown_steps(rows: Sequence[Row], steps: Mapping[str, StepRecord]) -> list[StepRecord]:
    """Return what was computed for some rows, each step once, in the order it ran."""
    return [steps[key] for key in dict.fromkeys(key for row in rows for key in row.steps) if key in steps]
