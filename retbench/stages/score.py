"""score: from codes to MAP, T-MAP and what the images cost, with intervals over queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Context, Protocol
from retbench.stages.queries import Draws, Queries
from retbench.stages.scoring import rank_queries, summarize
from retbench.stages.stage import Load, Outcome, Stage


@dataclass(frozen=True)
class Score(Stage):
    """Ranks the database for every query, by its labels and by its target's.

    Attributes:
        codes: key of the encoded queries.
        database: key of the encoded database.
        targets: key of the frozen draw.
        attacked: keys of the attacked shards; empty without an attack.
        purified: keys of the shards whose images were encoded, for each copy of them; empty for clean queries.
        targeted: whether the queries were attacked towards their targets, on which their numbers then hang.
    """

    name: ClassVar[str] = "score"
    revision: ClassVar[int] = 2
    queries: Queries
    bits: int
    protocol: Protocol
    codes: str
    database: str
    targets: str
    attacked: tuple[str, ...]
    purified: Draws
    targeted: bool

    def recipe(self) -> dict[str, Json]:
        return {
            "protocol": self.protocol.model_dump(mode="json", exclude={"queries", "targets", "quantize"}),
            "dataset": self.queries.fingerprint,
            "queries": self.queries.key,
            "codes": self.codes,
            "database": self.database,
            "targets": self.targets,
            "attacked": list(self.attacked),
            "purified": [list(shards) for shards in self.purified],
            "targeted": self.targeted,
        }

    @property
    def label(self) -> str:
        return str(self.queries)

    @property
    def work(self) -> str:
        return f"score {self.protocol.map}"

    @property
    def units(self) -> int:
        return len(self.queries) * self.queries.dataset.facts().sizes["database"]

    def run(self, load: Load, ctx: Context) -> Outcome:
        targets = load(self.targets).tensors["labels"][list(self.queries.rows)]
        labels = {"map": self.queries.labels(), "t_map": targets}
        database_labels = self.queries.dataset.labels("database")
        codes, database = load(self.codes).tensors["codes"], load(self.database)
        ranked = rank_queries(
            codes, database.tensors["codes"], labels, database_labels, bits=self.bits, protocol=self.protocol
        )
        values = {**ranked, **self._seen(load)}
        summary = summarize(values, labels, database_labels, self.protocol, targeted=self.targeted)
        return Outcome(values, {**summary, "distinct_codes": database.summary["distinct"]})

    def _seen(self, load: Load) -> dict[str, Tensor]:
        """Return what was done to the queries' images, by metric: float64 (Q,)."""
        seen = {}
        if self.attacked:
            seen["perceptibility"] = _read(load, "mse", self.attacked)
            seen["ssim"] = _read(load, "ssim", self.attacked)
        if self.purified:
            seen["purified_rmse"] = torch.stack([_read(load, "mse", shards) for shards in self.purified]).mean(dim=0)
        return seen


def _read(load: Load, what: str, shards: tuple[str, ...]) -> Tensor:
    return torch.cat([load(key).tensors[what] for key in shards])
