"""targets: draw the label vector that targeted attacks aim at, once for all attacks and defenses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Context, Dataset, Noise, TargetRule
from retbench.contracts.dataset import identify_dataset
from retbench.contracts.tensors import read_labels
from retbench.errors import UserError
from retbench.stages.stage import Load, Outcome, Stage

NO_ROW = -1
"""The database row of a query without a target."""
BLOCK = 256
"""Queries processed at once; 32 MB for a database of 30 000 distinct label vectors."""


@dataclass(frozen=True)
class DrawTargets(Stage):
    """Draws a target label vector, and a database row with these labels, for every query of a dataset.

    The draw of a query depends on its id alone, so that a sample of the queries has the same targets. A query without
    any possible target gets no class and row -1; `find_untargeted` names such queries.
    """

    name: ClassVar[str] = "targets"
    dataset: Dataset
    rule: TargetRule

    def recipe(self) -> dict[str, Json]:
        return {"dataset": identify_dataset(self.dataset), "rule": self.rule.identity(self.dataset.name)}

    def check(self) -> None:
        """Raise UserError for a target file that is missing or malformed."""
        if self.rule.file:
            self._read_file()

    def find_untargeted(self, rows: Sequence[int]) -> list[str]:
        """Return the ids of the queries at these rows for which the rule leaves no target."""
        if self.rule.file:
            return []
        queries = read_labels(self.dataset, "query")[list(rows)]
        possible = self._find_allowed(queries, _find_label_vectors(read_labels(self.dataset, "database"))).any(1)
        ids = self.dataset.ids("query")
        return [ids[row] for row, found in zip(rows, possible.tolist(), strict=True) if not found]

    @property
    def label(self) -> str:
        return f"for {self.dataset.name}"

    @property
    def method(self) -> str:
        return "targets"

    @property
    def units(self) -> int:
        return self.dataset.facts().sizes["query"]

    def noise(self, device: torch.device) -> Noise:
        return Noise(self.rule.seed, tuple(self.dataset.ids("query")), device)

    def run(self, load: Load, ctx: Context) -> Outcome:
        noise = self.noise(torch.device("cpu"))
        candidates = _find_label_vectors(read_labels(self.dataset, "database"))
        if self.rule.file:
            summary: dict[str, Json] = {}
            chosen = self._match_file(candidates)
        else:
            allowed = self._find_allowed(read_labels(self.dataset, "query"), candidates)
            summary = {"candidates": int(allowed.any(0).sum())}
            weights = candidates.counts if self.rule.rule == "database-item" else torch.ones_like(candidates.counts)
            chosen = _draw_vectors(allowed, noise.uniform("target", (1,))[:, 0], weights)
        rows = candidates.draw_rows(chosen, noise.uniform("target-row", (1,))[:, 0])
        labels = candidates.vectors[chosen]
        if not self.rule.file:
            labels[~allowed.any(1)], rows[~allowed.any(1)] = 0, NO_ROW
        return Outcome({"labels": labels, "rows": rows}, {**summary, "distinct": len(candidates.vectors)})

    def _find_allowed(self, queries: Tensor, candidates: _LabelVectors) -> Tensor:
        """Return bool (Q, V), the possible targets of queries with these labels (Q, C)."""
        allowed = (candidates.counts > self.rule.above)[None, :].repeat(len(queries), 1)
        if self.rule.rule not in ("uniform", "database-item"):
            shared = queries.float() @ candidates.vectors.float().T
            sizes = candidates.vectors.sum(1)
            if self.rule.rule == "zero-overlap":
                allowed &= (shared == 0) & (sizes > 0)
            else:
                allowed &= (shared < sizes) | (shared < queries.sum(1)[:, None])
        return allowed

    def _find_file(self) -> Path:
        path = self.rule.path(self.dataset.name)
        if not path.is_file():
            raise UserError(f"targets of {self.dataset.name}: no such file: got {path}")
        return path

    def _read_file(self) -> Tensor:
        """Return the label vectors of the target file, one line a query: uint8 (Q, C); raises UserError."""
        facts, path = self.dataset.facts(), self._find_file()
        lines = path.read_text().splitlines()
        if len(lines) != facts.sizes["query"]:
            raise UserError(f"{path}: wrong number of lines: got {len(lines)}, expected {facts.sizes['query']} queries")
        for number, line in enumerate(lines, start=1):
            columns = line.split()
            if len(columns) != len(facts.classes) or not set(columns) <= {"0", "1"}:
                raise UserError(f"{path}:{number}: expected {len(facts.classes)} columns of 0 and 1: got {line[:60]!r}")
        return torch.tensor([[column == "1" for column in line.split()] for line in lines], dtype=torch.uint8)

    def _match_file(self, candidates: _LabelVectors) -> Tensor:
        """Return int64 (Q,), the candidate equal to each line of the target file; raises UserError without one."""
        lines = self._read_file().reshape(-1, candidates.vectors.shape[1])
        _, ids = torch.unique(torch.cat([candidates.vectors, lines]), dim=0, return_inverse=True)
        candidate_ids, line_ids = ids[: len(candidates.vectors)], ids[len(candidates.vectors) :]
        candidate_of = torch.full((int(ids.max()) + 1 if len(ids) else 0,), -1)
        candidate_of[candidate_ids] = torch.arange(len(candidate_ids))
        if (unmatched := (candidate_of[line_ids] < 0).nonzero()[:, 0]).numel():
            first = int(unmatched[0])
            classes = lines[first].nonzero()[:, 0].tolist()
            raise UserError(
                f"{self._find_file()}:{first + 1}: no database item of {self.dataset.name} has these labels: "
                f"got classes {classes}"
            )
        return candidate_of[line_ids]


class _LabelVectors(NamedTuple):
    """The distinct label vectors of a database.

    Attributes:
        vectors: uint8 (V, C).
        vector_of: int64 (M,), the vector of each database row.
        counts: int64 (V,), the database rows of each vector.
    """

    vectors: Tensor
    vector_of: Tensor
    counts: Tensor

    def draw_rows(self, chosen: Tensor, uniform: Tensor) -> Tensor:
        """Return int64 (Q,), a uniformly drawn database row for each chosen vector."""
        order = torch.argsort(self.vector_of, stable=True)
        starts = self.counts.cumsum(0) - self.counts
        return order[starts[chosen] + (uniform.double() * self.counts[chosen]).long()]


def _find_label_vectors(labels: Tensor) -> _LabelVectors:
    return _LabelVectors(*torch.unique(labels, dim=0, return_inverse=True, return_counts=True))


def _draw_vectors(allowed: Tensor, uniform: Tensor, weights: Tensor) -> Tensor:
    """Return int64 (Q,), a vector drawn for each query among those allowed (Q, V), with probability by weight (V,)."""
    chosen = torch.zeros(len(allowed), dtype=torch.int64)
    for start in range(0, len(allowed), BLOCK):
        rows = slice(start, start + BLOCK)
        cumulative = (allowed[rows] * weights.int()).cumsum(1, dtype=torch.int32)
        thresholds = (uniform[rows].double() * cumulative[:, -1]).int()
        chosen[rows] = (cumulative > thresholds[:, None]).byte().argmax(1)
    return chosen
