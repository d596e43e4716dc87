"""Verify a bundle: compute its numbers again from the codes and labels in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor

from retbench.bundle.artifact import BundledArtifact
from retbench.bundle.bundle import Bundle, name_cell, read_protocol
from retbench.bundle.compare import Comparison, Match, Mismatch, compare_json, compare_tensors
from retbench.bundle.dataset import BundledDataset
from retbench.bundle.identity import compare_identity
from retbench.bundle.records import FOLDERS
from retbench.bundle.score_inputs import ScoreInputs, compare_recipes, compare_row
from retbench.canon import canonical, digest
from retbench.contracts import Context, Noise, TargetRule
from retbench.errors import UserError
from retbench.results import Row, StepRecord
from retbench.stages import DrawTargets, draw_queries
from retbench.stages.scoring import GRADIENT, QUERIES_USED
from retbench.store import Artifact

UNVERIFIABLE_FIELDS = ("cost", "details", "caveats", "warnings", "variant")
"""Fields of a row that nothing in a bundle can confirm."""
ALWAYS_UNVERIFIABLE = (
    "that no row was left out",
    "that the codes come from the images, weights and options in the recipes",
    "that the labels are those of the datasets",
    "the names of classes",
    "the title and description of the suite, and the versions that made the bundle",
    "that the suite in the bundle is the one that was run",
)
"""Facts that no bundle can confirm."""


class Finding(NamedTuple):
    """One field of a bundle that was verified, or that cannot be verified.

    Attributes:
        kind: `artifact`, `targets`, `recipe` (inputs and names of a row), `query` (values of each query), `summary`
            (means, intervals and counts of a score), `row` (their copy in the row), `step`, or `bundle` (fields that
            belong to no row).
        where: the cell, the artifact or the member.
        field: the field in it.
        got, expected: the value in the bundle and the computed value; empty unless they disagree.
    """

    kind: str
    where: str
    field: str
    got: str = ""
    expected: str = ""


class Verification(NamedTuple):
    """The findings of a bundle: fields that agree with a computed value, that disagree, and that cannot be verified."""

    agreed: tuple[Finding, ...]
    disagreed: tuple[Finding, ...]
    unverifiable: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no field disagrees."""
        return not self.disagreed


def verify_bundle(bundle: Bundle) -> Verification:
    """Compare the contents of a bundle with the values computed again from its codes and labels.

    Computed again: the digests and keys of artifacts; the draw of queries and targets; the ranking of every query, with
    average precision under each order of ties and precision by recall and by depth; means, confidence intervals and
    chance levels; and from these the numbers of every row. Float64 values agree to 1e-9, float32 values to 1e-6. The
    recipes behind each score are followed by key and compared with the row's hasher, attack, surrogate, purifiers and
    hardening with their options, and with its seed, threat, budget and steps.

    Not verifiable, because a bundle holds neither images nor networks: the change of each image, whether an attack had
    a gradient for it, and the queries that a black-box attack used for it (only the means are computed again, and
    queries compared with the budget); seconds, memory, machines and versions of steps; caveats, warnings, details,
    labels of variants, the norm of a budget, options of datasets and the sizes of data that is never ranked; the
    gallery, layouts and claims; that the codes come from the images, weights and options in the recipes; and that the
    labels are those of the dataset. Each of these is listed in `unverifiable`.

    Verification finds changes made by accident or in one place. It cannot find missing rows or a consistent forgery:
    codes, labels or recipes that were made up, with everything else computed from them as retbench would. To rule these
    out, run the suite again: equal keys mean that the same computation was run.
    """
    verifier = _Verifier(bundle)
    verifier.check_artifacts()
    verifier.check_targets()
    for row in bundle.done_rows:
        verifier.check_row(row)
    verifier.check_steps()
    verifier.check_suites()
    return Verification(tuple(verifier.agreed), tuple(verifier.disagreed), tuple(verifier.unverifiable))


class _Verifier:
    """Collects the findings of a bundle; a ranking that several rows share is computed once."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.agreed: list[Finding] = []
        self.disagreed: list[Finding] = []
        self.unverifiable: list[Finding] = []
        self.datasets = {name: BundledDataset.of(labels) for name, labels in bundle.labels.items()}
        self.rankings: dict[str, dict[str, Tensor]] = {}

    def record(self, kind: str, where: str, comparisons: Iterable[Comparison]) -> bool:
        """Record comparisons as findings, and return whether all of them match."""
        before = len(self.disagreed)
        for comparison in comparisons:
            findings = self.disagreed if isinstance(comparison, Mismatch) else self.agreed
            findings.append(Finding(kind, where, *comparison))
        return len(self.disagreed) == before

    def check_artifacts(self) -> None:
        """Compare every artifact with its digests, and its count of distinct codes with its codes."""
        for key, artifact in self.bundle.artifacts.items():
            where = f"{artifact.recipe['stage']} {key[:12]}"
            problems = [Mismatch("digests", problem, "as stored") for problem in artifact.find_problems(key)]
            self.record("artifact", where, problems or [Match("digests")])
            if artifact.recipe["stage"] == "encode":
                distinct = len(torch.unique(artifact.tensors["codes"], dim=0))
                self.record("artifact", where, compare_json("distinct", artifact.summary.get("distinct"), distinct))

    def check_targets(self) -> None:
        """Draw all targets again, and compare them with the targets in the bundle."""
        for key, artifact in self.bundle.artifacts.items():
            if artifact.recipe["stage"] == "targets":
                self.record("targets", f"targets {key[:12]}", self._compare_targets(key, artifact))

    def _compare_targets(self, key: str, artifact: BundledArtifact) -> list[Comparison]:
        """Compare targets with a new draw; targets from a file cannot be drawn, only their labels are compared."""
        dataset = self.datasets.get(str(artifact.recipe.get("dataset")))
        if dataset is None:
            return [Mismatch("dataset", "no labels in the bundle", "its labels")]
        try:
            rule = TargetRule.model_validate(artifact.recipe.get("rule"))
            if rule.file:
                return [self._compare_target_labels(dataset, artifact)]
            draw = DrawTargets(dataset, rule)
            outcome = draw.run(_load_nothing, Context(torch.device("cpu"), "float32", Noise(0, ())))
        except (ValidationError, UserError) as error:
            return [Mismatch("rule", str(error).splitlines()[0], "a rule that targets can be drawn by")]
        tensors = [compare_tensors(name, artifact.tensors.get(name), value) for name, value in outcome.tensors.items()]
        summary = {name: artifact.summary.get(name) for name in outcome.summary}
        return [*compare_json("key", key, draw.key), *tensors, *compare_json("summary", summary, outcome.summary)]

    def _compare_target_labels(self, dataset: BundledDataset, artifact: BundledArtifact) -> Comparison:
        """Compare target labels from a file with the labels of their database rows; the file is not verifiable."""
        self.unverifiable.append(Finding("targets", str(artifact.meta.get("label")), "the file of target labels"))
        labels, rows, database = artifact.tensors["labels"], artifact.tensors["rows"], dataset.labels("database")
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(database):
            return Mismatch("rows", f"{int(rows.max())}", f"rows of {len(database)}")
        return compare_tensors("labels", labels, database[rows])

    def check_row(self, row: Row) -> None:
        """Compute the numbers of a row again, from its codes to its means."""
        where, score = name_cell(row), self.bundle.artifacts[row.key]
        inputs = self._find_inputs(where, row, score)
        if inputs is None:
            return
        self.record("recipe", where, [*compare_recipes(row, score, inputs), *compare_identity(row, self.bundle)])
        ranked = self._rank(where, row, score, inputs)
        if ranked is None:
            return
        stored = score.tensors
        self.record("query", where, [compare_tensors(name, stored.get(name), value) for name, value in ranked.items()])
        others = {name: values for name, values in stored.items() if name not in ranked}
        self.record("query", where, compare_json("values", sorted(others), sorted(self._other_values(row, score))))
        self.record("query", where, _compare_query_budget(row, others))
        self.unverifiable += [Finding("query", where, name) for name in others]
        self.unverifiable += [Finding("row", where, name) for name in list_unverifiable_fields(row, self._stages(row))]
        values, targeted = {**ranked, **others}, bool(score.recipe.get("targeted"))
        try:
            summary = inputs.summarize(values, read_protocol(row).suite, targeted)
        except ValueError as error:
            self.record("summary", where, [Mismatch("values", str(error), "values that have a mean")])
            return
        self.record("summary", where, compare_json("score", score.summary, summary))
        self.record("row", where, compare_row(row, summary, inputs))

    def _find_inputs(self, where: str, row: Row, score: BundledArtifact) -> ScoreInputs | None:
        """Return the inputs of a score; None, with a finding, if one is missing or does not fit."""
        artifacts: dict[str, BundledArtifact] = {}
        for role, stage in (("codes", "encode"), ("database", "encode"), ("targets", "targets")):
            artifact = self.bundle.artifacts.get(str(score.recipe.get(role)))
            got = artifact.recipe["stage"] if artifact else "nothing"
            if not self.record("recipe", where, compare_json(role, got, stage)) or artifact is None:
                return None
            artifacts[role] = artifact
        dataset = self.datasets.get(str(score.recipe.get("dataset")))
        if dataset is None:
            self.record("recipe", where, [Mismatch("dataset", "no labels in the bundle", "its labels")])
            return None
        queries, targets = draw_queries(dataset, read_protocol(row).queries), artifacts["targets"].tensors["labels"]
        split_shape = [*dataset.labels("query").shape]
        if not self.record("recipe", where, compare_json("targets", [*targets.shape], split_shape)):
            return None
        labels = {"map": queries.labels(), "t_map": targets[list(queries.rows)]}
        return ScoreInputs(**artifacts, dataset=dataset, queries=queries, labels=labels)

    def _rank(self, where: str, row: Row, score: BundledArtifact, inputs: ScoreInputs) -> dict[str, Tensor] | None:
        """Return the per-query values of a ranking; None, with a finding, if codes and labels do not fit together."""
        protocol = read_protocol(row)
        keys = [score.recipe[role] for role in ("codes", "database", "targets")]
        ranking = canonical([*keys, inputs.dataset.fingerprint(), row.bits, protocol.suite.model_dump(mode="json")])
        if ranking not in self.rankings:
            try:
                self.rankings[ranking] = inputs.rank(row.bits, protocol.suite)
            except ValueError as error:
                self.record("query", where, [Mismatch("codes", str(error), "codes and labels that fit together")])
                return None
        return self.rankings[ranking]

    def _other_values(self, row: Row, score: BundledArtifact) -> Iterator[str]:
        """Yield the names of the per-query values that a score has in addition to those of its ranking."""
        yield from ("perceptibility", "ssim") if score.recipe.get("attacked") else ()
        yield from (GRADIENT,) if score.recipe.get("attacked") and GRADIENT in score.tensors else ()
        yield from (QUERIES_USED,) if row.access not in ("", "gradient") else ()
        yield from ("purified_rmse",) if score.recipe.get("purified") else ()
        yield from ("certified_radius",) if "certify" in self._stages(row) else ()

    def _stages(self, row: Row) -> list[Any]:
        return [self.bundle.recipe(key).get("stage") for key in row.steps]

    def check_steps(self) -> None:
        """Compare recipes with their keys, and the records of steps with their artifacts or recipes."""
        for key, recipe in self.bundle.recipes.items():
            problem = "as stored" if digest(dict(recipe)) == key else "its recipe does not have this key"
            where = f"{recipe.get('stage')} {key[:12]}"
            self.record("artifact", where, compare_json("digests", problem, "as stored"))
        for key, step in self.bundle.evidence.steps.items():
            where, artifact = f"{step.stage} {key[:12]}", self.bundle.artifacts.get(key)
            if artifact:
                self.record("artifact", where, _compare_step(step, artifact))
                continue
            unverifiable = "seconds, memory, machine, versions, labels and summaries of steps"
            self.unverifiable.append(Finding("step", where, unverifiable))
            if recipe := self.bundle.recipe(key):
                recorded = {"stage": step.stage, "precision": step.precision}
                expected = {"stage": recipe.get("stage"), "precision": recipe.get("precision") or ""}
                self.record("artifact", where, compare_json("step", recorded, expected))

    def check_suites(self) -> None:
        """Compare suites with their digests, and list the fields that belong to no row and cannot be verified."""
        for suite in self.bundle.suites:
            if canonical(FOLDERS).strip('"') in canonical(suite.suite):
                self.unverifiable.append(Finding("bundle", "suite.json", "the digest of a suite with shortened paths"))
            else:
                self.record("bundle", "suite.json", compare_json("digest", suite.digest, digest(suite.suite)))
        title = self.bundle.evidence.title
        self.unverifiable += [Finding("bundle", title, field) for field in _list_unverifiable_members(self.bundle)]


def _compare_query_budget(row: Row, values: Mapping[str, Tensor]) -> Iterator[Comparison]:
    """Compare the queries that a black-box attack used for each query image with its budget."""
    if row.query_budget is not None and QUERIES_USED in values:
        within = (values[QUERIES_USED] >= 0) & (values[QUERIES_USED] <= row.query_budget)
        yield from compare_json("queries used outside the budget", int((~within).sum()), 0)


def _compare_step(step: StepRecord, artifact: BundledArtifact) -> Iterator[Comparison]:
    """Compare the record of a step with its artifact."""
    fields = ("label", "seconds", "peak_memory", "environment")
    expected: dict[str, Any] = {name: artifact.meta.get(name) for name in fields}
    expected["precision"] = artifact.recipe.get("precision") or ""
    expected["summary"] = {name: artifact.summary.get(name) for name in step.summary}
    yield from compare_json("step", {name: getattr(step, name) for name in expected}, expected)


def _load_nothing(key: str) -> Artifact:
    raise LookupError(f"a draw of targets reads no other artifact: got {key}")


def list_unverifiable_fields(row: Row, stages: Collection[Any]) -> Iterator[str]:
    """Yield the fields of a done row that nothing in its bundle can confirm.

    Args:
        row: a done row.
        stages: stages of the steps behind it; without an attack or a purifier, fewer fields can be confirmed.
    """
    yield from (name for name in UNVERIFIABLE_FIELDS if getattr(row, name))
    attack = row.options.get("attack")
    yield from ("budget.norm",) if row.budget else ()
    has_eps_option = isinstance(attack, Mapping) and "eps" in attack
    yield from ("budget.eps",) if row.budget.get("eps") is not None and not has_eps_option else ()
    yield from ("options.dataset",) if row.options.get("dataset") else ()
    yield from (f"data.{name}" for name in ("train", "image_size") if name in row.data)
    if "purify" not in stages:
        yield "threat without a purifier"
        yield from ("protocol.quantize of clean queries",) if "attack" not in stages else ()


def _list_unverifiable_members(bundle: Bundle) -> Iterator[str]:
    """Yield the contents of a bundle that nothing in it can confirm and that belong to no done row."""
    yield from ALWAYS_UNVERIFIABLE
    contents = {
        "the texts of layouts": bundle.layouts,
        "the texts of claims": bundle.claims,
        "the gallery": bundle.galleries,
        "why rows have no results": [row for row in bundle.evidence.rows if row.status != "done"],
    }
    yield from (name for name, value in contents.items() if value)
