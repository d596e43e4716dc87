"""score: from codes to MAP, T-MAP and what the images cost, with intervals over queries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retbench.canon import Json
from retbench.contracts import Context, Protocol
from retbench.metrics import (
    Interval,
    Statistic,
    average_precision,
    bootstrap_interval,
    chance_level,
)
from retbench.stages.queries import Draws, Queries
from retbench.stages.stage import Load, Outcome, Stage


@dataclass(frozen=True)
class Score(Stage):
    """Ranks the database for every query, by its labels and by its target's.

    Attributes:
        codes: key of the encoded queries.
        database: key of the encoded database.
        targets: key of the frozen draw.
        attacked: keys of the attacked shards; empty without an attack.
        final: keys of the shards whose images were encoded, for each copy of them; empty for clean queries.
    """

    name: ClassVar[str] = "score"
    queries: Queries
    bits: int
    protocol: Protocol
    codes: str
    database: str
    targets: str
    attacked: tuple[str, ...]
    final: Draws

    def recipe(self) -> dict[str, Json]:
        return {
            "protocol": self.protocol.model_dump(mode="json", exclude={"queries", "targets", "quantise"}),
            "dataset": self.queries.fingerprint,
            "queries": self.queries.key,
            "codes": self.codes,
            "database": self.database,
            "targets": self.targets,
            "attacked": list(self.attacked),
            "final": [list(shards) for shards in self.final],
        }

    @property
    def inputs(self) -> tuple[str, ...]:
        encoded = (shard for shards in self.final for shard in shards)
        return (self.codes, self.database, self.targets, *self.attacked, *encoded)

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
        precisions = {name: self._precisions(load, wanted) for name, wanted in labels.items()}
        metrics = {name: self._interval(values, "mean") for name, values in precisions.items()}
        if self.attacked:
            metrics["perceptibility"] = self._interval(_read(load, "mse", self.attacked), "rms")
        if self.final:
            mse = torch.stack([_read(load, "mse", shards) for shards in self.final]).mean(dim=0)
            metrics["visibility"] = self._interval(mse, "rms")
        if self.attacked:
            metrics["ssim"] = self._interval(_read(load, "ssim", self.attacked), "mean")
        database_labels = self.queries.dataset.labels("database")
        facts: dict[str, Json] = {
            "metrics": {name: _json(interval) for name, interval in metrics.items()},
            "queries": int(precisions["map"].isfinite().sum()),
            "chance": {name: _number(chance_level(wanted, database_labels)) for name, wanted in labels.items()},
            "distinct_codes": load(self.database).facts["distinct"],
        }
        return Outcome(precisions, facts)

    def _precisions(self, load: Load, labels: Tensor) -> Tensor:
        return average_precision(
            load(self.codes).tensors["codes"],
            load(self.database).tensors["codes"],
            labels,
            self.queries.dataset.labels("database"),
            bits=self.bits,
            definition=self.protocol.map,
            depth=self.protocol.depth,
            ties=self.protocol.ties,
        )

    def _interval(self, values: Tensor, statistic: Statistic) -> Interval:
        protocol = self.protocol
        return bootstrap_interval(values, level=protocol.confidence, resamples=protocol.resamples, statistic=statistic)


def _read(load: Load, what: str, shards: tuple[str, ...]) -> Tensor:
    return torch.cat([load(key).tensors[what] for key in shards])


def _json(interval: Interval) -> dict[str, Json]:
    return {name: _number(value) for name, value in interval._asdict().items()}


def _number(value: float) -> float | None:
    """Returns a number as JSON, null where it is NaN: JSON has no word for a mean over nothing."""
    return None if math.isnan(value) else value
