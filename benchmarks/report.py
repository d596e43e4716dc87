"""Prints how long a report of many cells takes, from the store to text, without pictures.

    python benchmarks/report.py                    # 10 000 cells of 100 queries; half a minute to fill a store, 0.5 GB
    python benchmarks/report.py --cells 1000

The cells are those of toy components at many code lengths, planned as a suite's are. Their scores are random numbers
of the shape that `score` leaves, stored as it stores them: a report reads, checks, compares and prints them. Each
layout is timed in one process after a warm-up on few cells: one where nothing competes, and one where every attack is a
contest of three defenses. Planning, which every command does first, is told apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from retbench.catalog import Catalog
from retbench.contracts import Protocol
from retbench.document import Document
from retbench.plan import Plan, make_plan
from retbench.report import Layout, Report, as_markdown, make_tables
from retbench.report.render import as_csv, as_latex
from retbench.results import Evidence, collect, make_score_reader, read_step_records
from retbench.stages.scoring import summarize
from retbench.store import Artifact, Store
from retbench.suite import LoadedSuite, Suite, expand
from retbench.testing.toys import TOYS

QUERIES, TARGETS, CLASSES = 100, 10, 10
ROWS = {"title": "Many", "columns": ["hasher"], "rows": ["bits", "attack", "defense"]}
METRICS = [{"name": "map", "label": "MAP", "better": "higher"}, {"name": "t_map", "label": "T-MAP", "better": "lower"}]
LAYOUTS = {
    "no contest": Layout(**ROWS, metrics=METRICS, contest=None, across=True),
    "contests": Layout(**ROWS, metrics=METRICS, across=True),
}
DEFENSES = ("none", "toy", "toy-hardening", ["toy-hardening", "toy"])


def plan_cells(count: int) -> Plan:
    """Return a plan of about `count` cells: code lengths x clean and attacked x four defenses."""
    bits = list(range(1, 1 + max(1, count // 8)))
    matrix = {"dataset": "toy", "hasher": "toy", "bits": bits, "attack": ["none", "toy"], "defense": list(DEFENSES)}
    suite = Suite(suite="many", matrix=matrix)
    loaded = LoadedSuite(suite, Document("many.yaml", {}, {}), Path("many.yaml"), "")
    return make_plan(suite, expand(loaded, Catalog.of(*TOYS)), "float32")


def random_scores(generator: torch.Generator, *, attacked: bool) -> dict[str, Tensor]:
    """Return per-query values of the shape that a score has."""
    drawn = {name: torch.rand(QUERIES, generator=generator, dtype=torch.float64) for name in ("map", "t_map")}
    found = {f"{name}{end}": values for name, values in drawn.items() for end in ("", "_worst", "_best")}
    found |= {f"{name}_recall": torch.rand(QUERIES, 21, generator=generator) for name in drawn}
    found |= {f"{name}_depth": torch.rand(QUERIES, 10, generator=generator) for name in drawn}
    found["cluster"] = torch.arange(QUERIES) % TARGETS
    if attacked:
        found |= dict.fromkeys(("perceptibility", "purified_rmse", "ssim"), drawn["map"] / 100)
    return found


def fill(plan: Plan, store: Store) -> None:
    """Store a score for every cell."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.eye(CLASSES, dtype=torch.uint8)[torch.arange(QUERIES) % CLASSES]
    environment = {"device": "cpu", "device_name": "x86_64", "threads": 1, "torch": torch.__version__, "versions": {}}
    for planned in plan.cells:
        attacked = bool(planned.attacked)
        values = random_scores(generator, attacked=attacked)
        facts = summarize(values, {"map": labels, "t_map": labels}, labels, Protocol(), targeted=attacked)
        step = plan.steps[planned.key or ""]
        meta = {"recipe": step.full_recipe, "label": step.label, "environment": environment}
        cost = {"seconds": 0.01, "peak_memory": 1 << 28}
        store.put(Artifact(step.key, values, {**facts, "distinct_codes": 40}, {**meta, **cost}))


def gather(plan: Plan, store: Store) -> Evidence:
    """Return what a report of the plan rests on."""
    rows = collect(plan, store, Protocol())
    return Evidence("many", "", "0" * 64, tuple(rows), read_step_records(plan, store), make_score_reader(store))


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def report(plan: Plan, store: Store, layout: Layout) -> list[tuple[str, float]]:
    """Return the seconds of each part of a report, in the order they come; the store is read anew."""
    told: list[tuple[str, float]] = []
    started = time.perf_counter()
    evidence = gather(plan, store)
    told.append(("rows from the store", time.perf_counter() - started))
    started = time.perf_counter()
    tables = make_tables(evidence, [layout])
    told.append(("tables and tests", time.perf_counter() - started))
    made = Report("many", "", tables)
    told.append(("Markdown", timed(lambda: as_markdown(made))))
    told.append(("LaTeX", timed(lambda: as_latex(tables, "many"))))
    told.append(("CSV", timed(lambda: as_csv(tables))))
    return told


def main(words: Sequence[str] | None = None) -> None:
    """Print the seconds of each part and their sum, for each layout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        few, store = plan_cells(16), Store(Path(folder))
        fill(few, store)
        report(few, store, LAYOUTS["contests"])
        started = time.perf_counter()
        plan = plan_cells(asked.cells)
        print(f"planning {len(plan.cells)} cells: {time.perf_counter() - started:.2f} s")
        fill(plan, store)
        for name, layout in LAYOUTS.items():
            told = report(plan, store, layout)
            pieces = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in told)
            print(f"{name}: {sum(seconds for _, seconds in told):.2f} s ({pieces})")


if __name__ == "__main__":
    main()
