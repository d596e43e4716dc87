"""Measure time and memory of MAP under the tie rules `stable` and `expected`, relative to a loop of NumPy argsorts.

    python benchmarks/map.py                                          # 2100 x 193 734 items, 32 bits, synthetic labels
    python benchmarks/map.py --labels TRAIN_LABELS.txt TEST_LABELS.txt       # labels drawn from the rows of files

retbench runs in its own process on all queries. The loops run on a subset of the queries, and their time is scaled. A
loop sorts once per query and scores that query under both rules; the two loops differ in the distances that they sort:

- `float`: inner products of float32 codes, as evaluation code is commonly written;
- `words`: popcounts of packed codes in one byte, which NumPy sorts by radix: about the best that a loop of argsorts can
  do (needs NumPy 2).

The last lines compare one call of `rank_queries`, which computes all values of a score (MAP and T-MAP with their
bounds, precision at recall levels and at depths), with ten calls of single metrics, on databases of two sizes.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

SCORE_SIZES = ((200, 1597), (500, 30_000))
"""Numbers of queries and items for which a whole score is timed: those of digits, and of a common benchmark."""
SCORE_REPEATS = 7


class Problem(NamedTuple):
    """Packed codes and multi-hot labels of queries and database."""

    queries: Bytes
    database: Bytes
    query_labels: Bytes
    database_labels: Bytes


class Baseline(NamedTuple):
    """The two functions of a query that a loop calls before it sorts.

    Attributes:
        distances: distance of each database item, (N,).
        relevant: whether each database item is relevant, bool (N,).
    """

    distances: Callable[[int], NDArray[Any]]
    relevant: Callable[[int], NDArray[Any]]


class TimedCall(NamedTuple):
    """The seconds and the return value of a call."""

    seconds: float
    value: Any


class BaselineResult(NamedTuple):
    """Seconds per query, and the stable and expected AP of each timed query, (2, queries)."""

    seconds: float
    scores: Floats


def main() -> None:
    """Print the comparison, or, in the child process, measure retbench."""
    options = parse_options()
    if options.child:
        print(json.dumps(measure_retbench(options)))
        return
    child = [sys.executable, __file__, *sys.argv[1:], "--child"]
    measured = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    print(f"{options.queries} queries x {options.items} items, {options.bits} bits, {options.threads} threads")
    print(f"{describe_labels(options)}; {100 * measured['chance']:.1f} % of the database is relevant on average")
    stable, expected = measured["stable"], measured["expected"]
    print(f"retbench: {stable:.2f} s stable + {expected:.2f} s expected, on all {options.queries} queries")
    print(f"      the first call takes {measured['first']:.1f} s more (it compiles, or loads the cache)")
    print(
        f"      peak memory {measured['peak']:.0f} MiB, of which {measured['imports']:.0f} MiB after the imports alone"
    )
    problem, few = draw_problem(options), options.baseline_queries
    for name, baseline in (("float", float_loop(problem, options.bits)), ("words", words_loop(problem))):
        result = run_baseline(baseline, few)
        ratio = result.seconds * options.queries / (stable + expected)
        difference = np.abs(result.scores - np.array(measured["scores"])[:, :few]).max()
        print(f"{name} loop: {result.seconds * options.queries:.1f} s, scaled from {few} queries")
        print(f"      retbench takes 1/{ratio:.1f} of that; the largest difference of an AP is {difference:.0e}")
    for score in measured["whole_scores"]:
        size = f"{score['queries']} queries x {score['items']} items"
        print(f"a whole score, {size}: {1e3 * score['one']:.0f} ms in one call, 1/{score['ratio']:.1f} of ten calls")


def parse_options() -> argparse.Namespace:
    """Return the command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("queries", 2100), ("items", 193734), ("bits", 32), ("classes", 21), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    parser.add_argument("--baseline-queries", type=int, default=40, help="queries of the loops (default: %(default)s)")
    parser.add_argument(
        "--labels", type=Path, nargs="+", default=[], help="files of 0/1 columns from whose rows labels are drawn"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of codes and labels (default: %(default)s)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def describe_labels(options: argparse.Namespace) -> str:
    """Return a description of the source of the labels."""
    if options.labels:
        return "labels drawn from " + ", ".join(path.name for path in options.labels)
    return f"synthetic labels (3 of {options.classes} classes on average)"


def draw_problem(options: argparse.Namespace) -> Problem:
    """Return random codes, and labels drawn at random or with replacement from the rows of the files."""
    rng = np.random.default_rng(options.seed)
    count = options.queries + options.items
    codes = np.packbits(rng.integers(0, 2, (count, options.bits), np.uint8), axis=1)
    if options.labels:
        rows = np.concatenate([np.loadtxt(path, dtype=np.uint8) for path in options.labels])
        labels = rows[rng.integers(0, len(rows), count)]
    else:
        labels = (rng.random((count, options.classes), np.float32) < 3 / options.classes).astype(np.uint8)
    return Problem(
        codes[: options.queries], codes[options.queries :], labels[: options.queries], labels[options.queries :]
    )


def measure_retbench(options: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds, scores and peak memory (MiB) of retbench.metrics in this process."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import torch

    from retbench.metrics import average_precision, chance_level

    imports = peak_mebibytes()
    torch.set_num_threads(options.threads)
    inputs = tuple(map(torch.from_numpy, draw_problem(options)))
    few = (inputs[0][:2], inputs[1][:1000], inputs[2][:2], inputs[3][:1000])
    first = time_call(
        lambda: [average_precision(*few, bits=options.bits, ties=t) for t in ("stable", "expected")]
    ).seconds
    stable, expected = (
        time_call(partial(average_precision, *inputs, bits=options.bits, ties=ties)) for ties in ("stable", "expected")
    )
    peak = peak_mebibytes()
    return {
        "first": first,
        "stable": stable.seconds,
        "expected": expected.seconds,
        "scores": [stable.value.tolist(), expected.value.tolist()],
        "peak": peak,
        "imports": imports,
        "chance": chance_level(inputs[2], inputs[3]),
        "whole_scores": [measure_whole_score(options, *size) for size in SCORE_SIZES],
    }


def measure_whole_score(options: argparse.Namespace, queries: int, items: int) -> dict[str, float]:
    """Return the seconds of `rank_queries`, and the ratio of ten separate calls to it: medians of alternating runs."""
    import torch

    from retbench.contracts import Protocol
    from retbench.metrics import average_precision, precision_at, precision_recall
    from retbench.stages.scoring import DEPTHS, RECALL_LEVELS, rank_queries

    problem = draw_problem(argparse.Namespace(**{**vars(options), "queries": queries, "items": items}))
    codes, database, query_labels, database_labels = map(torch.from_numpy, problem)
    labels_by_metric = {"map": query_labels, "t_map": query_labels.roll(1, 0)}
    depths = [depth for depth in DEPTHS if depth <= items]

    def call_metrics() -> None:
        for labels in labels_by_metric.values():
            inputs = (codes, database, labels, database_labels)
            for ties in ("stable", "worst", "best"):
                average_precision(*inputs, bits=options.bits, ties=ties)
            precision_recall(*inputs, bits=options.bits, recalls=RECALL_LEVELS)
            precision_at(*inputs, bits=options.bits, depths=depths)

    rank = partial(
        rank_queries, codes, database, labels_by_metric, database_labels, bits=options.bits, protocol=Protocol()
    )
    call_metrics()  # warm-up: compiles every metric
    runs = [(time_call(rank).seconds, time_call(call_metrics).seconds) for _ in range(SCORE_REPEATS)]
    ratio = float(np.median([ten / one for one, ten in runs]))
    return {"queries": queries, "items": items, "one": float(np.median([one for one, _ in runs])), "ratio": ratio}


def time_call(call: Callable[[], Any]) -> TimedCall:
    """Return the seconds and the return value of a call."""
    start = time.perf_counter()
    value = call()
    return TimedCall(time.perf_counter() - start, value)


def peak_mebibytes() -> float:
    """Return the peak resident set of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def float_loop(problem: Problem, bits: int) -> Baseline:
    """Return the loop with float32 inner products, of codes for the distances and of labels for the relevance."""
    queries, database = (
        np.unpackbits(codes, axis=1)[:, :bits].astype(np.float32) * 2 - 1
        for codes in (problem.queries, problem.database)
    )
    query_labels, labels = problem.query_labels.astype(np.float32), problem.database_labels.astype(np.float32)
    return Baseline(
        lambda query: (bits - database @ queries[query]) * np.float32(0.5),
        lambda query: labels @ query_labels[query] > 0,
    )


def words_loop(problem: Problem) -> Baseline:
    """Return the loop with 64-bit words: popcounts in the smallest integers, and labels with a common bit."""
    queries, database, query_labels, labels = map(
        as_words, (*problem[:2], *(np.packbits(x, axis=1) for x in problem[2:]))
    )
    count_dtype = np.uint8 if problem.queries.shape[1] < 32 else np.uint16

    def distances(query: int) -> NDArray[Any]:
        counts: NDArray[Any] = np.bitwise_count(database ^ queries[query])
        return counts[:, 0] if counts.shape[1] == 1 else counts.sum(axis=1, dtype=count_dtype)

    def relevant(query: int) -> NDArray[Any]:
        shared: NDArray[Any] = (labels & query_labels[query]) != 0
        return shared[:, 0] if shared.shape[1] == 1 else np.logical_or.reduce(shared, axis=1)

    return Baseline(distances, relevant)


def as_words(rows: Bytes) -> NDArray[np.uint64]:
    """Return rows of bytes as rows of 64-bit words, padded with zeros."""
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 8))).view(np.uint64)


def run_baseline(baseline: Baseline, queries: int) -> BaselineResult:
    """Return the time and the scores of a loop with one stable argsort per query."""
    scores, start = np.zeros((2, queries)), time.perf_counter()
    for query in range(queries):
        distances, relevant = baseline.distances(query), baseline.relevant(query)
        scores[0, query] = stable_precision(relevant[np.argsort(distances, kind="stable")])
        scores[1, query] = expected_precision(relevant, distances.astype(np.int64))
    return BaselineResult((time.perf_counter() - start) / queries, scores)


def stable_precision(ranking: NDArray[np.bool_]) -> float:
    """Return the average precision of one ranking."""
    ranks = np.flatnonzero(ranking) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else 0.0


def expected_precision(relevant: NDArray[np.bool_], distances: NDArray[np.int64]) -> float:
    """Return the expected average precision over random orders of tied items."""
    sizes, relevants = np.bincount(distances), np.bincount(distances, weights=relevant)
    before, hits, total = 0, 0.0, 0.0
    for size, tied_hits in zip(sizes, relevants, strict=True):
        share = (tied_hits - 1) / (size - 1) if size > 1 else 0.0
        positions = np.arange(size)
        total += tied_hits / max(size, 1) * ((hits + 1 + share * positions) / (before + 1 + positions)).sum()
        before, hits = before + size, hits + tied_hits
    return total / hits if hits else 0.0


if __name__ == "__main__":
    main()
