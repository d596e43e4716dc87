"""Warnings of rows: each is raised by its fault, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from torch import Tensor, nn

from retbench.contracts import Noise, Protocol
from retbench.execute import LocalExecutor
from retbench.metrics import Interval
from retbench.plan import Plan
from retbench.results import Row, collect
from retbench.results.warnings import find_warnings, warn_of_chance
from retbench.store import Store
from retbench.testing.toys import ToyPurifier

SOUND: dict[str, Any] = {"distinct_codes": 40, "label_variety": 12.0}


def row(attack: str = "p2p", defense: str = "none", low: float = 0.6, **changes: Any) -> Row:
    axes: dict[str, Any] = {"dataset": "scenes", "hasher": "dpsh", "bits": 32, "task": "i2i", "seed": 0, "variant": ""}
    metrics = {"map": Interval(max(low, 0.4), low, 0.9)}
    protocol: dict[str, Any] = {"ranked_queries": 20, "chance": {"map": 0.3, "t_map": 0.2}}
    fields: dict[str, Any] = {"surrogate": "", "threat": "oblivious", "status": "done", "metrics": metrics}
    return Row(**{**axes, **fields, "attack": attack, "defense": defense, "protocol": protocol, **changes})


def test_a_sound_row_has_no_warning() -> None:
    assert list(find_warnings(row(), {**SOUND, "unchanged": 3, "gradientless": 9})) == []
    assert list(find_warnings(row(), SOUND)) == []


def test_fewer_codes_than_label_vectors_have_collapsed() -> None:
    (warning,) = find_warnings(row(defense="atrdh"), {"distinct_codes": 11, "label_variety": 12.0})
    counts = "11 distinct codes for the labels of scenes, which are worth 12 different label vectors"
    assert warning == f"the codes of dpsh with atrdh collapsed: {counts}"


@pytest.mark.parametrize(
    ("name", "effect"), [("unchanged", "left the image as it was"), ("gradientless", "had only gradients of 0")]
)
def test_an_attack_without_an_effect_is_reported_from_half_of_the_queries_on(name: str, effect: str) -> None:
    (warning,) = find_warnings(row(), {**SOUND, name: 10})
    assert warning == f"attack p2p {effect} for 10 of 20 queries, so its numbers show no robustness"


def test_a_clean_map_that_reaches_chance_is_a_warning_of_all_rows_of_the_system() -> None:
    rows = [
        row("none", low=0.29),
        row("p2p"),
        row("p2p", status="failed"),
        row("none", "ddpm"),
        row("p2p", "ddpm"),
        row("p2p", hasher="dph"),
        row("none", hasher="dph", low=0.31),
    ]
    marked = warn_of_chance(rows)
    text = "dpsh ranks clean queries of scenes no better than by chance: MAP 40.0%, a random ranking 30.0%"
    assert [each.warnings for each in marked] == [(text,), (text,), (), (), (), (), ()]


def test_a_mean_below_chance_without_an_interval_is_a_warning_too() -> None:
    missing = float("nan")
    (below,) = warn_of_chance([row("none", metrics={"map": Interval(0.2, missing, missing)})])
    (above,) = warn_of_chance([row("none", metrics={"map": Interval(0.4, missing, missing)})])
    assert (len(below.warnings), len(above.warnings)) == (1, 0)


class Rounding(ToyPurifier):
    """Rounds every pixel to 0 or 1, so that all gradients are 0."""

    name: ClassVar[str] = "rounding"
    differentiable: ClassVar[bool] = True

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        return images.round()


def test_an_adaptive_attack_through_a_rounding_purifier_is_reported(
    toy_plan: Callable[..., Plan], executor: LocalExecutor, store: Store
) -> None:
    matrix = {"attack": ["none", "toy"], "defense": ["none", "rounding"], "threat": "adaptive", "bits": 16}
    plan = toy_plan(matrix, Rounding)
    assert executor.run(plan).failures == {}
    warned = {(row.attack, row.defense): row.warnings for row in collect(plan, store, Protocol()) if row.warnings}
    assert list(warned) == [("toy", "rounding")]
    assert (
        "attack toy had only gradients of 0 for 10 of 10 queries, so its numbers show no robustness"
        in warned["toy", "rounding"]
    )
