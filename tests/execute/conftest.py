"""Fixtures: an attack that fails on demand, and the emitted events."""

from __future__ import annotations

from typing import ClassVar

import pytest
from torch import Tensor, nn

from retbench.contracts import Batch, Event, Knowledge, Noise
from retbench.execute import LocalExecutor
from retbench.testing.toys import ToyAttack


class FlakyAttack(ToyAttack):
    """Raises the errors that the test lists, last one first, and then works."""

    name: ClassVar[str] = "flaky"
    errors: ClassVar[list[BaseException]] = []
    calls: ClassVar[list[int]] = []

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        self.calls.append(len(batch.ids))
        if self.errors:
            raise self.errors.pop()
        return super().perturb(knowledge, batch, module, noise)


@pytest.fixture
def flaky() -> type[FlakyAttack]:
    FlakyAttack.errors.clear()
    FlakyAttack.calls.clear()
    return FlakyAttack


@pytest.fixture
def events(executor: LocalExecutor) -> list[Event]:
    """Return the list of events that the executor emits."""
    emitted: list[Event] = []
    executor.emit = emitted.append
    return emitted
