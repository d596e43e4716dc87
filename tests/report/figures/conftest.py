"""Evidence made by hand: rows of a few conditions, and the values of their queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from retbench.metrics import Interval
from retbench.results import Evidence, Row, StepRecord

QUERIES, DEPTHS = 12, (1, 5, 20)
PROTOCOL: dict[str, Any] = {"confidence": 0.95, "resamples": 200}
IDLE = StepRecord("score", "", "", 0.1, 0, {}, {})

Cells = Mapping[tuple[str, str], Mapping[str, Any]]


def values(at: float, seed: int) -> dict[str, Tensor]:
    """Return what a score holds of some queries whose precisions lie around `at`."""
    generator = torch.Generator().manual_seed(seed)

    def around(*shape: int) -> Tensor:
        return (at + 0.1 * torch.rand(*shape, generator=generator, dtype=torch.float64)).clamp(0, 1)

    return {
        "map": around(QUERIES),
        "t_map": 1 - around(QUERIES),
        "map_recall": around(QUERIES, 21).float(),
        "map_depth": around(QUERIES, len(DEPTHS)).float(),
        "depths": torch.tensor(DEPTHS),
        "cluster": torch.arange(QUERIES) // 2,
    }


@pytest.fixture
def evidence() -> Callable[..., Evidence]:
    """Make evidence of cells by attack and defense.

    A cell's `at` is where its precisions lie; `values` are laid over what its score holds (None takes one away), and
    everything else are fields of its row. `common` are fields of all rows.
    """

    def make(cells: Cells, **common: Any) -> Evidence:
        rows, scores, steps = [], dict[str, dict[str, Tensor]](), dict[str, StepRecord]()
        for (attack, defense), told in cells.items():
            told = {**common, **told}
            held = values(told.pop("at", 0.5), len(scores))
            held |= told.pop("values", {})
            key = f"key{len(scores)}"
            scores[key] = {name: tensor for name, tensor in held.items() if tensor is not None}
            steps[key] = IDLE
            metrics = {name: Interval(*(float(held[name].mean()),) * 3) for name in ("map", "t_map")}
            axes = {"dataset": "digits", "hasher": "dpsh", "bits": 32, "task": "i2i", "surrogate": "none"}
            axes |= {"threat": "oblivious", "seed": 0, "variant": "", "status": "done"}
            told.setdefault("budget", {} if attack == "none" else {"goal": "targeted"})
            fields = {"metrics": metrics, "protocol": PROTOCOL, "key": key, "steps": (key,), **axes, **told}
            rows.append(Row(attack=attack.split("#")[0], defense=defense.split("#")[0], **fields))
        return Evidence("toys", "", "", tuple(rows), steps, scores.__getitem__)

    return make
