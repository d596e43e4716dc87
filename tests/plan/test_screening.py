"""A cell that cannot run is skipped with its reason, and stops no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import pytest
from torch import Tensor, nn

from retbench.contracts import Facts, Hasher, Noise, Part, Purifier, Weights
from retbench.contracts.hasher import Modality
from retbench.plan import Plan, PlannedCell
from retbench.testing.toys import ToyAttack, ToyDataset, ToyHardening, ToyHasher, ToyPart, ToyPurifier

Planner = Callable[..., Plan]


class Silent(ToyDataset):
    name: ClassVar[str] = "silent"

    def facts(self) -> Facts:
        return replace(super().facts(), text_width=0)


class Absent(ToyDataset):
    name: ClassVar[str] = "absent"

    def missing(self) -> str | None:
        return "absent: no such folder; run `fetch it`"

    def facts(self) -> Facts:
        raise FileNotFoundError("asked before it was known to be there")


class Seeing(ToyHasher):
    name: ClassVar[str] = "seeing"
    modalities: ClassVar[frozenset[Modality]] = frozenset({"image"})


class Picky(ToyPurifier):
    """Works with short codes only, where it is told of any."""

    name: ClassVar[str] = "picky"

    def supports(self, facts: Facts) -> str | None:
        return f"it needs at most 8 bits: got {facts.bits}; choose bits: 8" if facts.bits > 8 else None


class PickyPart(ToyPart):
    name: ClassVar[str] = "picky-part"

    def supports(self, facts: Facts) -> str | None:
        return f"it needs 224 pixels: got {facts.image_size[0]}"


class Owner(ToyPurifier):
    name: ClassVar[str] = "owner"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"denoiser": PickyPart()}


class Opaque(Purifier):
    name: ClassVar[str] = "opaque"
    source: ClassVar[str] = "made for tests"
    differentiable: ClassVar[bool] = False

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return images


def only(plan: Plan) -> PlannedCell:
    (cell,) = plan.cells
    return cell


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        ({"dataset": "silent", "task": "i2t"}, "task i2t needs texts; dataset silent has none"),
        ({"dataset": "silent", "task": "t2t"}, "task t2t needs texts; dataset silent has none"),
        ({"hasher": "seeing", "task": "t2i"}, "task t2i: hasher seeing does not encode text"),
        ({"dataset": "absent"}, "absent: no such folder; run `fetch it`"),
        ({"defense": "picky", "bits": 16}, "defense picky: it needs at most 8 bits: got 16; choose bits: 8"),
        ({"defense": "owner"}, "part picky-part of defense owner: it needs 224 pixels: got 12"),
        ({"surrogate": "toy"}, "a surrogate is attacked: this cell has no attack"),
        (
            {"attack": "toy", "defense": "opaque", "threat": "adaptive"},
            "threat adaptive needs gradients, which opaque does not pass",
        ),
        ({"attack": "toy", "task": "t2i"}, "task t2i asks with texts; toy works on images"),
        ({"defense": "toy", "task": "t2i"}, "task t2i asks with texts; toy works on images"),
        (
            {"defense": [["toy-hardening", "toy"]], "task": "t2t"},
            "task t2t asks with texts; toy works on images",
        ),
    ],
)
def test_a_cell_that_cannot_run_is_skipped_with_its_reason(
    toy_plan: Planner, matrix: dict[str, Any], reason: str
) -> None:
    plan = toy_plan(matrix, Silent, Absent, Seeing, Picky, Owner, Opaque)
    assert only(plan).reason == reason
    assert only(plan).key is None
    assert plan.steps == {}


@pytest.mark.parametrize(
    "matrix",
    [
        {"dataset": "silent"},
        {"hasher": "seeing"},
        {"defense": "picky"},
        {"attack": "toy", "defense": "opaque"},
        {"defense": "opaque", "threat": "adaptive"},
        {"defense": "toy-hardening", "task": "t2i"},
        {"attack": "toy", "defense": "toy", "task": "i2t"},
    ],
)
def test_a_cell_that_can_run_is_not_skipped(toy_plan: Planner, matrix: dict[str, Any]) -> None:
    assert only(toy_plan(matrix, Silent, Seeing, Picky, Opaque)).reason is None


def test_a_skipped_cell_does_not_stop_its_neighbors(toy_plan: Planner) -> None:
    plan = toy_plan({"dataset": ["absent", "toy"]}, Absent)
    assert [cell.reason is None for cell in plan.cells] == [False, True]
    assert plan.steps.keys() == toy_plan({}).steps.keys()


EMPTY = sha256(b"").hexdigest()[:8]


class Pretrained(ToyPart):
    """Starts from a published file."""

    name: ClassVar[str] = "pretrained"

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        return (Weights("net.pth", "https://example.org/net.pth", EMPTY, "as published"),)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        return ("its classes overlap the queries'",)


class Ready(ToyHasher):
    """Owns the pretrained part."""

    name: ClassVar[str] = "ready"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"mean": Pretrained()}


def test_missing_weights_skip_a_cell_and_say_how_to_get_them(
    toy_plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    reason = only(toy_plan({"hasher": "ready"}, Ready)).reason or ""
    assert reason.startswith("part pretrained of hasher ready: its weights are missing: expected ")
    assert "https://example.org/net.pth; get them with `retbench weights prepare SUITE`" in reason
    (tmp_path / "net.pth").touch()
    assert only(toy_plan({"hasher": "ready"}, Ready)).reason is None
    (tmp_path / "net.pth").write_bytes(b"half a file")
    reason = only(toy_plan({"hasher": "ready"}, Ready)).reason or ""
    assert "its weights are not the published file" in reason
    assert f"expected {EMPTY}; remove it" in reason


def test_a_cell_carries_the_caveats_of_its_components_and_their_parts_once(
    toy_plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "net.pth").touch()
    cell = only(toy_plan({"hasher": "ready", "attack": "toy", "surrogate": "ready"}, Ready))
    assert cell.caveats == ("part pretrained of hasher ready: its classes overlap the queries'",)
    assert only(toy_plan({})).caveats == ()


class Learned(ToyAttack):
    """Asks the hasher in its training alone."""

    name: ClassVar[str] = "learned"
    adaptive: ClassVar[bool] = False


def test_an_attack_that_would_not_look_through_the_purifier_is_not_called_adaptive(toy_plan: Planner) -> None:
    adaptive = {"attack": "learned", "threat": "adaptive"}
    reason = only(toy_plan({**adaptive, "defense": "toy"}, Learned)).reason
    assert reason == "threat adaptive: learned asks the hasher in its training alone, without purifiers in front"
    assert only(toy_plan({**adaptive, "defense": "toy-hardening"}, Learned)).reason is None


class Unsupervised(ToyHasher):
    name: ClassVar[str] = "unsupervised"
    supervised: ClassVar[bool] = False
    loss = Hasher.loss


class Demanding(ToyHardening):
    name: ClassVar[str] = "demanding"
    needs_loss: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("hasher", "defense", "skipped"),
    [("unsupervised", "demanding", True), ("toy", "demanding", False), ("unsupervised", "toy-hardening", False)],
)
def test_a_hardening_that_trains_with_the_hasher_s_loss_needs_one(
    toy_plan: Planner, hasher: str, defense: str, skipped: bool
) -> None:
    (cell,) = toy_plan({"hasher": hasher, "defense": defense}, Unsupervised, Demanding).cells
    reason = "demanding trains with the hasher's own loss on labels, which unsupervised does not offer"
    assert cell.reason == (reason if skipped else None)
