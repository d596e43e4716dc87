"""Several copies of a purified query: steps of their own, one vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from torch import Tensor, nn

from retbench.contracts import Noise
from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.stages import EncodeQueries, Purify
from retbench.testing.toys import ToyPurifier

Planner = Callable[..., Plan]


class Second(ToyPurifier):
    """Another purifier."""

    name: ClassVar[str] = "second"


class Listening(ToyPurifier):
    """Keeps what was drawn for it, by whom."""

    name: ClassVar[str] = "listening"
    drawn: ClassVar[list[tuple[int, tuple[float, ...]]]] = []

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        values = noise.uniform("listening", (4,))
        self.drawn.append((noise.seed, tuple(values.flatten().tolist())))
        return super().purify(images, module, noise)


def encoding_of(plan: Plan) -> EncodeQueries:
    (encoding,) = (step for step in plan.steps.values() if isinstance(step, EncodeQueries))
    return encoding


def test_copies_are_purified_apart_and_encoded_together(toy_plan: Planner) -> None:
    options = {"defense": {"toy": {"copies": 3, "vote": "majority"}}}
    plan = toy_plan({"attack": "toy", "defense": "toy"}, shard=5, components=options)
    (cell,) = plan.cells
    encoding = encoding_of(plan)
    assert [len(shards) for shards in encoding.draws] == [2, 2, 2]
    assert encoding.vote == "majority"
    assert len(set(cell.purified)) == len(cell.purified) == 6
    fewer = toy_plan({"attack": "toy", "defense": "toy"}, shard=5)
    assert set(fewer.cells[0].purified) == set(encoding.draws[0])


def test_copies_of_purifiers_in_a_row_multiply(toy_plan: Planner) -> None:
    options = {"defense": {"toy": {"copies": 2}, "second": {"copies": 3}}}
    plan = toy_plan({"defense": [["toy", "second"]]}, Second, components=options)
    encoding = encoding_of(plan)
    assert len(encoding.draws) == len(set(encoding.draws)) == 6
    assert Counter(step.work for step in plan.steps.values() if step.name == "purify") == {"toy": 2, "second": 6}


@pytest.mark.parametrize("order", [["toy", "second"], ["second", "toy"]])
def test_the_purifier_that_makes_copies_says_how_they_vote(toy_plan: Planner, order: list[str]) -> None:
    options = {"defense": {"toy": {"copies": 2, "vote": "majority"}}}
    assert encoding_of(toy_plan({"defense": [order]}, Second, components=options)).vote == "majority"


def test_copies_that_vote_in_different_ways_are_refused(toy_plan: Planner) -> None:
    options = {"defense": {"toy": {"copies": 2}, "second": {"copies": 2, "vote": "majority"}}}
    (cell,) = toy_plan({"defense": [["toy", "second"]]}, Second, components=options).cells
    assert cell.reason == "copies of its purifiers vote in different ways: got mean and majority, expected one"


def test_each_copy_purifies_each_copy_of_the_purifier_before(toy_plan: Planner) -> None:
    options: dict[str, Any] = {"defense": {"toy": {"copies": 2}}}
    plan = toy_plan({"defense": [["toy", "second"]]}, Second, components=options)
    purified = [step for step in plan.steps.values() if isinstance(step, Purify)]
    first, second = ([step for step in purified if step.work == name] for name in ("toy", "second"))
    assert {step.source for step in second} == {step.key for step in first}
    assert [step.copy for step in second] == [0, 1]


def test_an_adaptive_attacker_never_sees_the_noise_of_a_copy_that_is_evaluated(
    toy_plan: Planner, executor: LocalExecutor
) -> None:
    Listening.drawn.clear()
    options = {"defense": {"listening": {"copies": 4}}}
    plan = toy_plan({"attack": "toy", "defense": "listening", "threat": "adaptive"}, Listening, components=options)
    assert executor.run(plan).failures == {}
    attacker = {values for seed, values in Listening.drawn if seed != 0}
    evaluated = {values for seed, values in Listening.drawn if seed == 0}
    assert len(evaluated) == 4
    assert attacker
    assert not attacker & evaluated
    noise = Noise(0, ("a",))
    assert len({tuple(source.uniform("x", (4,))[0].tolist()) for source in (noise, noise.derive("attacker"))}) == 2
