"""Hand-made evidence: rows of a few conditions, and their per-query values."""

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


def score_tensors(at: float, seed: int) -> dict[str, Tensor]:
    """Return the tensors of a score for queries with precisions around `at`."""
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

    A cell's `at` is the center of its precisions; its `values` override the tensors of its score (None removes one),
    and all other entries are fields of its row. `common` are fields of all rows.
    """

    def make(cells: Cells, **common: Any) -> Evidence:
        rows, scores, steps = [], dict[str, dict[str, Tensor]](), dict[str, StepRecord]()
        for (attack, defense), entries in cells.items():
            entries = {**common, **entries}
            tensors = score_tensors(entries.pop("at", 0.5), len(scores))
            tensors |= entries.pop("values", {})
            key = f"key{len(scores)}"
            scores[key] = {name: tensor for name, tensor in tensors.items() if tensor is not None}
            steps[key] = IDLE
            metrics = {name: Interval(*(float(tensors[name].mean()),) * 3) for name in ("map", "t_map")}
            axes = {"dataset": "digits", "hasher": "dpsh", "bits": 32, "task": "i2i", "surrogate": "none"}
            axes |= {"threat": "oblivious", "seed": 0, "variant": "", "status": "done"}
            entries.setdefault("budget", {} if attack == "none" else {"goal": "targeted"})
            fields = {"metrics": metrics, "protocol": PROTOCOL, "key": key, "steps": (key,), **axes, **entries}
            rows.append(Row(attack=attack.split("#")[0], defense=defense.split("#")[0], **fields))
        return Evidence("toys", "", "", tuple(rows), steps, scores.__getitem__)

    return make
