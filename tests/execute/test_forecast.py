"""Forecasts of the cost of a plan from earlier timings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from retbench.canon import digest
from retbench.execute import Forecast, Forecaster, LocalExecutor
from retbench.plan import Plan
from retbench.stages import Stage
from retbench.store import Store
from retbench.testing import ToyAttack

Planner = Callable[..., Plan]


@pytest.fixture
def add_timing(store: Store) -> Callable[..., None]:
    """Return a function that adds a timing to the store; by default four attacked images in two seconds."""

    def write(**fields: Any) -> None:
        timing: dict[str, Any] = {
            "stage": "attack",
            "work": "toy",
            "options": digest(ToyAttack().model_dump(mode="json"))[:12],
            "device": "cpu",
            "seconds": 2.0,
            "units": 4,
            "bytes": 1000,
        }
        store.append_timing({**timing, "peak_memory": 10, "batch_size": 64, **fields})

    return write


@pytest.fixture
def attack(toy_plan: Planner) -> Stage:
    """Return a step that attacks ten queries."""
    plan = toy_plan({"attack": "toy"})
    return plan.steps[plan.cells[0].attacked[0]]


def test_an_empty_store_has_no_forecast(store: Store, toy_plan: Planner) -> None:
    plan = toy_plan({"attack": "toy"})
    assert Forecaster(store, "cpu").forecast(plan.steps.values()) == Forecast(0.0, len(plan.steps), 0, 0)


def test_cost_is_proportional_to_units(store: Store, add_timing: Callable[..., None], attack: Stage) -> None:
    add_timing()
    forecaster = Forecaster(store, "cpu")
    assert forecaster.expected_seconds(attack) == 5.0
    assert forecaster.forecast([attack, attack]) == Forecast(seconds=10.0, unknown=0, peak_memory=10, disk=5000)


def test_steps_of_unknown_kinds_are_counted(store: Store, add_timing: Callable[..., None], toy_plan: Planner) -> None:
    add_timing()
    plan = toy_plan({"attack": "toy"})
    forecast = Forecaster(store, "cpu").forecast(plan.steps.values())
    assert forecast.seconds == 5.0
    assert forecast.unknown == len(plan.steps) - 1


@pytest.mark.parametrize(
    "other", [{"device": "cuda"}, {"work": "other"}, {"stage": "purify"}, {"options": "others"}, {"units": 0}]
)
def test_timings_of_other_devices_and_kinds_are_ignored(
    store: Store, add_timing: Callable[..., None], attack: Stage, other: dict[str, Any]
) -> None:
    add_timing(**other)
    assert Forecaster(store, "cpu").expected_seconds(attack) is None


def test_only_the_latest_timings_count(store: Store, add_timing: Callable[..., None], attack: Stage) -> None:
    add_timing(seconds=1e6)
    for seconds in (1.0, 2.0, 3.0, 4.0, 5.0):
        add_timing(seconds=seconds)
    assert Forecaster(store, "cpu").expected_seconds(attack) == pytest.approx(15 / 20 * 10)


def test_peak_memory_is_the_largest_recorded(store: Store, add_timing: Callable[..., None], attack: Stage) -> None:
    for peak in (30, 70, 50):
        add_timing(peak_memory=peak)
    assert Forecaster(store, "cpu").forecast([attack]).peak_memory == 70


def test_a_run_enables_forecasts_of_similar_steps(store: Store, toy_plan: Planner, executor: LocalExecutor) -> None:
    executor.run(toy_plan({"attack": "toy"}))
    longer = toy_plan({"attack": "toy", "seed": [1, 2]})
    forecast = Forecaster(store, "cpu").forecast(longer.steps.values())
    assert forecast.unknown == 0
    assert forecast.seconds > 0
    assert forecast.disk > 2 * 10 * 3 * 12 * 12 * 4


def test_a_forecast_is_json() -> None:
    assert Forecast(1.26, 2, 3, 4).record() == {
        "seconds": 1.3,
        "unknown_steps": 2,
        "peak_memory_bytes": 3,
        "disk_bytes": 4,
    }
