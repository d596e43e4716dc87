"""The number that a block shows of a row, and the per-query values behind it."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor

from retbench.metrics import Interval
from retbench.report.tables.layout import COSTS, MetricBlock
from retbench.results import Row, ScoreReader
from retbench.stages.scoring import Statistic, mean_with_interval, statistic_of


class Sample(NamedTuple):
    """The values of one metric on each query.

    Attributes:
        values: float (S, Q), one row per seed; NaN for queries that are left out. Metrics with several numbers per
            query, such as precision over recall, have a third dimension.
        clusters: int64 (Q,), equal for queries that are not independent; None if all are independent.
        statistic: how the values become one number.
    """

    values: Tensor
    clusters: Tensor | None
    statistic: Statistic


def sample_of(row: Row, metric: str, scores: ScoreReader) -> Sample | None:
    """Return the per-query values of a metric of a row; None if its scores have none of that name.

    Queries with the same target label are a cluster where the metric depends on the target: T-MAP and related metrics
    always, all others under a targeted attack.
    """
    found = [scores(key) for key in row.keys]
    if not found or any(
        metric not in values or values[metric].shape[:1] != values["cluster"].shape for values in found
    ):
        return None
    clustered = metric.startswith("t_map") or row.budget.get("goal") == "targeted"
    values = torch.stack([values[metric].to(torch.float64) for values in found])
    return Sample(values, found[0]["cluster"] if clustered else None, statistic_of(metric))


def are_paired(first: Row, second: Row, first_sample: Sample, second_sample: Sample) -> bool:
    """Return whether two rows have one value each for the same queries under the same seeds, in the same order."""
    same = first_sample.values.shape == second_sample.values.shape and seeds_of(first) == seeds_of(second)
    return same and first_sample.values.ndim == 2


def seeds_of(row: Row) -> list[int]:
    """Return the seeds that were pooled in a row, or its own."""
    return cast(list[int], row.data.get("seeds", [row.seed]))


def compute_interval(sample: Sample, row: Row) -> Interval:
    """Return the number of a sample over queries and seeds with the confidence interval of the row's protocol."""
    level, resamples = cast(float, row.protocol["confidence"]), cast(int, row.protocol["resamples"])
    return mean_with_interval(sample.values, sample.clusters, sample.statistic, level=level, resamples=resamples)


def share_reaching(sample: Sample, minimum: float) -> Sample:
    """Return for each query 1 if its value is at least `minimum`, else 0, and NaN where it is left out."""
    reached = (sample.values >= minimum).to(torch.float64)
    return Sample(reached.where(~sample.values.isnan(), torch.nan), sample.clusters, "share")


def block_interval(row: Row, block: MetricBlock, scores: ScoreReader) -> Interval | None:
    """Return the number that a block shows of a row: a metric, a cost, or a share; None if the row has none.

    A cost that is recorded under several names is their maximum; a cost has no confidence interval.
    """
    if block.at is not None:
        sample = sample_of(row, block.name, scores)
        if sample is None or sample.values.ndim != 2:
            return None
        return compute_interval(share_reaching(sample, block.at), row)
    if block.name in COSTS:
        values = [cast(float, row.cost[name]) for name in COSTS[block.name].recorded if name in row.cost]
        return Interval(max(values), math.nan, math.nan) if values else None
    return row.metrics.get(block.name)
