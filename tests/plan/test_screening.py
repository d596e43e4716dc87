"""Cells that cannot run are skipped with a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import pytest
from torch import Tensor, nn

from retbench.contracts import Facts, Hasher, Noise, Part, Protocol, Purifier, Weights
from retbench.contracts.facts import Split
from retbench.contracts.hasher import Modality
from retbench.errors import UserError
from retbench.execute import LocalExecutor
from retbench.plan import Plan, PlannedCell
from retbench.results import collect
from retbench.stages import draw_queries
from retbench.store import Store
from retbench.testing.toys import (
    ToyAttack,
    ToyDataset,
    ToyHardening,
    ToyHasher,
    ToyPart,
    ToyPurifier,
)

Planner = Callable[..., Plan]


class ImageDataset(ToyDataset):
    """A dataset without texts."""

    name: ClassVar[str] = "images"

    def facts(self) -> Facts:
        return replace(super().facts(), text_width=0)


class MissingDataset(ToyDataset):
    """A dataset that is not on disk."""

    name: ClassVar[str] = "missing"

    def missing(self) -> str | None:
        return "missing: no such folder; run `fetch it`"

    def facts(self) -> Facts:
        raise FileNotFoundError("the dataset is not on disk")


class ImageHasher(ToyHasher):
    """A hasher that does not encode texts."""

    name: ClassVar[str] = "images"
    modalities: ClassVar[frozenset[Modality]] = frozenset({"image"})


class ShortCodePurifier(ToyPurifier):
    """A purifier that supports at most 8 bits."""

    name: ClassVar[str] = "short-code"

    def supports(self, facts: Facts) -> str | None:
        return f"it needs at most 8 bits: got {facts.bits}; choose bits: 8" if facts.bits > 8 else None


class LargeImagePart(ToyPart):
    """A part that needs images of 224 pixels."""

    name: ClassVar[str] = "large-image"

    def supports(self, facts: Facts) -> str | None:
        return f"it needs 224 pixels: got {facts.image_size[0]}"


class LargeImagePurifier(ToyPurifier):
    """A purifier with a part that needs large images."""

    name: ClassVar[str] = "large-image"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"denoiser": LargeImagePart()}


class OpaquePurifier(Purifier):
    """A purifier that is not differentiable."""

    name: ClassVar[str] = "opaque"
    source: ClassVar[str] = "made for tests"
    differentiable: ClassVar[bool] = False

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return images


def only_cell(plan: Plan) -> PlannedCell:
    (cell,) = plan.cells
    return cell


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        ({"dataset": "images", "task": "i2t"}, "task i2t needs texts; dataset images has none"),
        ({"dataset": "images", "task": "t2t"}, "task t2t needs texts; dataset images has none"),
        ({"hasher": "images", "task": "t2i"}, "task t2i: hasher images does not encode text"),
        ({"dataset": "missing"}, "missing: no such folder; run `fetch it`"),
        ({"defense": "short-code", "bits": 16}, "defense short-code: it needs at most 8 bits: got 16; choose bits: 8"),
        ({"defense": "large-image"}, "part large-image of defense large-image: it needs 224 pixels: got 12"),
        ({"surrogate": "toy"}, "a surrogate needs an attack: this cell has none"),
        (
            {"attack": "toy", "defense": "opaque", "threat": "adaptive"},
            "threat adaptive needs gradients; opaque is not differentiable",
        ),
        ({"attack": "toy", "task": "t2i"}, "task t2i has text queries; toy works on images"),
        ({"defense": "toy", "task": "t2i"}, "task t2i has text queries; toy works on images"),
        (
            {"defense": [["toy-hardening", "toy"]], "task": "t2t"},
            "task t2t has text queries; toy works on images",
        ),
    ],
)
def test_a_cell_that_cannot_run_is_skipped_with_its_reason(
    toy_plan: Planner, matrix: dict[str, Any], reason: str
) -> None:
    plan = toy_plan(
        matrix, ImageDataset, MissingDataset, ImageHasher, ShortCodePurifier, LargeImagePurifier, OpaquePurifier
    )
    assert only_cell(plan).reason == reason
    assert only_cell(plan).key is None
    assert plan.steps == {}


@pytest.mark.parametrize(
    "matrix",
    [
        {"dataset": "images"},
        {"hasher": "images"},
        {"defense": "short-code"},
        {"attack": "toy", "defense": "opaque"},
        {"attack": "toy-decision", "defense": "opaque", "threat": "adaptive"},
        {"attack": "toy-score", "defense": "opaque", "threat": "adaptive"},
        {"defense": "opaque", "threat": "adaptive"},
        {"defense": "toy-hardening", "task": "t2i"},
        {"attack": "toy", "defense": "toy", "task": "i2t"},
    ],
)
def test_a_cell_that_can_run_is_not_skipped(toy_plan: Planner, matrix: dict[str, Any]) -> None:
    plan = toy_plan(matrix, ImageDataset, ImageHasher, ShortCodePurifier, OpaquePurifier)
    assert only_cell(plan).reason is None


def test_a_skipped_cell_does_not_stop_other_cells(toy_plan: Planner) -> None:
    plan = toy_plan({"dataset": ["missing", "toy"]}, MissingDataset)
    assert [cell.reason is None for cell in plan.cells] == [False, True]
    assert plan.steps.keys() == toy_plan({}).steps.keys()


EMPTY = sha256(b"").hexdigest()[:8]


class PretrainedPart(ToyPart):
    """Needs a published weight file."""

    name: ClassVar[str] = "pretrained"

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        return (Weights("net.pth", "https://example.org/net.pth", EMPTY, "as published"),)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        return ("its classes overlap the queries'",)


class PretrainedHasher(ToyHasher):
    """Owns the pretrained part."""

    name: ClassVar[str] = "pretrained"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"mean": PretrainedPart()}


def test_missing_weights_skip_a_cell_with_instructions(
    toy_plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    reason = only_cell(toy_plan({"hasher": "pretrained"}, PretrainedHasher)).reason or ""
    assert reason.startswith("part pretrained of hasher pretrained: its weights are missing: expected ")
    assert "https://example.org/net.pth; get them with `retbench weights prepare SUITE`" in reason
    (tmp_path / "net.pth").touch()
    assert only_cell(toy_plan({"hasher": "pretrained"}, PretrainedHasher)).reason is None
    (tmp_path / "net.pth").write_bytes(b"half a file")
    reason = only_cell(toy_plan({"hasher": "pretrained"}, PretrainedHasher)).reason or ""
    assert "its weights are not the published file" in reason
    assert f"expected {EMPTY}; remove it" in reason


def test_a_cell_has_the_caveats_of_its_components_and_their_parts_once(
    toy_plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "net.pth").touch()
    matrix = {"hasher": "pretrained", "attack": "toy", "surrogate": "pretrained"}
    cell = only_cell(toy_plan(matrix, PretrainedHasher))
    assert cell.caveats == ("part pretrained of hasher pretrained: its classes overlap the queries'",)
    assert only_cell(toy_plan({})).caveats == ()


class TrainingOnlyAttack(ToyAttack):
    """Uses the hasher only in its training."""

    name: ClassVar[str] = "training-only"
    adaptive: ClassVar[bool] = False


def test_an_attack_that_cannot_be_adaptive_is_skipped_with_purifiers(toy_plan: Planner) -> None:
    adaptive = {"attack": "training-only", "threat": "adaptive"}
    reason = only_cell(toy_plan({**adaptive, "defense": "toy"}, TrainingOnlyAttack)).reason
    assert reason == "threat adaptive: training-only uses the hasher only in its training, without purifiers"
    assert only_cell(toy_plan({**adaptive, "defense": "toy-hardening"}, TrainingOnlyAttack)).reason is None


class UnsupervisedHasher(ToyHasher):
    name: ClassVar[str] = "unsupervised"
    supervised: ClassVar[bool] = False
    loss = Hasher.loss


class LossHardening(ToyHardening):
    """A hardening that needs the hasher's loss."""

    name: ClassVar[str] = "needs-loss"
    needs_loss: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("hasher", "defense", "skipped"),
    [("unsupervised", "needs-loss", True), ("toy", "needs-loss", False), ("unsupervised", "toy-hardening", False)],
)
def test_a_hardening_that_needs_a_loss_skips_unsupervised_hashers(
    toy_plan: Planner, hasher: str, defense: str, skipped: bool
) -> None:
    (cell,) = toy_plan({"hasher": hasher, "defense": defense}, UnsupervisedHasher, LossHardening).cells
    reason = "needs-loss trains with the supervised loss of the hasher; unsupervised has none"
    assert cell.reason == (reason if skipped else None)


class LeakyDataset(ToyDataset):
    """Has three of its queries in the database."""

    name: ClassVar[str] = "leaky"

    def ids(self, split: Split) -> Sequence[str]:
        ids = super().ids(split)
        return [*super().ids("query")[:3], *ids[3:]] if split == "database" else ids


class UnlabeledDataset(ToyDataset):
    """Has a query without a label."""

    name: ClassVar[str] = "unlabeled"

    def labels(self, split: Split) -> Tensor:
        labels = super().labels(split)
        if split == "query":
            labels[4] = 0
        return labels


class FullyLabeledDataset(ToyDataset):
    """Has a query of every class, which shares a class with every target."""

    name: ClassVar[str] = "fully-labeled"

    def labels(self, split: Split) -> Tensor:
        labels = super().labels(split)
        if split == "query":
            labels[4] = 1
        return labels


def test_the_cells_of_a_dataset_with_a_query_in_its_database_fail_and_others_are_planned(toy_plan: Planner) -> None:
    toy, leaky = toy_plan({"dataset": ["toy", "leaky"]}, LeakyDataset).cells
    assert (toy.failed, toy.reason, leaky.failed, leaky.key) == (False, None, True, None)
    assert leaky.reason == (
        "dataset leaky: database: contains 3 of the queries: toy-query-0, toy-query-1, toy-query-2; "
        "`retbench datasets check leaky` lists all defects"
    )


class FaultyDataset(ToyDataset):
    """Cannot be read, or breaks its contract."""

    name: ClassVar[str] = "faulty-data"

    fault: Literal["file", "labels", "bug", "silent"] = "file"

    def labels(self, split: Split) -> Tensor:
        if self.fault == "bug":
            raise KeyError("a column")
        return super().labels(split).float()

    def fingerprint(self) -> str:
        if self.fault == "file":
            raise UserError("list.txt:3: no such image: a.jpg")
        if self.fault == "silent":
            raise UserError
        return super().fingerprint()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("file", "list.txt:3: no such image: a.jpg"),
        ("labels", "invalid: dataset faulty-data"),
        ("silent", "UserError()"),
        ("bug", "dataset faulty-data: KeyError: 'a column'; `retbench datasets check faulty-data` shows where"),
    ],
)
def test_an_error_in_one_dataset_does_not_stop_others(toy_plan: Planner, fault: str, reason: str) -> None:
    options = {"dataset": {"faulty-data": {"fault": fault}}}
    faulty, toy = toy_plan({"dataset": ["faulty-data", "toy"]}, FaultyDataset, components=options).cells
    assert (faulty.failed, faulty.key, toy.failed) == (True, None, False)
    assert (faulty.reason or "").startswith(reason)
    assert toy.key is not None


def test_warnings_about_a_dataset_are_caveats_of_its_cells(toy_plan: Planner) -> None:
    plan = toy_plan({"dataset": ["toy", "unlabeled"]}, UnlabeledDataset)
    toy, unlabeled = plan.cells
    assert toy.caveats == ()
    assert [caveat for caveat in unlabeled.caveats if "query: 1 rows match no database item" in caveat]


def test_a_query_without_target_stops_targeted_attacks_only(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"dataset": "fully-labeled", "attack": ["none", "toy-untargeted", "toy"]}, FullyLabeledDataset)
    *others, targeted = plan.cells
    expected = "targets of fully-labeled: rule zero-overlap above 0 leaves no target for 1 of 10 queries (toy-query-4)"
    assert [cell.caveats for cell in others] == [(f"{expected}, which T-MAP leaves out",)] * 2
    assert (targeted.failed, targeted.key) == (True, None)
    assert (targeted.reason or "").startswith(f"{expected}; try another rule (protocol.targets.rule)")
    assert executor.run(plan).failures == {}
    for cell in others:
        score = executor.store.get(cell.key or "")
        t_map, summary = score.tensors["t_map"], cast(Any, score.summary)
        assert t_map.isnan().nonzero()[:, 0].tolist() == [draw_queries(FullyLabeledDataset(), "all").rows.index(4)]
        assert score.tensors["map"].isfinite().all()
        assert summary["metrics"]["t_map"]["value"] == pytest.approx(float(t_map.nanmean()))
        assert summary["target_labels"] == len(set(score.tensors["cluster"].tolist()) - {-1})


def test_a_dataset_without_any_target_runs_clean_and_without_t_map(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": ["none", "toy"]}, protocol={"targets": {"above": 40}})
    clean, targeted = plan.cells
    assert (clean.failed, targeted.failed) == (False, True)
    assert executor.run(plan).failures == {}


def test_targets_are_needed_for_sampled_queries_only(toy_plan: Planner, executor: LocalExecutor) -> None:
    sampled = set(draw_queries(FullyLabeledDataset(), 3).rows)
    assert 4 not in sampled
    matrix = {"dataset": "fully-labeled", "attack": "toy"}
    plan = toy_plan(matrix, FullyLabeledDataset, protocol={"queries": 3})
    assert plan.cells[0].caveats == ()
    assert executor.run(plan).failures == {}


class ShortHardening(ToyHardening):
    """Trains for a part of its published schedule."""

    name: ClassVar[str] = "short"

    def shortened(self, facts: Facts) -> str | None:
        return "2 of 100 epochs"


def test_a_shortened_hardening_is_a_caveat_and_in_the_name_of_its_rows(
    toy_plan: Planner, executor: LocalExecutor, store: Store
) -> None:
    plan = toy_plan({"defense": ["toy-hardening", "short"]}, ShortHardening)
    assert [cell.caveats for cell in plan.cells] == [
        (),
        ("defense short: it trained for 2 of 100 epochs, and may harden more with all of them",),
    ]
    assert executor.run(plan).failures == {}
    whole, short = collect(plan, store, Protocol())
    assert "shortened" not in whole.data
    assert short.data["shortened"] == "2 of 100 epochs"
