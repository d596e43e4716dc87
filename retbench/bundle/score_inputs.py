"""Recompute a score from codes, labels and targets, and compare the result with the recipes and the row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from retbench.bundle.artifact import BundledArtifact
from retbench.bundle.bundle import read_protocol
from retbench.bundle.compare import Comparison, compare_json
from retbench.bundle.dataset import BundledDataset
from retbench.contracts import Protocol
from retbench.plan.screening import MODALITIES
from retbench.results import Row
from retbench.stages import Queries
from retbench.stages.scoring import CODE_FIELDS, describe_codes, leave_out_untargeted, rank_queries, summarize


class ScoreInputs(NamedTuple):
    """The inputs that a score is computed from.

    Attributes:
        codes, database, targets: artifacts with the query codes, the database codes and the target labels.
        dataset: provides the labels.
        queries: the protocol's sample of the query split.
        labels: multi-hot uint8 (Q, C): the sample's own labels under `map`, their target labels under `t_map`.
    """

    codes: BundledArtifact
    database: BundledArtifact
    targets: BundledArtifact
    dataset: BundledDataset
    queries: Queries
    labels: Mapping[str, Tensor]

    def rank(self, bits: int, protocol: Protocol) -> dict[str, Tensor]:
        """Return the per-query values of the ranking; raises ValueError if codes and labels do not fit together."""
        codes, database = self.codes.tensors["codes"], self.database.tensors["codes"]
        database_labels = self.dataset.labels("database")
        ranked = rank_queries(codes, database, self.labels, database_labels, bits=bits, protocol=protocol)
        return leave_out_untargeted(ranked, self.targets.tensors["rows"][list(self.queries.rows)])

    def summarize(self, values: Mapping[str, Tensor], protocol: Protocol, targeted: bool) -> dict[str, Any]:
        """Return the summary of a score with these per-query values; raises ValueError for values without a mean."""
        labels = self.dataset.labels("database")
        summary = summarize(values, self.labels, labels, protocol, targeted=targeted)
        return {**summary, **describe_codes(self.database.tensors["codes"], labels)}


def compare_recipes(row: Row, score: BundledArtifact, inputs: ScoreInputs) -> Iterator[Comparison]:
    """Compare the recipes of a score and its inputs with each other and with the fields of the row."""
    codes, database, targets, recipe = inputs.codes.recipe, inputs.database.recipe, inputs.targets.recipe, score.recipe
    protocol, sample = read_protocol(row), inputs.queries.key
    query_modality, database_modality = MODALITIES[protocol.task]
    suite = protocol.suite.model_dump(mode="json", exclude={"queries", "targets", "quantize"})
    yield from compare_json("protocol", suite, recipe.get("protocol"))
    yield from compare_json("protocol.targets", row.protocol["targets"], targets.get("rule"))
    yield from compare_json("protocol.task", row.task, protocol.task)
    yield from compare_json("protocol.bits", row.bits, protocol.bits)
    for name, input_recipe in (("codes", codes), ("database", database), ("targets", targets)):
        yield from compare_json(f"{name}.dataset", input_recipe.get("dataset"), recipe.get("dataset"))
    yield from compare_json("queries", recipe.get("queries"), sample)
    yield from compare_json("codes.queries", codes.get("queries"), sample)
    yield from compare_json("codes.draws", codes.get("draws"), recipe.get("purified"))
    yield from compare_json("codes.modality", codes.get("modality"), query_modality)
    yield from compare_json("database.modality", database.get("modality"), database_modality)
    yield from compare_json("database.split", database.get("split"), "database")
    for name in ("weights", "precision"):
        yield from compare_json(f"codes.{name}", codes.get(name), database.get(name))
    label = f"database of {row.dataset} by {row.hasher}"
    yield from compare_json("hasher", label, inputs.database.meta.get("label"))
    yield from compare_json("attacked", bool(recipe.get("attacked")), row.attack != "none")
    yield from compare_json("targeted", recipe.get("targeted"), row.budget.get("goal") == "targeted")
    yield from compare_json("steps", list(row.steps[-1:]), [row.key])
    missing = [name for name in ("codes", "database", "targets") if recipe[name] not in row.steps]
    yield from compare_json("inputs missing from steps", missing, [])


def compare_row(row: Row, summary: Mapping[str, Any], inputs: ScoreInputs) -> Iterator[Comparison]:
    """Compare the numbers of a row with those computed from codes and labels."""
    record: Any = row.record()
    protocol, data = record["protocol"], record["data"]
    database = inputs.dataset.labels("database")
    yield from compare_json("metrics", record["metrics"], summary["metrics"])
    yield from compare_json("tie_ranges", record["tie_ranges"], summary["tie_ranges"])
    for name, field in (("chance", "chance"), ("scored_queries", "queries"), ("target_labels", "target_labels")):
        yield from compare_json(f"protocol.{name}", protocol[name], summary[field])
    yield from compare_json("protocol.ranked_queries", protocol["ranked_queries"], len(inputs.queries))
    yield from compare_json("dataset", row.dataset, inputs.dataset.facts().dataset)
    sizes = {"query": len(inputs.dataset.labels("query")), "database": len(database), "classes": database.shape[1]}
    for name, size in {**sizes, **{name: summary[name] for name in CODE_FIELDS}}.items():
        yield from compare_json(f"data.{name}", data[name], size)
