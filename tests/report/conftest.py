"""Rows as a run leaves them, and the per-query values behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from retbench.canon import digest
from retbench.contracts import Protocol
from retbench.metrics import Interval
from retbench.results import Evidence, Row, StepRecord
from retbench.stages.scoring import RMS_METRICS

PROTOCOL = {
    **Protocol(resamples=300).model_dump(mode="json"),
    "targets": {"rule": "zero-overlap", "above": 0, "seed": 0, "file": None},
    "chance": {"map": 0.5, "t_map": 0.25},
    "ranked_queries": 10,
    "scored_queries": 10,
    "target_labels": 4,
}
AXES = {"dataset": "digits", "hasher": "dpsh", "bits": 32, "seed": 0, "task": "i2i", "surrogate": "none"}
Values = dict[str, dict[str, Tensor]]


@pytest.fixture
def row() -> Callable[..., Row]:
    """Make a done row of an attack, a defense and a MAP, without scores; `axes` are its other axes."""

    def make(attack: str, defense: str, value: float, variant: str = "", **axes: str | int) -> Row:
        values: dict[str, Any] = {**AXES, "threat": "oblivious", "variant": variant, **axes}
        metrics = {
            "map": Interval(value, value - 0.1, value + 0.05),
            "t_map": Interval(1 - value, 0.9 - value, 1.0),
            "purified_rmse": Interval(value / 10, value / 20, value / 5),
        }
        return Row(**values, attack=attack, defense=defense, status="done", metrics=metrics, protocol=PROTOCOL)

    return make


@pytest.fixture
def queries() -> Values:
    """The per-query values of `scored` rows, by key."""
    return {}


@pytest.fixture
def scored(row: Callable[..., Row], queries: Values) -> Callable[..., Row]:
    """Make a done row from per-query values: a sequence by metric, or one sequence for MAP alone.

    `clusters` are its queries' target labels, by default all different; `goal` is its attack's.
    """

    def make(
        attack: str,
        defense: str,
        values: Mapping[str, Sequence[float]] | Sequence[float],
        variant: str = "",
        *,
        clusters: Sequence[int] | None = None,
        goal: str = "untargeted",
        **axes: str | int,
    ) -> Row:
        unscored = row(attack, defense, 0.5, variant, **axes)
        by_metric = values if isinstance(values, Mapping) else {"map": values}
        tensors = {name: torch.as_tensor(each, dtype=torch.float64) for name, each in by_metric.items()}
        tensors.setdefault("map", next(iter(tensors.values())))
        cluster = torch.arange(len(tensors["map"])) if clusters is None else torch.as_tensor(clusters)
        key = digest([attack, defense, variant, {**axes}])
        queries[key] = {**tensors, "cluster": cluster}
        means = {name: float(each.nanmean()) ** (0.5 if name in RMS_METRICS else 1) for name, each in tensors.items()}
        metrics = {name: Interval(mean, mean - 0.01, mean + 0.01) for name, mean in means.items()}
        ball = {"goal": goal, "norm": "linf", "eps": 8 / 255}
        return replace(unscored, key=key, metrics=metrics, budget=ball if attack != "none" else {}, steps=(key,))

    return make


@pytest.fixture
def evidence(queries: Values) -> Callable[..., Evidence]:
    """Make the evidence of rows; their scores are those of `queries`."""

    def make(rows: Iterable[Row], steps: Mapping[str, StepRecord] | None = None, log: str = "") -> Evidence:
        return Evidence(
            "suite", "Rows made by hand.", "0123456789abcdef" * 4, tuple(rows), steps or {}, queries.__getitem__, log
        )

    return make


@pytest.fixture
def step() -> Callable[..., StepRecord]:
    """Make the record of a step; `environment` overrides fields of a CPU's environment."""

    def make(stage: str = "encode", precision: str = "float32", seconds: float = 1.0, **environment: Any) -> StepRecord:
        fields = {"device": "cpu", "device_name": "plain", "threads": 2, "torch": "2.0", "python": "3.12"}
        fields |= {"versions": {"retbench": "1.0"}, **environment}
        return StepRecord(stage, f"{stage} it", precision, seconds, 3 * 2**20, fields, {})

    return make
