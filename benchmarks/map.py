"""Time and memory of MAP under the `stable` and the `expected` tie rule, as ratios to a loop of numpy argsorts.

The last row compares one pass that measures everything which a score stores (MAP and T-MAP with their bounds, precision
at recalls and at depths: `rank_queries`) with the ten metrics called one by one, on databases of two sizes.

    python benchmarks/map.py                                          # 2100 x 193 734 items, 32 bits, synthetic labels
    python benchmarks/map.py --labels TRAIN_LABELS.txt TEST_LABELS.txt       # labels drawn from the rows of files

Ours runs in a process of its own on all queries. The loops run on a subset of the queries, and their time is scaled. A
loop sorts once per query and scores that query under both rules; the two loops differ in what they sort:

- `float`: inner products of float32 codes, as evaluation code is commonly written;
- `words`: popcounts of packed codes in one byte, which numpy sorts by radix: about the best that a loop of argsorts can
  do (needs numpy 2).
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

SCORES, TURNS = ((200, 1597), (500, 30_000)), 7
"""Queries and items of the databases that a whole score is timed on (digits, and a common benchmark), and how often."""


class Task(NamedTuple):
    """Packed codes and multi-hot labels of queries and database."""

    queries: Bytes
    database: Bytes
    query_labels: Bytes
    database_labels: Bytes


class Loop(NamedTuple):
    """What a loop does for one query before it sorts."""

    distances: Callable[[int], NDArray[Any]]
    relevant: Callable[[int], NDArray[Any]]


class Timed(NamedTuple):
    """How long a call took, in seconds, and what it returned."""

    seconds: float
    value: Any


class Measured(NamedTuple):
    """Seconds per query, and the stable and expected AP of each query timed."""

    seconds: float
    scores: Floats


def main() -> None:
    """Print the comparison, or, in the child process, measure ours."""
    options = parsed_options()
    if options.child:
        print(json.dumps(ours(options)))
        return
    child = [sys.executable, __file__, *sys.argv[1:], "--child"]
    found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    print(f"{options.queries} queries x {options.items} items, {options.bits} bits, {options.threads} threads")
    print(f"{source(options)}; {100 * found['chance']:.1f} % of the database is relevant on average")
    print(
        f"ours: {found['stable']:.2f} s stable + {found['expected']:.2f} s expected, on all {options.queries} queries"
    )
    print(f"      the first call takes {found['first']:.1f} s more (it compiles, or loads the cache)")
    print(f"      peak memory {found['peak']:.0f} MiB, of which {found['imports']:.0f} MiB after the imports alone")
    task, few = drawn_task(options), options.baseline_queries
    for name, loop in (("float", float_loop(task, options.bits)), ("words", words_loop(task))):
        measured = sorted_scores(loop, few)
        ratio = measured.seconds * options.queries / (found["stable"] + found["expected"])
        difference = np.abs(measured.scores - np.array(found["scores"])[:, :few]).max()
        print(f"{name} loop: {measured.seconds * options.queries:.1f} s, scaled from {few} queries")
        print(f"      ours takes 1/{ratio:.1f} of that; the largest difference of an AP is {difference:.0e}")
    for pair in found["passes"]:
        size = f"{pair['queries']} queries x {pair['items']} items"
        print(f"a whole score, {size}: {1e3 * pair['one']:.0f} ms in one pass, 1/{pair['ratio']:.1f} of ten calls")


def parsed_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("queries", 2100), ("items", 193734), ("bits", 32), ("classes", 21), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    parser.add_argument(
        "--baseline-queries", type=int, default=40, help="queries that a loop is timed on (%(default)s)"
    )
    parser.add_argument(
        "--labels", type=Path, nargs="+", default=[], help="files of 0/1 columns to draw label rows from"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def source(options: argparse.Namespace) -> str:
    """Return a description of where the labels come from."""
    if options.labels:
        return "labels drawn from " + ", ".join(path.name for path in options.labels)
    return f"synthetic labels (3 of {options.classes} classes on average)"


def drawn_task(options: argparse.Namespace) -> Task:
    """Return random codes, and labels drawn with replacement from the rows of the files, or at random."""
    rng = np.random.default_rng(options.seed)
    count = options.queries + options.items
    codes = np.packbits(rng.integers(0, 2, (count, options.bits), np.uint8), axis=1)
    if options.labels:
        rows = np.concatenate([np.loadtxt(path, dtype=np.uint8) for path in options.labels])
        labels = rows[rng.integers(0, len(rows), count)]
    else:
        labels = (rng.random((count, options.classes), np.float32) < 3 / options.classes).astype(np.uint8)
    return Task(
        codes[: options.queries], codes[options.queries :], labels[: options.queries], labels[options.queries :]
    )


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds, scores and peak memory (MiB) of retbench.metrics in this process."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import torch

    from retbench.metrics import average_precision, chance_level

    imports = peak_mebibytes()
    torch.set_num_threads(options.threads)
    inputs = tuple(map(torch.from_numpy, drawn_task(options)))
    few = (inputs[0][:2], inputs[1][:1000], inputs[2][:2], inputs[3][:1000])
    first = timed(lambda: [average_precision(*few, bits=options.bits, ties=t) for t in ("stable", "expected")]).seconds
    stable, expected = (
        timed(partial(average_precision, *inputs, bits=options.bits, ties=ties)) for ties in ("stable", "expected")
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
        "passes": [passes(options, *size) for size in SCORES],
    }


def passes(options: argparse.Namespace, queries: int, items: int) -> dict[str, float]:
    """Return the seconds of one pass, and the ratio of ten separate calls to it: medians over alternating turns."""
    import torch

    from retbench.contracts import Protocol
    from retbench.metrics import average_precision, precision_at, precision_recall
    from retbench.stages.scoring import DEPTHS, RECALL_LEVELS, rank_queries

    task = drawn_task(argparse.Namespace(**{**vars(options), "queries": queries, "items": items}))
    codes, database, own, labels = map(torch.from_numpy, task)
    wanted, depths = {"map": own, "t_map": own.roll(1, 0)}, [depth for depth in DEPTHS if depth <= items]

    def ten() -> None:
        for asked in wanted.values():
            inputs = (codes, database, asked, labels)
            for ties in ("stable", "worst", "best"):
                average_precision(*inputs, bits=options.bits, ties=ties)
            precision_recall(*inputs, bits=options.bits, recalls=RECALL_LEVELS)
            precision_at(*inputs, bits=options.bits, depths=depths)

    one = partial(rank_queries, codes, database, wanted, labels, bits=options.bits, protocol=Protocol())
    ten()  # everything is compiled now
    turns = [(timed(one).seconds, timed(ten).seconds) for _ in range(TURNS)]
    ratio = float(np.median([many / single for single, many in turns]))
    return {"queries": queries, "items": items, "one": float(np.median([turn[0] for turn in turns])), "ratio": ratio}


def timed(call: Callable[[], Any]) -> Timed:
    """Return a call's time and value."""
    start = time.perf_counter()
    value = call()
    return Timed(time.perf_counter() - start, value)


def peak_mebibytes() -> float:
    """Return the largest memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def float_loop(task: Task, bits: int) -> Loop:
    """Return inner products in float32, of codes for the distances and of labels for the relevance."""
    queries, database = (
        np.unpackbits(codes, axis=1)[:, :bits].astype(np.float32) * 2 - 1 for codes in (task.queries, task.database)
    )
    query_labels, labels = task.query_labels.astype(np.float32), task.database_labels.astype(np.float32)
    return Loop(
        lambda query: (bits - database @ queries[query]) * np.float32(0.5),
        lambda query: labels @ query_labels[query] > 0,
    )


def words_loop(task: Task) -> Loop:
    """Return operations on 64-bit words: popcounts in the smallest integers, and labels with a common bit."""
    queries, database, query_labels, labels = map(as_words, (*task[:2], *(np.packbits(x, axis=1) for x in task[2:])))
    small = np.uint8 if task.queries.shape[1] < 32 else np.uint16

    def distances(query: int) -> NDArray[Any]:
        counts: NDArray[Any] = np.bitwise_count(database ^ queries[query])
        return counts[:, 0] if counts.shape[1] == 1 else counts.sum(axis=1, dtype=small)

    def relevant(query: int) -> NDArray[Any]:
        shared: NDArray[Any] = (labels & query_labels[query]) != 0
        return shared[:, 0] if shared.shape[1] == 1 else np.logical_or.reduce(shared, axis=1)

    return Loop(distances, relevant)


def as_words(rows: Bytes) -> NDArray[np.uint64]:
    """Return rows of bytes as rows of 64-bit words, padded with zeros."""
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 8))).view(np.uint64)


def sorted_scores(loop: Loop, queries: int) -> Measured:
    """Return the time per query, and the scores (2, queries), of one stable argsort per query."""
    scores, start = np.zeros((2, queries)), time.perf_counter()
    for query in range(queries):
        distances, relevant = loop.distances(query), loop.relevant(query)
        scores[0, query] = stable_score(relevant[np.argsort(distances, kind="stable")])
        scores[1, query] = expected_score(relevant, distances.astype(np.int64))
    return Measured((time.perf_counter() - start) / queries, scores)


def stable_score(ranking: NDArray[np.bool_]) -> float:
    """Return the AP of one ranking."""
    ranks = np.flatnonzero(ranking) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else 0.0


def expected_score(relevant: NDArray[np.bool_], distances: NDArray[np.int64]) -> float:
    """Return the expected AP over random orders inside the ties."""
    sizes, relevants = np.bincount(distances), np.bincount(distances, weights=relevant)
    before, hits, total = 0, 0.0, 0.0
    for size, inside in zip(sizes, relevants, strict=True):
        share = (inside - 1) / (size - 1) if size > 1 else 0.0
        places = np.arange(size)
        total += inside / max(size, 1) * ((hits + 1 + share * places) / (before + 1 + places)).sum()
        before, hits = before + size, hits + inside
    return total / hits if hits else 0.0


if __name__ == "__main__":
    main()
