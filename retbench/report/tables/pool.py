"""Pools the seeds of each cell into one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from retbench.canon import Json
from retbench.errors import LayoutError
from retbench.report.tables.sample import compute_interval, sample_of
from retbench.results import ROW_AXES, Row, ScoreReader, TieRange

CELL_AXES = tuple(axis for axis in ROW_AXES if axis != "seed")


def pool_seeds(rows: Sequence[Row], scores: ScoreReader) -> list[Row]:
    """Return one row for each cell, its seeds pooled: means over seeds and queries, intervals over both.

    A cell with one seed is returned as it is. Seeds that are not done are left out and listed in the row's `data` as
    `lost`; a cell without any done seed is represented by its first row.

    Raises:
        LayoutError: seeds of a cell were scored on different queries.
    """
    cells: dict[tuple[str | int, ...], list[Row]] = {}
    for row in rows:
        cells.setdefault(tuple(getattr(row, axis) for axis in CELL_AXES), []).append(row)
    return [_pooled(seeds, scores) for seeds in cells.values()]


def _pooled(seeds: Sequence[Row], scores: ScoreReader) -> Row:
    done = [row for row in seeds if row.status == "done"]
    if len(seeds) == 1 or not done:
        return seeds[0]
    row = replace(done[0], members=tuple(key for seed in done for key in seed.keys))
    if len({len(scores(key)["map"]) for key in row.members}) > 1:
        cell = "/".join(str(getattr(row, axis)) for axis in CELL_AXES)
        raise LayoutError(f"{cell}: its seeds were scored on different queries")
    samples = {name: sample_of(row, name, scores) for name in row.metrics}
    lost: list[Json] = [
        f"without seed {seed.seed}, {seed.status}: {seed.reason}".removesuffix(": ")
        for seed in seeds
        if seed not in done
    ]
    return replace(
        row,
        seed=seeds[0].seed,
        warnings=tuple(dict.fromkeys(warning for seed in done for warning in seed.warnings)),
        metrics={name: compute_interval(sample, row) for name, sample in samples.items() if sample is not None},
        data={**row.data, "seeds": [seed.seed for seed in done], "lost": lost},
        tie_ranges={name: _mean_tie_range([seed.tie_ranges[name] for seed in done]) for name in row.tie_ranges},
        cost=_pooled_cost(done),
        steps=tuple(dict.fromkeys(step for seed in done for step in seed.steps)),
    )


def _mean_tie_range(tie_ranges: Sequence[TieRange]) -> TieRange:
    return TieRange(*(sum(ends) / len(tie_ranges) for ends in zip(*tie_ranges, strict=True)))


def _pooled_cost(rows: Sequence[Row]) -> dict[str, Json]:
    """Return mean seconds and peak memory over seeds; a cost that some seed lacks is left out."""
    names = [name for name in rows[0].cost if all(name in row.cost for row in rows)]
    values = {name: [cast(float, row.cost[name]) for row in rows] for name in names}
    return {name: max(each) if "memory" in name else sum(each) / len(each) for name, each in values.items()}
