"""targets: what the attacker wants each query to return, drawn once for every attack and defense."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Context, Dataset, Noise, TargetRule
from retbench.contracts.dataset import identify_dataset
from retbench.errors import UserError
from retbench.stages.stage import Load, Outcome, Stage

BLOCK = 256
"""Queries whose candidates are ranked at once: 32 MB where a database has 30 000 distinct label vectors."""


@dataclass(frozen=True)
class DrawTargets(Stage):
    """Draws a target label vector, and a database row that carries it, for every query of a dataset.

    Each query's draw hangs on its id alone, so that a sample of the queries has the targets it has in the whole.
    """

    name: ClassVar[str] = "targets"
    dataset: Dataset
    rule: TargetRule

    def recipe(self) -> dict[str, Json]:
        return {"dataset": identify_dataset(self.dataset), "rule": self.rule.identity(self.dataset.name)}

    def check(self) -> None:
        """Raise UserError for a target file that is missing or is not a line of 0/1 columns for each query."""
        if self.rule.file:
            self._read()

    @property
    def label(self) -> str:
        return f"for {self.dataset.name}"

    @property
    def work(self) -> str:
        return "targets"

    @property
    def units(self) -> int:
        return self.dataset.facts().sizes["query"]

    def noise(self, device: torch.device) -> Noise:
        return Noise(self.rule.seed, tuple(self.dataset.ids("query")), device)

    def run(self, load: Load, ctx: Context) -> Outcome:
        noise = self.noise(torch.device("cpu"))
        distinct = _distinct(self.dataset.labels("database"))
        if self.rule.file:
            summary: dict[str, Json] = {}
            chosen = self._find(distinct)
        else:
            allowed = self._allowed(distinct)
            summary = {"candidates": int(allowed.any(0).sum())}
            weights = distinct.counts if self.rule.rule == "database-item" else torch.ones_like(distinct.counts)
            chosen = _pick(allowed, noise.uniform("target", (1,))[:, 0], weights)
        rows = distinct.carriers(chosen, noise.uniform("target-row", (1,))[:, 0])
        return Outcome(
            {"labels": distinct.vectors[chosen], "rows": rows}, {**summary, "distinct": len(distinct.vectors)}
        )

    def _allowed(self, distinct: _Distinct) -> Tensor:
        """Return bool (Q, V): the distinct vectors a query may be sent to; raises UserError where there is none."""
        queries = self.dataset.labels("query")
        allowed = (distinct.counts > self.rule.above)[None, :].repeat(len(queries), 1)
        if self.rule.rule not in ("uniform", "database-item"):
            shared = queries.float() @ distinct.vectors.float().T
            sizes = distinct.vectors.sum(1)
            if self.rule.rule == "zero-overlap":
                allowed &= (shared == 0) & (sizes > 0)
            else:
                allowed &= (shared < sizes) | (shared < queries.sum(1)[:, None])
        empty = (~allowed.any(1)).nonzero()[:, 0]
        if len(empty):
            name = self.dataset.ids("query")[int(empty[0])]
            raise UserError(
                f"targets of {self.dataset.name}: rule {self.rule.rule} above {self.rule.above} leaves no target: "
                f"got {len(empty)} queries without a candidate ({name} the first), expected none; try another rule"
            )
        return allowed

    @property
    def _file(self) -> Path:
        path = self.rule.path(self.dataset.name)
        if not path.is_file():
            raise UserError(f"targets of {self.dataset.name}: no such file: got {path}")
        return path

    def _read(self) -> Tensor:
        """Return the label vectors of the file: uint8 (Q, C); raises UserError naming the line."""
        facts, path = self.dataset.facts(), self._file
        lines = path.read_text().splitlines()
        if len(lines) != facts.sizes["query"]:
            raise UserError(f"{path}: wrong number of lines: got {len(lines)}, expected {facts.sizes['query']} queries")
        for number, line in enumerate(lines, start=1):
            columns = line.split()
            if len(columns) != len(facts.classes) or not set(columns) <= {"0", "1"}:
                raise UserError(f"{path}:{number}: expected {len(facts.classes)} columns of 0 and 1: got {line[:60]!r}")
        return torch.tensor([[column == "1" for column in line.split()] for line in lines], dtype=torch.uint8)

    def _find(self, distinct: _Distinct) -> Tensor:
        """Return int64 (Q,): the distinct vector of each line; raises UserError for one that no item carries."""
        vectors = self._read().reshape(-1, distinct.vectors.shape[1])
        _, places = torch.unique(torch.cat([distinct.vectors, vectors]), dim=0, return_inverse=True)
        known, wanted = places[: len(distinct.vectors)], places[len(distinct.vectors) :]
        at = torch.full((int(places.max()) + 1 if len(places) else 0,), -1)
        at[known] = torch.arange(len(known))
        if (lost := (at[wanted] < 0).nonzero()[:, 0]).numel():
            classes = vectors[lost[0]].nonzero()[:, 0].tolist()
            where = f"{self._file}:{int(lost[0]) + 1}"
            raise UserError(
                f"{where}: no database item of {self.dataset.name} carries these labels: got classes {classes}"
            )
        return at[wanted]


class _Distinct(NamedTuple):
    """The distinct label vectors of a database: uint8 (V, C); who carries which int64 (M,); how many do int64 (V,)."""

    vectors: Tensor
    which: Tensor
    counts: Tensor

    def carriers(self, chosen: Tensor, uniform: Tensor) -> Tensor:
        """Return int64 (Q,): a uniform database row among those that carry each chosen vector."""
        order = torch.argsort(self.which, stable=True)
        starts = self.counts.cumsum(0) - self.counts
        return order[starts[chosen] + (uniform.double() * self.counts[chosen]).long()]


def _distinct(labels: Tensor) -> _Distinct:
    return _Distinct(*torch.unique(labels, dim=0, return_inverse=True, return_counts=True))


def _pick(allowed: Tensor, uniform: Tensor, weights: Tensor) -> Tensor:
    """Return int64 (Q,): one of the allowed vectors of each query, (Q, V), each as often as its weight, (V,), says."""
    chosen = torch.zeros(len(allowed), dtype=torch.int64)
    for start in range(0, len(allowed), BLOCK):
        rows = slice(start, start + BLOCK)
        reached = (allowed[rows] * weights.int()).cumsum(1, dtype=torch.int32)
        places = (uniform[rows].double() * reached[:, -1]).int()
        chosen[rows] = (reached > places[:, None]).byte().argmax(1)
    return chosen
