"""The numbers of a bundle, computed again from the codes and labels in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor

from retbench.bundle.basis import Basis, compare_recipes, compare_row
from retbench.bundle.bundle import Bundle, name_cell, read_protocol
from retbench.bundle.compare import Agreement, Comparison, Difference, compare_json, compare_tensors
from retbench.bundle.dataset import BundledDataset
from retbench.bundle.identity import compare_identity
from retbench.bundle.packed import PackedArtifact
from retbench.bundle.records import CUT
from retbench.canon import canonical, digest
from retbench.contracts import Context, Noise, TargetRule
from retbench.errors import UserError
from retbench.results import Row, StepRecord
from retbench.stages import DrawTargets, draw_queries
from retbench.store import Artifact

CARRIED_FIELDS = ("cost", "details", "caveats", "variant")
"""Fields of a row that nothing in a bundle can confirm."""
CARRIED_ALWAYS = (
    "that no row was left out",
    "that codes come from the images, weights and options that recipes name",
    "that labels are those of the datasets",
    "the names of classes",
    "the suite's title and description, and the versions that made it",
    "that the suite's text is what was run",
)
"""What nothing in any bundle can confirm."""


class Finding(NamedTuple):
    """One thing that was checked, or had to be taken as it is.

    Attributes:
        kind: `artifact`, `targets`, `recipe` (what a row was computed from, and is named after), `query` (values of
            each query), `summary` (means, intervals, counts of a score), `row` (the row's copy of them), `step` and
            `bundle` (of what belongs to no row).
        where: the cell, the artifact, or the member.
        field: the part of it.
        got, expected: the value in the bundle and the one computed; empty where they agree or nothing was computed.
    """

    kind: str
    where: str
    field: str
    got: str = ""
    expected: str = ""


class Verification(NamedTuple):
    """The findings of a bundle: what was computed again and agrees, what disagrees, what had to be taken as it is."""

    agreed: tuple[Finding, ...]
    disagreed: tuple[Finding, ...]
    carried: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing disagrees."""
        return not self.disagreed


def verify_bundle(bundle: Bundle) -> Verification:
    """Return how the contents of a bundle compare with the values computed again from its codes and labels.

    Computed again: the digests and keys of artifacts; the draw of the queries and of their targets; every query's
    ranking, with average precision under each order of ties, precision at recalls and depths; means, intervals and
    chance levels; and against these the numbers of every row. Float64 agrees to 1e-9, float32 to 1e-6. Followed by
    their keys: the recipes of everything behind a score, and against these the row's hasher, attack, surrogate,
    purifiers and hardening with their options, its seed, threat, budget and steps.

    Carried, that is, taken as it is: how far images were changed, query by query (their means are computed again);
    seconds, memory, machines and versions of steps; caveats, details, the labels of variants, the norm of a budget, the
    options of datasets and the sizes of what nobody ranked; a gallery, the texts of layouts and claims; and that codes
    come from the images, weights and options that recipes name, and labels from the dataset of that fingerprint:
    neither images nor networks are in a bundle. All of it is in `carried`, by name.

    This finds what was changed by accident, or in one place. It cannot find rows that were left out, nor a forgery that
    is consistent: whoever makes up codes, labels or recipes, and computes everything else from them as retbench would,
    has a bundle that verifies. Only running the suite again helps against that: equal keys mean that the same was run.
    """
    verifier = _Verifier(bundle)
    verifier.artifacts()
    verifier.targets()
    for row in bundle.done:
        verifier.row(row)
    verifier.steps()
    verifier.rest()
    return Verification(tuple(verifier.agreed), tuple(verifier.disagreed), tuple(verifier.carried))


class _Verifier:
    """The findings so far; what several rows share is ranked once."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.agreed: list[Finding] = []
        self.disagreed: list[Finding] = []
        self.carried: list[Finding] = []
        self.datasets = {name: BundledDataset.of(labels) for name, labels in bundle.labels.items()}
        self.ranked: dict[str, dict[str, Tensor]] = {}

    def compare(self, kind: str, where: str, found: Iterable[Comparison]) -> bool:
        """Note what agrees and what does not, and returns whether all agrees."""
        before = len(self.disagreed)
        for each in found:
            (self.disagreed if isinstance(each, Difference) else self.agreed).append(Finding(kind, where, *each))
        return len(self.disagreed) == before

    def artifacts(self) -> None:
        """Check every artifact against its own digests, and its count of distinct codes."""
        for key, artifact in self.bundle.artifacts.items():
            where = f"{artifact.recipe['stage']} {key[:12]}"
            problems = [Difference("digests", problem, "as stored") for problem in artifact.problems(key)]
            self.compare("artifact", where, problems or [Agreement("digests")])
            if artifact.recipe["stage"] == "encode":
                distinct = len(torch.unique(artifact.tensors["codes"], dim=0))
                self.compare("artifact", where, compare_json("distinct", artifact.summary.get("distinct"), distinct))

    def targets(self) -> None:
        """Draw targets again wherever their rule is a draw."""
        for key, artifact in self.bundle.artifacts.items():
            if artifact.recipe["stage"] == "targets":
                self.compare("targets", f"targets {key[:12]}", self._drawn(key, artifact))

    def _drawn(self, key: str, artifact: PackedArtifact) -> list[Comparison]:
        """Return how a draw of targets compares with one made now; for a file, whether its rows carry the labels."""
        dataset = self.datasets.get(str(artifact.recipe.get("dataset")))
        if dataset is None:
            return [Difference("dataset", "no labels in the bundle", "its labels")]
        try:
            rule = TargetRule.model_validate(artifact.recipe.get("rule"))
            if rule.file:
                return [self._carrying(dataset, artifact)]
            draw = DrawTargets(dataset, rule)
            outcome = draw.run(_nothing, Context(torch.device("cpu"), "float32", Noise(0, ())))
        except (ValidationError, UserError) as error:
            return [Difference("rule", str(error).splitlines()[0], "a rule that can be drawn")]
        tensors = [compare_tensors(name, artifact.tensors.get(name), value) for name, value in outcome.tensors.items()]
        summary = {name: artifact.summary.get(name) for name in outcome.summary}
        return [*compare_json("key", key, draw.key), *tensors, *compare_json("summary", summary, outcome.summary)]

    def _carrying(self, dataset: BundledDataset, artifact: PackedArtifact) -> Comparison:
        """Return whether the rows of targets that were read from a file carry their labels; the file is carried."""
        self.carried.append(Finding("targets", str(artifact.meta.get("label")), "the file of target labels"))
        labels, rows, database = artifact.tensors["labels"], artifact.tensors["rows"], dataset.labels("database")
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(database):
            return Difference("rows", f"{int(rows.max())}", f"rows of {len(database)}")
        return compare_tensors("labels", labels, database[rows])

    def row(self, row: Row) -> None:
        """Compute the numbers of a row again, from its codes to its means."""
        where, score = name_cell(row), self.bundle.artifacts[row.key]
        basis = self._basis(where, row, score)
        if basis is None:
            return
        self.compare("recipe", where, [*compare_recipes(row, score, basis), *compare_identity(row, self.bundle)])
        ranked = self._ranked(where, row, score, basis)
        if ranked is None:
            return
        held = score.tensors
        self.compare("query", where, [compare_tensors(name, held.get(name), value) for name, value in ranked.items()])
        seen = {name: values for name, values in held.items() if name not in ranked}
        self.compare("query", where, compare_json("values", sorted(seen), sorted(self._expected(row, score))))
        self.carried += [Finding("query", where, name) for name in seen]
        self.carried += [Finding("row", where, name) for name in carried_by_row(row, self._stages(row))]
        try:
            summary = basis.summarize({**ranked, **seen}, read_protocol(row).suite, bool(score.recipe.get("targeted")))
        except ValueError as error:
            self.compare("summary", where, [Difference("values", str(error), "values that have a mean")])
            return
        self.compare("summary", where, compare_json("score", score.summary, summary))
        self.compare("row", where, compare_row(row, summary, basis))

    def _basis(self, where: str, row: Row, score: PackedArtifact) -> Basis | None:
        """Return what a score was computed from; None, with a finding, where some of it is missing or does not fit."""
        found: dict[str, PackedArtifact] = {}
        for role, stage in (("codes", "encode"), ("database", "encode"), ("targets", "targets")):
            artifact = self.bundle.artifacts.get(str(score.recipe.get(role)))
            got = artifact.recipe["stage"] if artifact else "nothing"
            if not self.compare("recipe", where, compare_json(role, got, stage)) or artifact is None:
                return None
            found[role] = artifact
        dataset = self.datasets.get(str(score.recipe.get("dataset")))
        if dataset is None:
            self.compare("recipe", where, [Difference("dataset", "no labels in the bundle", "its labels")])
            return None
        queries, wanted = draw_queries(dataset, read_protocol(row).queries), found["targets"].tensors["labels"]
        whole = [*dataset.labels("query").shape]
        if not self.compare("recipe", where, compare_json("targets", [*wanted.shape], whole)):
            return None
        labels = {"map": queries.labels(), "t_map": wanted[list(queries.rows)]}
        return Basis(**found, dataset=dataset, queries=queries, labels=labels)

    def _ranked(self, where: str, row: Row, score: PackedArtifact, basis: Basis) -> dict[str, Tensor] | None:
        """Return the values of every query's ranking; None, with a finding, where codes and labels do not fit."""
        protocol = read_protocol(row)
        inputs = [score.recipe[role] for role in ("codes", "database", "targets")]
        ranking = canonical([*inputs, basis.dataset.fingerprint(), row.bits, protocol.suite.model_dump(mode="json")])
        if ranking not in self.ranked:
            try:
                self.ranked[ranking] = basis.rank(row.bits, protocol.suite)
            except ValueError as error:
                self.compare("query", where, [Difference("codes", str(error), "codes and labels that fit together")])
                return None
        return self.ranked[ranking]

    def _expected(self, row: Row, score: PackedArtifact) -> Iterator[str]:
        """Yield the values of queries that a score must have beside those of its ranking."""
        yield from ("perceptibility", "ssim") if score.recipe.get("attacked") else ()
        yield from ("purified_rmse",) if score.recipe.get("purified") else ()
        yield from ("certified_radius",) if "certify" in self._stages(row) else ()

    def _stages(self, row: Row) -> list[Any]:
        return [self.bundle.recipe(key).get("stage") for key in row.steps]

    def steps(self) -> None:
        """Compare recipes with their keys, and the records of steps with their artifacts or else their recipes."""
        for key, recipe in self.bundle.recipes.items():
            problem = "as stored" if digest(dict(recipe)) == key else "its recipe does not have this key"
            where = f"{recipe.get('stage')} {key[:12]}"
            self.compare("artifact", where, compare_json("digests", problem, "as stored"))
        for key, step in self.bundle.evidence.steps.items():
            where, artifact, recipe = (
                f"{step.stage} {key[:12]}",
                self.bundle.artifacts.get(key),
                self.bundle.recipe(key),
            )
            if artifact:
                self.compare("artifact", where, _compare_step(step, artifact))
                continue
            carried = "seconds, memory, machine, versions, labels and summaries of steps"
            self.carried.append(Finding("step", where, carried))
            if recipe:
                recorded = {"stage": step.stage, "precision": step.precision}
                made = {"stage": recipe.get("stage"), "precision": recipe.get("precision") or ""}
                self.compare("artifact", where, compare_json("step", recorded, made))

    def rest(self) -> None:
        """Compare suites with their digests, and list what else of the bundle is carried."""
        for suite in self.bundle.suites:
            if canonical(CUT).strip('"') in canonical(suite.suite):
                self.carried.append(Finding("bundle", "suite.json", "the digest of a suite whose paths were cut"))
            else:
                self.compare("bundle", "suite.json", compare_json("digest", suite.digest, digest(suite.suite)))
        title = self.bundle.evidence.title
        self.carried += [Finding("bundle", title, field) for field in carried_by_bundle(self.bundle)]


def _compare_step(step: StepRecord, artifact: PackedArtifact) -> Iterator[Comparison]:
    """Yield how the record of a step compares with its artifact."""
    fields = ("label", "seconds", "peak_memory", "environment")
    known: dict[str, Any] = {name: artifact.meta.get(name) for name in fields}
    known["precision"] = artifact.recipe.get("precision") or ""
    known["summary"] = {name: artifact.summary.get(name) for name in step.summary}
    yield from compare_json("step", {name: getattr(step, name) for name in known}, known)


def _nothing(key: str) -> Artifact:
    raise LookupError(f"a draw of targets needs no other artifact: got {key}")


def carried_by_row(row: Row, stages: Collection[Any]) -> Iterator[str]:
    """Yield the fields of a row that must be believed.

    Args:
        row: one that is done.
        stages: of the steps behind it; without an attack or a purifier there is less to confirm a row by.
    """
    yield from (name for name in CARRIED_FIELDS if getattr(row, name))
    attack = row.options.get("attack")
    yield from ("budget.norm",) if row.budget else ()
    named = isinstance(attack, Mapping) and "eps" in attack
    yield from ("budget.eps",) if row.budget.get("eps") is not None and not named else ()
    yield from ("options.dataset",) if row.options.get("dataset") else ()
    yield from (f"data.{name}" for name in ("train", "image_size") if name in row.data)
    if "purify" not in stages:
        yield "threat without a purifier"
        yield from ("protocol.quantize of clean queries",) if "attack" not in stages else ()


def carried_by_bundle(bundle: Bundle) -> Iterator[str]:
    """Yield what of a bundle must be believed and belongs to no row with numbers."""
    yield from CARRIED_ALWAYS
    held = {
        "the texts of layouts": bundle.layouts,
        "the texts of claims": bundle.claims,
        "the gallery": bundle.galleries,
        "why rows have no numbers": [row for row in bundle.evidence.rows if row.status != "done"],
    }
    yield from (name for name, value in held.items() if value)
