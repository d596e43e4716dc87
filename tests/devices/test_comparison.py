"""The comparison of devices finds a difference in any stage, and none between two runs that only differ in rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import retbench
from retbench import stages
from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.stages import Stage
from retbench.store import Artifact, Store
from tests.devices.comparison import (
    STAGES,
    RepeatedStep,
    Tolerance,
    compare_rows,
    compare_steps,
    repeat_steps,
)

CPU = torch.device("cpu")
FITS = ("fit_part", "fit", "fit_attack", "fit_defense")
GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = torch.randn(200, generator=GENERATOR)
IMAGES = torch.rand(4, 3, 8, 8, generator=GENERATOR)
ATTACKED = {"images": IMAGES, "mse": torch.full((4,), 1e-3)}
CODES = torch.randint(0, 256, (100, 4), generator=GENERATOR, dtype=torch.uint8)


def step(stage: str, reference: dict[str, Tensor], repeated: dict[str, Tensor]) -> RepeatedStep:
    return RepeatedStep(stage, "of a test", Artifact("", reference), Artifact("", repeated))


def test_every_stage_has_tolerances_with_reasons() -> None:
    found = {
        member.name
        for member in vars(stages).values()
        if isinstance(member, type) and issubclass(member, Stage) and hasattr(member, "name")
    }
    assert set(STAGES) == found
    assert all(tolerance.reason for measures in STAGES.values() for _, tolerance in measures.values())


@pytest.mark.parametrize(
    ("stage", "reference", "repeated", "quantity"),
    [
        ("targets", {"rows": torch.tensor([1, 2])}, {"rows": torch.tensor([1, 3])}, "unequal tensors"),
        ("score", {"map": torch.tensor([0.5, 0.2])}, {"map": torch.tensor([0.5, 0.201])}, "values of a query"),
        ("score", {"map": torch.tensor([0.5])}, {"map": torch.tensor([torch.nan])}, "values of a query"),
        ("encode", {"codes": CODES}, {"codes": CODES ^ (torch.arange(400).reshape(100, 4) < 8)}, "share of bits"),
        ("encode", {"codes": CODES}, {"codes": ~CODES}, "share of bits"),
        ("features", {"features": WEIGHTS}, {"features": WEIGHTS * 1.001}, "features"),
        ("purify", {"images": IMAGES}, {"images": (IMAGES + 1 / 255)}, "images, gray levels"),
        ("purify", {"images": IMAGES}, {"images": torch.full_like(IMAGES, torch.nan)}, "images, gray levels"),
        ("attack", ATTACKED, {**ATTACKED, "images": IMAGES.flip(0)}, "perturbation"),
        ("attack", ATTACKED, {**ATTACKED, "mse": torch.full((4,), 1.1e-3)}, "size of the perturbation"),
        *((stage, {"weight": WEIGHTS}, {"weight": WEIGHTS.flip(0)}, "weights") for stage in FITS),
        *((stage, {"weight": WEIGHTS}, {"weight": WEIGHTS * 1.05}, "length of the weights") for stage in FITS),
        *((stage, {"weight": WEIGHTS}, {"weight": WEIGHTS.double()}, "names, shapes and types") for stage in STAGES),
        *((stage, {"weight": WEIGHTS}, {}, "names, shapes and types") for stage in STAGES),
    ],
)
def test_a_planted_difference_is_found(
    stage: str, reference: dict[str, Tensor], repeated: dict[str, Tensor], quantity: str
) -> None:
    (difference, *_) = compare_steps([step(stage, reference, repeated)])
    assert (difference.place, difference.quantity) == (f"{stage} of a test", quantity)
    assert str(difference).startswith(f"{stage} of a test: {quantity}: got a difference of ")


@pytest.mark.parametrize(
    ("stage", "reference", "repeated"),
    [
        ("score", {"map": torch.tensor([0.5, torch.nan])}, {"map": torch.tensor([0.5, torch.nan])}),
        ("encode", {"codes": CODES}, {"codes": CODES ^ (torch.arange(400).reshape(100, 4) < 1)}),
        ("features", {"features": WEIGHTS}, {"features": WEIGHTS * (1 + 1e-6)}),
        ("purify", {"images": IMAGES}, {"images": IMAGES + (IMAGES < 0.05) / 255}),
        ("attack", ATTACKED, {**ATTACKED, "images": IMAGES + 0.01 * torch.sign(IMAGES - 0.5)}),
        ("fit", {"weight": WEIGHTS, "steps": torch.tensor(3)}, {"weight": WEIGHTS * 1.001, "steps": torch.tensor(3)}),
        ("fit", {"a": WEIGHTS, "b": WEIGHTS.flip(0)}, {"b": WEIGHTS.flip(0), "a": WEIGHTS}),
        ("fit", {}, {}),
    ],
)
def test_rounding_is_no_difference(stage: str, reference: dict[str, Tensor], repeated: dict[str, Tensor]) -> None:
    assert compare_steps([step(stage, reference, repeated)]) == []


def test_the_steps_of_the_smoke_suite_repeat_in_other_batches(
    smoke_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the trainings, which are the same in any batches, and take most of the time."""
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    monkeypatch.setattr("retbench.execute.local.BATCH_SIZE", 5)
    plan = retbench.open("smoke", store=smoke_store, device="cpu").planned
    plan = replace(plan, steps={key: stage for key, stage in plan.steps.items() if stage.name not in FITS})
    steps = list(repeat_steps(plan, Store(smoke_store), Store(tmp_path), CPU))
    assert {each.stage for each in steps} == {"targets", "encode", "attack", "purify", "score"}
    assert compare_steps(steps) == []


def test_a_training_is_repeated_from_the_inputs_of_the_other_device(
    toy_plan: Callable[..., Plan], executor: LocalExecutor, store: Store, tmp_path: Path
) -> None:
    plan = toy_plan({"attack": ["none", "toy"], "defense": ["none", "toy"]})
    executor.run(plan)
    steps = list(repeat_steps(plan, store, Store(tmp_path / "scratch"), CPU))
    assert [each.reference.key for each in steps] == list(plan.steps)
    assert compare_steps(steps) == []
    assert all(torch.equal(t, each.repeated.tensors[n]) for each in steps for n, t in each.reference.tensors.items())


ROW = {"attack": "dhta", "defense": "none", "metrics": {"map": {"value": 0.5}, "t_map": {"value": 0.25}}}
TOLERANCES = dict.fromkeys(["dhta", "p2p"], dict.fromkeys(["map", "t_map"], Tolerance(0.1, "other kernels")))


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, []),
        ({"metrics": {"map": {"value": 0.59}, "t_map": {"value": 0.16}}}, []),
        ({"metrics": {"map": {"value": 0.61}, "t_map": {"value": 0.25}}}, ["map"]),
        ({"metrics": {"map": {"value": 0.5}}}, ["t_map"]),
        ({"attack": "p2p"}, ["map", "t_map", "map", "t_map"]),
    ],
)
def test_rows_differ_by_their_metrics(changed: dict[str, Any], found: list[str]) -> None:
    assert [each.quantity for each in compare_rows([ROW], [{**ROW, **changed}], TOLERANCES)] == found
