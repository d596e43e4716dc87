"""Retrieval measures, image distances, confidence intervals and significance tests: pure functions on tensors."""

from retbench.metrics.bounded import bounded_interval
from retbench.metrics.codes import hamming, pack, unpack
from retbench.metrics.comparison import PairedTest, compare_many, compare_pairs, detectable_difference, holm
from retbench.metrics.measures import Measure, measure_rankings
from retbench.metrics.perceptual import l2, linf, mse, perceptibility, psnr, ssim
from retbench.metrics.precision import PrecisionAt, PrecisionRecall, precision_at, precision_recall
from retbench.metrics.ranking import (
    AveragePrecision,
    Definition,
    average_precision,
    mean_average_precision,
    random_precision,
)
from retbench.metrics.relevance import chance_level, relevant_counts
from retbench.metrics.statistics import Interval, Statistic, bootstrap_interval, paired_difference
from retbench.metrics.ties import Ties

__all__ = [
    "AveragePrecision",
    "Definition",
    "Interval",
    "Measure",
    "PairedTest",
    "PrecisionAt",
    "PrecisionRecall",
    "Statistic",
    "Ties",
    "average_precision",
    "bootstrap_interval",
    "bounded_interval",
    "chance_level",
    "compare_many",
    "compare_pairs",
    "detectable_difference",
    "hamming",
    "holm",
    "l2",
    "linf",
    "mean_average_precision",
    "measure_rankings",
    "mse",
    "pack",
    "paired_difference",
    "perceptibility",
    "precision_at",
    "precision_recall",
    "psnr",
    "random_precision",
    "relevant_counts",
    "ssim",
    "unpack",
]
