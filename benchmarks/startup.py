"""Processor time of the commands that compute nothing: plan, a run with everything stored, results, a report.

    python benchmarks/startup.py [SUITE] [--store DIR] [--rounds N] [--set PATH=VALUE ...]

Each command is a process of its own; what is printed is user and system seconds, the least of several rounds, because
other programs can only add to it, and beside it what is left without the import of torch, measured in the same rounds.
The suite must have been run in the store; what it computes makes no difference here, so that it may be run with short
schedules first and measured with the same `--set`.
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
    """Return the user and system seconds of a command, which must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", nargs="?", default="unimodal")
    parser.add_argument("--store", type=Path, default=Path(".retbench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="as of the commands")
    asked = parser.parse_args()
    changes = (word for change in asked.set for word in ("--set", change))
    where = (asked.suite, "--store", str(asked.store), *changes)
    commands = {
        "import torch": TORCH,
        "plan": (*RETBENCH, "plan", *where),
        "run, all stored": (*RETBENCH, "run", *where),
        "results": (*RETBENCH, "results", *where),
        "report, no pictures": (*RETBENCH, "report", *where, "--no-pictures"),
    }
    seconds = {name: [processor_seconds(command) for _ in range(asked.rounds)] for name, command in commands.items()}
    least = {name: min(each) for name, each in seconds.items()}
    rows = [(name, f"{least[name]:.2f}", f"{least[name] - least['import torch']:.2f}") for name in commands]
    print(tabulate(rows, ("command", "processor seconds", "without torch"), "simple", disable_numparse=True))


if __name__ == "__main__":
    main()
