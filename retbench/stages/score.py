"""score: compute MAP, T-MAP and image distances with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Context, Protocol
from retbench.contracts.tensors import read_labels
from retbench.stages.queries import Queries, ShardsPerCopy
from retbench.stages.scoring import (
    GRADIENT,
    QUERIES_USED,
    describe_codes,
    leave_out_untargeted,
    rank_queries,
    summarize,
)
from retbench.stages.stage import Load, Outcome, Stage


@dataclass(frozen=True)
class Score(Stage):
    """Ranks the database for every query, and scores the rankings by the query's labels and by its target's.

    Attributes:
        codes: the key of the encoded queries.
        database: the key of the encoded database.
        targets: the key of the drawn targets.
        attacked: the keys of the attacked shards; empty without an attack.
        purified: for each purified copy, the keys of the encoded shards; empty for clean queries.
        targeted: whether a targeted attack changed the queries, so that all their numbers depend on the targets.
    """

    name: ClassVar[str] = "score"
    revision: ClassVar[int] = 3
    queries: Queries
    bits: int
    protocol: Protocol
    codes: str
    database: str
    targets: str
    attacked: tuple[str, ...]
    purified: ShardsPerCopy
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
    def method(self) -> str:
        return f"score {self.protocol.map}"

    @property
    def units(self) -> int:
        return len(self.queries) * self.queries.dataset.facts().sizes["database"]

    def run(self, load: Load, ctx: Context) -> Outcome:
        targets, sample = load(self.targets).tensors, list(self.queries.rows)
        labels = {"map": self.queries.labels(), "t_map": targets["labels"][sample]}
        database_labels = read_labels(self.queries.dataset, "database")
        codes, database = load(self.codes).tensors["codes"], load(self.database)
        ranked = rank_queries(
            codes, database.tensors["codes"], labels, database_labels, bits=self.bits, protocol=self.protocol
        )
        values = {**leave_out_untargeted(ranked, targets["rows"][sample]), **self._image_values(load)}
        summary = summarize(values, labels, database_labels, self.protocol, targeted=self.targeted)
        return Outcome(values, {**summary, **describe_codes(database.tensors["codes"], database_labels)})

    def _image_values(self, load: Load) -> dict[str, Tensor]:
        """Return the distances of changed queries from the clean ones, by metric: float64 (Q,).

        Of an attack also whether it had a gradient, and of a black-box one the queries that it used for each image.
        """
        values = {}
        if self.attacked:
            values["perceptibility"] = _read_shards(load, "mse", self.attacked)
            values["ssim"] = _read_shards(load, "ssim", self.attacked)
            if all(QUERIES_USED in load(key).tensors for key in self.attacked):
                values[QUERIES_USED] = _read_shards(load, QUERIES_USED, self.attacked).double()
            if all(GRADIENT in load(key).tensors for key in self.attacked):  # artifacts of earlier versions lack it
                values[GRADIENT] = _read_shards(load, GRADIENT, self.attacked).double()
        if self.purified:
            errors = [_read_shards(load, "mse", shards) for shards in self.purified]
            values["purified_rmse"] = torch.stack(errors).mean(dim=0)
        return values


def _read_shards(load: Load, name: str, shards: tuple[str, ...]) -> Tensor:
    return torch.cat([load(key).tensors[name] for key in shards])
