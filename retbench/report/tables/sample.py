"""The number that a block shows of a row, and the values of single queries behind it."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor

from retbench.metrics import Interval, bootstrap_interval
from retbench.report.tables.layout import COSTS, MetricBlock
from retbench.results import Row, Scores
from retbench.stages.scoring import SQUARED


class Sample(NamedTuple):
    """What was measured on each query.

    Attributes:
        values: float (S, Q), one line a seed; NaN where a query is left out. Several numbers a query, such as
            precision over recall, are along a further dimension.
        clusters: int64 (Q,), equal for queries that are drawn together; None where each query is drawn alone.
        squared: whether the metric is the root of the values' mean.
    """

    values: Tensor
    clusters: Tensor | None
    squared: bool


def sample_of(row: Row, metric: str, scores: Scores) -> Sample | None:
    """Return the values behind a metric of a row; None where its scores have none of that name for each query.

    Queries aimed at one target label are a cluster where the metric depends on the target: T-MAP and its kin
    always, everything else under a targeted attack.
    """
    found = [scores(key) for key in row.keys]
    if not found or any(
        metric not in values or values[metric].shape[:1] != values["cluster"].shape for values in found
    ):
        return None
    clustered = metric.startswith("t_map") or row.budget.get("goal") == "targeted"
    values = torch.stack([values[metric].to(torch.float64) for values in found])
    return Sample(values, found[0]["cluster"] if clustered else None, metric in SQUARED)


def are_paired(first: Row, second: Row, mine: Sample, theirs: Sample) -> bool:
    """Return whether two rows have one value each of the same queries under the same seeds, in the same order."""
    alike = mine.values.shape == theirs.values.shape and seeds_of(first) == seeds_of(second)
    return alike and mine.values.ndim == 2


def seeds_of(row: Row) -> list[int]:
    """Return the seeds that were pooled in a row, or its own."""
    return cast(list[int], row.data.get("seeds", [row.seed]))


def interval_of(sample: Sample, row: Row) -> Interval:
    """Return the mean over queries and seeds, or its root, with the interval that the row's protocol asks for."""
    level, resamples = cast(float, row.protocol["confidence"]), cast(int, row.protocol["resamples"])
    return bootstrap_interval(
        sample.values,
        clusters=sample.clusters,
        level=level,
        resamples=resamples,
        statistic="rms" if sample.squared else "mean",
    )


def share_of(sample: Sample, least: float) -> Sample:
    """Return for each query 1 where its value is at least `least`, 0 where it is less, NaN where it is left out."""
    reached = (sample.values >= least).to(torch.float64)
    return Sample(reached.where(~sample.values.isnan(), torch.nan), sample.clusters, False)


def number_of(row: Row, block: MetricBlock, scores: Scores) -> Interval | None:
    """Return the number that a block shows of a row: a metric, a cost, or a share; None where the row has none.

    Of several values of a cost it is the largest; a cost has no interval.
    """
    if block.at is not None:
        sample = sample_of(row, block.name, scores)
        if sample is None or sample.values.ndim != 2:
            return None
        return interval_of(share_of(sample, block.at), row)
    if block.name in COSTS:
        found = [cast(float, row.cost[name]) for name in COSTS[block.name].recorded if name in row.cost]
        return Interval(max(found), math.nan, math.nan) if found else None
    return row.metrics.get(block.name)
