"""Measure the time of a report of many cells, from the store to text, without figures.

    python benchmarks/report.py                    # 10 000 cells of 100 queries; half a minute to fill a store, 0.5 GB
    python benchmarks/report.py --cells 1000

The cells are those of toy components at many code lengths. Their scores are random numbers with the shapes and the
format of stored scores. Two layouts are timed in one process, after a warm-up with few cells: one without paired tests,
and one that compares three defenses under every attack. Planning is timed separately.
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
    "without tests": Layout(**ROWS, metrics=METRICS, contest=None, across=True),
    "with tests": Layout(**ROWS, metrics=METRICS, across=True),
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
    """Return per-query values with the names and shapes of a score."""
    metrics = {name: torch.rand(QUERIES, generator=generator, dtype=torch.float64) for name in ("map", "t_map")}
    scores = {f"{name}{suffix}": values for name, values in metrics.items() for suffix in ("", "_worst", "_best")}
    scores |= {f"{name}_recall": torch.rand(QUERIES, 21, generator=generator) for name in metrics}
    scores |= {f"{name}_depth": torch.rand(QUERIES, 10, generator=generator) for name in metrics}
    scores["cluster"] = torch.arange(QUERIES) % TARGETS
    if attacked:
        scores |= dict.fromkeys(("perceptibility", "purified_rmse", "ssim"), metrics["map"] / 100)
    return scores


def store_scores(plan: Plan, store: Store) -> None:
    """Store a score for every cell."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.eye(CLASSES, dtype=torch.uint8)[torch.arange(QUERIES) % CLASSES]
    environment = {"device": "cpu", "device_name": "x86_64", "threads": 1, "torch": torch.__version__, "versions": {}}
    for planned in plan.cells:
        attacked = bool(planned.attacked)
        values = random_scores(generator, attacked=attacked)
        summary = summarize(values, {"map": labels, "t_map": labels}, labels, Protocol(), targeted=attacked)
        step = plan.steps[planned.key or ""]
        meta = {"recipe": step.full_recipe, "label": step.label, "environment": environment}
        cost = {"seconds": 0.01, "peak_memory": 1 << 28}
        store.put(Artifact(step.key, values, {**summary, "distinct_codes": 40}, {**meta, **cost}))


def read_evidence(plan: Plan, store: Store) -> Evidence:
    """Return the stored results that a report of the plan needs."""
    rows = collect(plan, store, Protocol())
    return Evidence("many", "", "0" * 64, tuple(rows), read_step_records(plan, store), make_score_reader(store))


def time_call(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def time_report(plan: Plan, store: Store, layout: Layout) -> list[tuple[str, float]]:
    """Return the name and seconds of each part of a report, in order, starting with reading the store."""
    timings: list[tuple[str, float]] = []
    start = time.perf_counter()
    evidence = read_evidence(plan, store)
    timings.append(("rows from the store", time.perf_counter() - start))
    start = time.perf_counter()
    tables = make_tables(evidence, [layout])
    timings.append(("tables and tests", time.perf_counter() - start))
    report = Report("many", "", tables)
    timings.append(("Markdown", time_call(lambda: as_markdown(report))))
    timings.append(("LaTeX", time_call(lambda: as_latex(tables, "many"))))
    timings.append(("CSV", time_call(lambda: as_csv(tables))))
    return timings


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the seconds of each part and their sum, for each layout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000, help="number of cells (default: %(default)s)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        small_plan, store = plan_cells(16), Store(Path(folder))
        store_scores(small_plan, store)
        time_report(small_plan, store, LAYOUTS["with tests"])
        start = time.perf_counter()
        plan = plan_cells(options.cells)
        print(f"planning {len(plan.cells)} cells: {time.perf_counter() - start:.2f} s")
        store_scores(plan, store)
        for name, layout in LAYOUTS.items():
            timings = time_report(plan, store, layout)
            parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in timings)
            print(f"{name}: {sum(seconds for _, seconds in timings):.2f} s ({parts})")


if __name__ == "__main__":
    main()
