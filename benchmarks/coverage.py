"""Simulate how often the confidence interval of a MAP contains the true one when few queries fail.

    python benchmarks/coverage.py                        # about ten minutes
    python benchmarks/coverage.py --simulations 200      # coarser

Every simulated query has the average precision 1, or 0 if it fails. Queries of one cluster, such as those with the same
target labels, fail together. Each entry is the share of simulations whose 95 % interval contains the true mean: of the
interval that tables print (`bounded_interval`), and of a plain bootstrap of clusters (`bootstrap_interval`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate
from torch import Tensor

from retbench.metrics import Interval, bootstrap_interval, bounded_interval

RATES = (0.005, 0.01, 0.02, 0.05, 0.3)
"""The failure rates; the last one is far from the ceiling, to compare widths."""
COUNTS = (10, 20, 50, 100, 200)
"""The numbers of clusters."""
LARGEST = 20
"""The size of the largest of clusters of different sizes."""
METHODS: Mapping[str, Callable[..., Interval]] = {"bounded": bounded_interval, "bootstrap": bootstrap_interval}


def equal_sizes(count: int) -> NDArray[np.int64]:
    """Return the sizes of clusters of one query."""
    return np.ones(count, dtype=np.int64)


def geometric_sizes(count: int) -> NDArray[np.int64]:
    """Return the sizes of clusters of 1 to `LARGEST` queries, evenly spaced in their logarithm."""
    return np.rint(np.geomspace(1, LARGEST, count)).astype(np.int64)


SIZES: Mapping[str, Callable[[int], NDArray[np.int64]]] = {
    "independent queries": equal_sizes,
    f"clusters of 1 to {LARGEST} queries": geometric_sizes,
}


def main() -> None:
    """Simulate and print a table of coverages for each kind of clusters, and one of widths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000, help="simulations per entry (default: %(default)s)")
    parser.add_argument("--clusters", type=int, nargs="+", default=COUNTS, help="numbers of clusters")
    options = parser.parse_args()
    for kind, sizes_of in SIZES.items():
        coverages, widths = [], []
        for count in options.clusters:
            results = [simulate(sizes_of(count), rate, options.simulations) for rate in RATES]
            coverages.append([count, *(format_pair([100 * result[m][0] for m in METHODS]) for result in results)])
            widths.append([count, *(format_pair([100 * result[m][1] for m in METHODS]) for result in results)])
        headers = ["clusters", *(f"{100 * rate:g} % fail" for rate in RATES)]
        names = " / ".join(METHODS)
        print(f"\n{kind}: coverage in percent, {names}\n")
        print(tabulate(coverages, headers, "github", disable_numparse=True))
        print(f"\n{kind}: mean width in points, {names}\n")
        print(tabulate(widths, headers, "github", disable_numparse=True), flush=True)


def simulate(sizes: NDArray[np.int64], rate: float, simulations: int) -> dict[str, tuple[float, float]]:
    """Return the coverage, and the mean width, of each method for clusters of these sizes that fail at a rate."""
    rng = np.random.default_rng((len(sizes), int(1000 * rate)))
    clusters = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
    hits, widths = dict.fromkeys(METHODS, 0), dict.fromkeys(METHODS, 0.0)
    for _ in range(simulations):
        values = draw_values(rng, sizes, rate)
        for name, method in METHODS.items():
            interval = method(values, clusters=clusters)
            hits[name] += interval.low <= 1 - rate <= interval.high
            widths[name] += interval.high - interval.low
    return {name: (hits[name] / simulations, widths[name] / simulations) for name in METHODS}


def draw_values(rng: np.random.Generator, sizes: NDArray[np.int64], rate: float) -> Tensor:
    """Return the average precision of each query, 0 in clusters that fail and 1 in the others: float64 (Q,)."""
    succeeds = rng.random(len(sizes)) >= rate
    return torch.from_numpy(np.repeat(succeeds, sizes).astype(np.float64))


def format_pair(values: Sequence[float]) -> str:
    """Return the numbers of the methods with one decimal."""
    return " / ".join(f"{value:.1f}" for value in values)


if __name__ == "__main__":
    main()
