"""What codes and labels determine: rankings as numbers of each query, and their means with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Protocol
from retbench.metrics import (
    AveragePrecision,
    Interval,
    Measure,
    PrecisionAt,
    PrecisionRecall,
    Statistic,
    bootstrap_interval,
    chance_level,
    measure_rankings,
)

RECALLS = torch.arange(21, dtype=torch.float64) / 20
"""The levels of recall at which precision is recorded."""
DEPTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""The numbers of answers among which precision is recorded, as far as the database goes."""
SQUARED = ("perceptibility", "purified_rmse")
"""Metrics whose values are mean squares, one a query: the root of their mean is told."""
RANKED = ("map", "t_map")


def rank_queries(
    codes: Tensor,
    database: Tensor,
    labels: Mapping[str, Tensor],
    database_labels: Tensor,
    *,
    bits: int,
    protocol: Protocol,
) -> dict[str, Tensor]:
    """Return everything that is measured of each query's ranking of the database by Hamming distance.

    `map` and `t_map` are its average precision by its own labels and by its target's: float64 (Q,). `map_worst`,
    `map_best` and their likes are the same with ties broken against it and in its favor, where the order inside ties
    is bounded by these (`ranking.average_precision`) and the protocol does not itself break them so. `map_recall` is
    the precision at `RECALLS`, float32 (Q, 21), `map_depth` among the first `depths`, float32 (Q, D), int64 (D,).
    `cluster` numbers the distinct target labels: int64 (Q,).

    Args:
        codes, database: packed uint8 (Q, B) and (M, B).
        labels: `map`: the queries' own, `t_map`: their targets'; multi-hot uint8 (Q, C).
        database_labels: multi-hot uint8 (M, C).
        bits: the codes' length.
        protocol: how average precision is cut and ties are broken.
    """
    found: dict[str, Tensor] = {}
    depths = [depth for depth in DEPTHS if depth <= len(database)]
    measures: dict[str, Measure] = {"": AveragePrecision(protocol.map, protocol.depth, protocol.ties)}
    if protocol.map in ("full", "first-k-relevant") and protocol.ties in ("stable", "expected"):
        measures["_worst"] = AveragePrecision(protocol.map, protocol.depth, "worst")
        measures["_best"] = AveragePrecision(protocol.map, protocol.depth, "best")
    measures["_recall"] = PrecisionRecall(RECALLS, protocol.ties)
    measures["_depth"] = PrecisionAt(depths, protocol.ties)
    sets = measure_rankings(
        codes, database, list(labels.values()), database_labels, bits=bits, measures=list(measures.values())
    )
    for name, values in zip(labels, sets, strict=True):
        for suffix, value in zip(measures, values, strict=True):
            found[f"{name}{suffix}"] = value.float() if suffix in ("_recall", "_depth") else value[:, 0]
    found["depths"] = torch.tensor(depths, dtype=torch.int64)
    found["cluster"] = torch.unique(labels["t_map"], dim=0, return_inverse=True)[1]
    return found


def summarize(
    values: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    database_labels: Tensor,
    protocol: Protocol,
    *,
    targeted: bool,
) -> dict[str, Json]:
    """Return the means of per-query values with their intervals, and what a reader needs to read them.

    `metrics`: intervals by metric; `tie_ranges`: means with ties broken worst and best; `queries`: how many count;
    `chance`: the share of the database relevant to a query, by labels; `target_labels`: distinct targets.

    Queries with one target label are drawn together, as a cluster, where the number hangs on the target: T-MAP always,
    everything else under a targeted attack.

    Args:
        values: of `rank_queries`, and `perceptibility`, `purified_rmse` (mean squares) and `ssim` where there are any.
        labels, database_labels, protocol: as `rank_queries`.
        targeted: whether the queries were attacked towards their targets.
    """
    metrics, tie_ranges = dict[str, Json](), dict[str, Json]()
    for name in (*RANKED, *SQUARED, "ssim"):
        if name in values:
            metrics[name] = _plain(interval_of(name, values, protocol, targeted=targeted))
        if f"{name}_best" in values:
            worst, best = (_number(float(values[f"{name}_{end}"].nanmean())) for end in ("worst", "best"))
            tie_ranges[name] = {"worst": worst, "best": best}
    return {
        "metrics": metrics,
        "tie_ranges": tie_ranges,
        "queries": int(values["map"].isfinite().sum()),
        "chance": {name: _number(chance_level(wanted, database_labels)) for name, wanted in labels.items()},
        "target_labels": len(torch.unique(values["cluster"])),
    }


def interval_of(name: str, values: Mapping[str, Tensor], protocol: Protocol, *, targeted: bool) -> Interval:
    """Return the mean of a metric's values, or their root mean square, with its interval."""
    statistic: Statistic = "rms" if name in SQUARED else "mean"
    return bootstrap_interval(
        values[name],
        clusters=values["cluster"] if targeted or name == "t_map" else None,
        level=protocol.confidence,
        resamples=protocol.resamples,
        statistic=statistic,
    )


def _plain(interval: Interval) -> dict[str, Json]:
    return {name: _number(cast(float, value)) for name, value in interval._asdict().items()}


def _number(value: float) -> float | None:
    """Return a number as JSON, null where it is NaN: JSON has no word for a mean over nothing."""
    return None if math.isnan(value) else value
