"""Measure the processor time of commands that read stored results: plan, a complete run, results and report.

    python benchmarks/startup.py [SUITE] [--store DIR] [--rounds N] [--set PATH=VALUE ...]

Each command runs in its own process. Prints its user and system seconds, the minimum over several rounds, because other
programs can only add to it, and the same without the import of torch, measured in the same rounds. The store must
contain the results of the suite. Their values do not matter, so the suite can be run with short schedules, if the same
`--set` is given here.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

RETBENCH = (sys.executable, "-m", "retbench.cli.main")
TORCH = (sys.executable, "-c", "import torch")


def processor_seconds(command: Sequence[str]) -> float:
    """Return the user and system seconds of a command; exit with its error if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}: {process.stderr.strip()[-300:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Time every command and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", nargs="?", default="unimodal", help="suite (default: %(default)s)")
    parser.add_argument("--store", type=Path, default=Path(".retbench"), help="store (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], help="passed to every command")
    options = parser.parse_args()
    settings = (argument for setting in options.set for argument in ("--set", setting))
    arguments = (options.suite, "--store", str(options.store), *settings)
    commands = {
        "import torch": TORCH,
        "plan": (*RETBENCH, "plan", *arguments),
        "run, all stored": (*RETBENCH, "run", *arguments),
        "results": (*RETBENCH, "results", *arguments),
        "report, no pictures": (*RETBENCH, "report", *arguments, "--no-pictures"),
    }
    seconds = {name: [processor_seconds(command) for _ in range(options.rounds)] for name, command in commands.items()}
    minima = {name: min(rounds) for name, rounds in seconds.items()}
    rows = [(name, f"{minima[name]:.2f}", f"{minima[name] - minima['import torch']:.2f}") for name in commands]
    print(tabulate(rows, ("command", "processor seconds", "without torch"), "simple", disable_numparse=True))


if __name__ == "__main__":
    main()
