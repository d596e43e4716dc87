"""Compute the metrics of every query from codes and labels, and summarize them with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, cast

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
    bootstrap_interval,
    bounded_interval,
    mean_average_precision,
    measure_rankings,
    random_precision,
)
from retbench.stages.targets import NO_ROW

RECALL_LEVELS = torch.arange(21, dtype=torch.float64) / 20
"""Recall levels at which precision is recorded: 0, 0.05 ... 1."""
DEPTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Ranks up to which precision is recorded, as far as the database is large enough."""
RMS_METRICS = ("perceptibility", "purified_rmse")
"""Metrics stored as per-query mean squares and reported as the root of their mean."""
RANKING_METRICS = ("map", "t_map")
Statistic = Literal["share", "mean", "rms"]
"""How the values of queries become one number: `share` is the mean of values in 0..1, `rms` the root mean square."""
QUERIES_USED = "attack_queries"
"""The queries to the network that a black-box attack used for each query image; the metric is their mean."""
CODE_FIELDS = ("distinct_codes", "largest_code", "label_variety")
"""What `describe_codes` returns."""
GRADIENT = "gradient"
"""Whether the network gave an attack a gradient for each query image: 1; 0 for gradients of 0; -1 for none at all."""


def rank_queries(
    codes: Tensor,
    database: Tensor,
    labels: Mapping[str, Tensor],
    database_labels: Tensor,
    *,
    bits: int,
    protocol: Protocol,
) -> dict[str, Tensor]:
    """Return the metrics of each query's ranking of the database by Hamming distance.

    Args:
        codes: the codes of the queries, packed uint8 (Q, B).
        database: the codes of the database, packed uint8 (M, B).
        labels: for `map` the labels of the queries, for `t_map` those of their targets; multi-hot uint8 (Q, C).
        database_labels: multi-hot uint8 (M, C).
        bits: the code length.
        protocol: the definition of average precision and the rule for ties.

    Returns:
        For each key of `labels`, here `map`:
        `map`: the average precision, float64 (Q,);
        `map_worst`, `map_best`: the same with ties broken against and in favor of the query; absent where they are no
        bounds for the definition, or where the protocol itself breaks ties so (see `ranking.average_precision`);
        `map_recall`: the precision at `RECALL_LEVELS`, float32 (Q, 21);
        `map_depth`: the precision among the first `depths` items, float32 (Q, D).
        `depths`: int64 (D,); `cluster`: a number for each distinct target label vector, int64 (Q,).
    """
    metrics: dict[str, Tensor] = {}
    depths = [depth for depth in DEPTHS if depth <= len(database)]
    measures: dict[str, Measure] = {"": AveragePrecision(protocol.map, protocol.depth, protocol.ties)}
    if protocol.map in ("full", "first-k-relevant") and protocol.ties in ("stable", "expected"):
        measures["_worst"] = AveragePrecision(protocol.map, protocol.depth, "worst")
        measures["_best"] = AveragePrecision(protocol.map, protocol.depth, "best")
    measures["_recall"] = PrecisionRecall(RECALL_LEVELS, protocol.ties)
    measures["_depth"] = PrecisionAt(depths, protocol.ties)
    measured = measure_rankings(
        codes, database, list(labels.values()), database_labels, bits=bits, measures=list(measures.values())
    )
    for name, values in zip(labels, measured, strict=True):
        for suffix, value in zip(measures, values, strict=True):
            metrics[f"{name}{suffix}"] = value.float() if suffix in ("_recall", "_depth") else value[:, 0]
    metrics["depths"] = torch.tensor(depths, dtype=torch.int64)
    metrics["cluster"] = torch.unique(labels["t_map"], dim=0, return_inverse=True)[1]
    return metrics


def leave_out_untargeted(values: Mapping[str, Tensor], target_rows: Tensor) -> dict[str, Tensor]:
    """Return the values of `rank_queries` with NaN for T-MAP, and the cluster -1, of queries without a target.

    Args:
        values: the result of `rank_queries`.
        target_rows: the database row that each target was taken from, int64 (Q,); `NO_ROW` without a target.
    """
    untargeted, changed = target_rows == NO_ROW, dict(values)
    for name, value in values.items():
        if name.startswith("t_map"):
            changed[name] = value.masked_fill(untargeted.reshape(-1, *[1] * (value.ndim - 1)), math.nan)
    return {**changed, "cluster": values["cluster"].masked_fill(untargeted, -1)}


def summarize(
    values: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    database_labels: Tensor,
    protocol: Protocol,
    *,
    targeted: bool,
) -> dict[str, Json]:
    """Return the means of per-query values with their confidence intervals, and related counts.

    Where a number depends on the targets (T-MAP always, all others under a targeted attack), queries that share a
    target label vector are one cluster. T-MAP, its chance level and the number of target label vectors
    leave out the queries without a target.

    Args:
        values: the result of `leave_out_untargeted`, with `perceptibility`, `purified_rmse` (mean squares) and `ssim`
            of changed images, the `gradient` of an attack, and the `attack_queries` of a black-box one.
        labels: as in `rank_queries`.
        database_labels: as in `rank_queries`.
        protocol: the confidence level and the number of resamples.
        targeted: whether a targeted attack changed the queries.

    Returns:
        `metrics`: intervals by metric;
        `tie_ranges`: the means with ties broken worst and best, by metric;
        `queries`: the number of queries with a defined `map`;
        `chance`: the metrics of a random ranking, by metric;
        `target_labels`: the number of distinct target label vectors;
        `unchanged`: under an attack, the number of queries whose image it left as it was;
        `gradientless`: under an attack, the number of queries for which all its gradients were 0.
    """
    metrics, tie_ranges = dict[str, Json](), dict[str, Json]()
    for name in (*RANKING_METRICS, *RMS_METRICS, "ssim", QUERIES_USED):
        if name in values:
            clusters = values["cluster"] if targeted or name == "t_map" else None
            metrics[name] = _record_interval(
                mean_with_interval(
                    values[name], clusters, statistic_of(name), level=protocol.confidence, resamples=protocol.resamples
                )
            )
        if f"{name}_best" in values:
            worst, best = (_number(float(values[f"{name}_{end}"].nanmean())) for end in ("worst", "best"))
            tie_ranges[name] = {"worst": worst, "best": best}
    targeted_queries = values["cluster"] >= 0
    vectors = {**labels, "t_map": labels["t_map"][targeted_queries]}
    counts: dict[str, Json] = {}
    if "perceptibility" in values:
        counts["unchanged"] = int((values["perceptibility"] == 0).sum())
    if GRADIENT in values:
        counts["gradientless"] = int((values[GRADIENT] == 0).sum())
    return {
        **counts,
        "metrics": metrics,
        "tie_ranges": tie_ranges,
        "queries": int(values["map"].isfinite().sum()),
        "chance": {name: _number(_chance(vectors[name], database_labels, protocol)) for name in labels},
        "target_labels": len(torch.unique(values["cluster"][targeted_queries])),
    }


def describe_codes(codes: Tensor, labels: Tensor) -> dict[str, Json]:
    """Return how many items of a database a hasher can tell apart.

    Args:
        codes: the codes of the database, packed uint8 (M, B).
        labels: multi-hot uint8 (M, C).

    Returns:
        `distinct_codes`: the number of distinct codes;
        `largest_code`: the share of the items that have the most frequent code, 0 for an empty database;
        `label_variety`: the number of label vectors, rare ones counted in part: the exponential of their entropy.
    """
    items = torch.unique(codes, dim=0, return_counts=True)[1]
    shares = torch.unique(labels, dim=0, return_counts=True)[1] / max(1, len(labels))
    return {
        "distinct_codes": len(items),
        "largest_code": float(items.max()) / len(codes) if len(codes) else 0.0,
        "label_variety": math.exp(float(torch.special.entr(shares.double()).sum())) if len(labels) else 0.0,
    }


def statistic_of(metric: str) -> Statistic:
    """Return how the values of a metric become one number; MAP and T-MAP also stand for their precisions."""
    if metric in RMS_METRICS:
        return "rms"
    return "share" if metric.startswith(RANKING_METRICS) else "mean"


def mean_with_interval(
    values: Tensor, clusters: Tensor | None, statistic: Statistic, *, level: float, resamples: int
) -> Interval:
    """Return a statistic of values over queries (Q,), or seeds and queries (S, Q), with its confidence interval.

    Shares have `bounded_interval`, which keeps its coverage near 0 and 1. The scale of other metrics is far from any
    bound, so they have `bootstrap_interval`.
    """
    if statistic == "share":
        return bounded_interval(values, clusters=clusters, level=level, resamples=resamples)
    return bootstrap_interval(values, clusters=clusters, level=level, resamples=resamples, statistic=statistic)


def _chance(labels: Tensor, database_labels: Tensor, protocol: Protocol) -> float:
    """Return the MAP of a random ranking under the protocol's definition."""
    expected = random_precision(labels, database_labels, definition=protocol.map, depth=protocol.depth)
    return mean_average_precision(expected)


def _record_interval(interval: Interval) -> dict[str, Json]:
    return {name: _number(cast(float, value)) for name, value in interval._asdict().items()}


def _number(value: float) -> float | None:
    """Return a number as JSON, with null for NaN, the mean over no queries."""
    return None if math.isnan(value) else value
