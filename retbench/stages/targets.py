"""targets: what the attacker wants each query to return, drawn once for every attack and defense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Context, Dataset, Noise, TargetRule
from retbench.errors import UserError
from retbench.stages.stage import Load, Outcome, Stage


@dataclass(frozen=True)
class DrawTargets(Stage):
    """Draws a target label vector, and a database row that carries it, for every query of a dataset.

    Each query's draw hangs on its id alone, so that a sample of the queries has the targets it has in the whole.
    """

    name: ClassVar[str] = "targets"
    dataset: Dataset
    rule: TargetRule

    def recipe(self) -> dict[str, Json]:
        return {"dataset": self.dataset.fingerprint(), "rule": self.rule.model_dump(mode="json")}

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

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
        vectors, which, counts = torch.unique(
            self.dataset.labels("database"), dim=0, return_inverse=True, return_counts=True
        )
        allowed = self._allowed(vectors, counts)
        chosen = _pick(allowed, noise.uniform("target", (1,))[:, 0])
        rows = _carriers(which, counts, chosen, noise.uniform("target-row", (1,))[:, 0])
        facts: dict[str, Json] = {"candidates": int(allowed.any(0).sum()), "distinct": len(vectors)}
        return Outcome({"labels": vectors[chosen], "rows": rows}, facts)

    def _allowed(self, vectors: Tensor, counts: Tensor) -> Tensor:
        """Returns bool (Q, V): the distinct vectors a query may be sent to; raises UserError where there is none."""
        queries = self.dataset.labels("query")
        allowed = (counts > self.rule.above)[None, :].expand(len(queries), -1)
        if self.rule.rule == "zero-overlap":
            apart = (queries.float() @ vectors.float().T) == 0
            allowed = allowed & apart & (vectors.sum(1) > 0)[None, :]
        empty = (~allowed.any(1)).nonzero()[:, 0]
        if len(empty):
            name = self.dataset.ids("query")[int(empty[0])]
            raise UserError(
                f"targets of {self.dataset.name}: rule {self.rule.rule} above {self.rule.above} leaves no target: "
                f"got {len(empty)} queries without a candidate ({name} the first), expected none; try another rule"
            )
        return allowed


def _pick(allowed: Tensor, uniform: Tensor) -> Tensor:
    """Returns int64 (Q,): the vector at a uniform place among the allowed ones of each query."""
    places = (uniform.double() * allowed.sum(1)).long()
    ranks = allowed.long().cumsum(1) - 1
    return ((ranks == places[:, None]) & allowed).long().argmax(1)


def _carriers(which: Tensor, counts: Tensor, chosen: Tensor, uniform: Tensor) -> Tensor:
    """Returns int64 (Q,): a uniform database row among those that carry each chosen vector."""
    order = torch.argsort(which, stable=True)
    starts = counts.cumsum(0) - counts
    return order[starts[chosen] + (uniform.double() * counts[chosen]).long()]
