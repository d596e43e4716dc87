"""Several purified copies of each query."""

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


class SecondPurifier(ToyPurifier):
    """A second purifier."""

    name: ClassVar[str] = "second"


class RecordingPurifier(ToyPurifier):
    """Records the seeds and the values of its noise."""

    name: ClassVar[str] = "recording"
    drawn: ClassVar[list[tuple[int, tuple[float, ...]]]] = []

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        values = noise.uniform("recording", (4,))
        self.drawn.append((noise.seed, tuple(values.flatten().tolist())))
        return super().purify(images, module, noise)


def encoding_of(plan: Plan) -> EncodeQueries:
    (encoding,) = (step for step in plan.steps.values() if isinstance(step, EncodeQueries))
    return encoding


def test_copies_are_separate_steps_with_one_encoding(toy_plan: Planner) -> None:
    options = {"defense": {"toy": {"copies": 3, "vote": "majority"}}}
    plan = toy_plan({"attack": "toy", "defense": "toy"}, shard=5, components=options)
    (cell,) = plan.cells
    encoding = encoding_of(plan)
    assert [len(shards) for shards in encoding.shards] == [2, 2, 2]
    assert encoding.vote == "majority"
    assert len(set(cell.purified)) == len(cell.purified) == 6
    fewer = toy_plan({"attack": "toy", "defense": "toy"}, shard=5)
    assert set(fewer.cells[0].purified) == set(encoding.shards[0])


def test_copies_of_successive_purifiers_multiply(toy_plan: Planner) -> None:
    options = {"defense": {"toy": {"copies": 2}, "second": {"copies": 3}}}
    plan = toy_plan({"defense": [["toy", "second"]]}, SecondPurifier, components=options)
    encoding = encoding_of(plan)
    assert len(encoding.shards) == len(set(encoding.shards)) == 6
    assert Counter(step.method for step in plan.steps.values() if step.name == "purify") == {"toy": 2, "second": 6}


@pytest.mark.parametrize("order", [["toy", "second"], ["second", "toy"]])
def test_the_vote_is_that_of_the_purifier_with_copies(toy_plan: Planner, order: list[str]) -> None:
    options = {"defense": {"toy": {"copies": 2, "vote": "majority"}}}
    assert encoding_of(toy_plan({"defense": [order]}, SecondPurifier, components=options)).vote == "majority"


def test_purifiers_with_different_votes_are_refused(toy_plan: Planner) -> None:
    options = {"defense": {"toy": {"copies": 2}, "second": {"copies": 2, "vote": "majority"}}}
    (cell,) = toy_plan({"defense": [["toy", "second"]]}, SecondPurifier, components=options).cells
    assert cell.reason == "purifiers with copies must have the same vote: got mean and majority"


def test_a_purifier_purifies_each_copy_of_the_one_before(toy_plan: Planner) -> None:
    options: dict[str, Any] = {"defense": {"toy": {"copies": 2}}}
    plan = toy_plan({"defense": [["toy", "second"]]}, SecondPurifier, components=options)
    purified = [step for step in plan.steps.values() if isinstance(step, Purify)]
    first, second = ([step for step in purified if step.method == name] for name in ("toy", "second"))
    assert {step.source for step in second} == {step.key for step in first}
    assert [step.copy for step in second] == [0, 1]


def test_the_noise_of_an_adaptive_attacker_differs_from_that_of_all_copies(
    toy_plan: Planner, executor: LocalExecutor
) -> None:
    RecordingPurifier.drawn.clear()
    options = {"defense": {"recording": {"copies": 4}}}
    matrix = {"attack": "toy", "defense": "recording", "threat": "adaptive"}
    plan = toy_plan(matrix, RecordingPurifier, components=options)
    assert executor.run(plan).failures == {}
    attacker = {values for seed, values in RecordingPurifier.drawn if seed != 0}
    evaluated = {values for seed, values in RecordingPurifier.drawn if seed == 0}
    assert len(evaluated) == 4
    assert attacker
    assert not attacker & evaluated
    noise = Noise(0, ("a",))
    assert len({tuple(source.uniform("x", (4,))[0].tolist()) for source in (noise, noise.derive("attacker"))}) == 2
