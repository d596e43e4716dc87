"""Measure how much the MAP of a trained hasher changes with the number of threads, relative to the seed.

    python benchmarks/threads.py                          # dpsh on digits and scenes, ten seeds, one and two threads
    python benchmarks/threads.py --threads 1 1 2          # also whether the same number of threads gives the same MAP
    python benchmarks/threads.py --dataset digits --seeds 3 --store DIR          # keep the results; resumes

Trains the hasher with the options of the suite `unimodal`, once for each seed and number of threads, each number in its
own process and store. Prints the clean MAP of all queries, the difference from the first number of threads, and in
comparison the standard deviation over seeds and the half-width of the 95 % confidence interval over queries.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from tabulate import tabulate

RETBENCH = (sys.executable, "-m", "retbench.cli.main")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads sleep while they wait: on busy cores, spinning threads take the time of the others. Numbers do not change."""


class SeedMap(NamedTuple):
    """The MAP of one seed and the half-width of its confidence interval over queries, 0 to 1."""

    value: float
    half_width: float


def main() -> None:
    """Train with each number of threads and print a table for each dataset."""
    options = parse_options()
    with nullcontext(options.store) if options.store else tempfile.TemporaryDirectory(prefix="retbench-") as folder:
        for dataset in options.dataset:
            measured = [
                measure(Path(folder) / f"{position}-threads-{threads}", threads, dataset, options)
                for position, threads in enumerate(options.threads)
            ]
            print(f"\n{options.hasher} on {dataset}, {options.bits} bits, MAP in percent")
            print(format_table(options.threads, measured), flush=True)
            for line in summarize(options.threads, measured):
                print(line, flush=True)


def parse_options() -> argparse.Namespace:
    """Return the command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", nargs="+", default=["digits", "scenes"], help="datasets (default: both)")
    parser.add_argument("--hasher", default="dpsh", help="hasher of the suite (default: %(default)s)")
    parser.add_argument("--bits", type=int, default=32, help="code length (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0 (default: %(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change an option")
    parser.add_argument("--precision", default="auto", help="auto, float32 or bf16 (default: %(default)s)")
    parser.add_argument("--store", type=Path, help="folder of the stores (default: a temporary folder)")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error(f"--seeds: got {options.seeds}, expected at least 2, for a standard deviation")
    return options


def measure(store: Path, threads: int, dataset: str, options: argparse.Namespace) -> list[SeedMap]:
    """Return the clean MAP of each seed with this number of threads; what is stored is not trained again."""
    seeds = list(range(options.seeds))
    choices = {"dataset": dataset, "hasher": options.hasher, "attack": "none", "defense": "none"}
    changes = (f"matrix.seed={seeds}", f"matrix.bits={options.bits}", "protocol.queries=all", *options.set)
    arguments = [
        *("unimodal", "--store", str(store), "--device", "cpu", "--precision", options.precision),
        *(word for axis, value in choices.items() for word in ("--only", f"{axis}={value}")),
        *(word for change in changes for word in ("--set", change)),
    ]
    run(("run", *arguments), threads)
    rows: list[dict[str, Any]] = json.loads(run(("results", *arguments, "--json"), threads))
    by_seed = {row["seed"]: row["metrics"]["map"] for row in rows}
    return [SeedMap(by_seed[seed]["value"], (by_seed[seed]["high"] - by_seed[seed]["low"]) / 2) for seed in seeds]


def run(arguments: Sequence[str], threads: int) -> str:
    """Return the output of a command run with a number of threads; exit with its error if it fails."""
    environment = {**os.environ, **WAITING, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    command = (*RETBENCH, *arguments)
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return process.stdout


def format_table(threads: Sequence[int], measured: Sequence[Sequence[SeedMap]]) -> str:
    """Return a table with one row per seed: the MAP of each number of threads, and its difference from the first."""
    rows = []
    for seed, maps in enumerate(zip(*measured, strict=True)):
        values = [100 * each.value for each in maps]
        differences = (f"{value - values[0]:+.2f}" for value in values[1:])
        rows.append([str(seed), *(f"{value:.2f}" for value in values), *differences])
    counts = [f"{count} thread{'s' if count > 1 else ''}" for count in threads]
    headers = ("seed", *counts, *(f"{count} - {counts[0]}" for count in counts[1:]))
    return tabulate(rows, headers, "simple", disable_numparse=True)


def summarize(threads: Sequence[int], measured: Sequence[Sequence[SeedMap]]) -> list[str]:
    """Return one line for each difference from the first number of threads, and one for each comparison with it."""
    lines = []
    for count, maps in zip(threads[1:], measured[1:], strict=True):
        differences = [100 * (other.value - first.value) for first, other in zip(measured[0], maps, strict=True)]
        sizes = [abs(difference) for difference in differences]
        lines.append(
            f"{count} against {threads[0]}: mean absolute difference {fmean(sizes):.2f}, largest {max(sizes):.2f}, "
            f"mean difference {fmean(differences):+.2f}"
        )
    spreads = " and ".join(f"{100 * stdev(each.value for each in maps):.2f}" for maps in measured)
    half_width = 100 * fmean(each.half_width for maps in measured for each in maps)
    lines.append(f"standard deviation over seeds: {spreads}")
    lines.append(f"mean half-width of the confidence interval over queries: {half_width:.2f}")
    return lines


if __name__ == "__main__":
    main()
