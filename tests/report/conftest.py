"""Rows as a run leaves them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from retbench.metrics import Interval
from retbench.results import Row


@pytest.fixture
def row() -> Callable[..., Row]:
    """Makes a done row of an attack, a defense and a MAP; `axes` are the others."""

    def make(attack: str, defense: str, value: float, variant: str = "", **axes: str | int) -> Row:
        given: dict[str, object] = {"dataset": "digits", "hasher": "dpsh", "bits": 32, "seed": 0, **axes}
        fixed = {"task": "i2i", "surrogate": "none", "threat": "oblivious", "status": "done", "variant": variant}
        metrics = {
            "map": Interval(value, value - 0.1, value + 0.05),
            "t_map": Interval(1 - value, 0.9 - value, 1.0),
            "visibility": Interval(value / 10, value / 20, value / 5),
        }
        return Row(**fixed, **given, attack=attack, defense=defense, metrics=metrics)  # type: ignore[arg-type]  # built from parts

    return make
