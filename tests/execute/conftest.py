"""An attack that fails on demand, and what was told."""

from __future__ import annotations

from typing import ClassVar

import pytest
from torch import Tensor, nn

from retbench.contracts import Batch, Event, Knowledge, Noise
from retbench.execute import LocalExecutor
from retbench.testing.toys import ToyAttack


class Flaky(ToyAttack):
    """Fails as often as the test says, with what it says."""

    name: ClassVar[str] = "flaky"
    errors: ClassVar[list[BaseException]] = []
    calls: ClassVar[list[int]] = []

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        self.calls.append(len(batch.ids))
        if self.errors:
            raise self.errors.pop()
        return super().perturb(knowledge, batch, module, noise)


@pytest.fixture
def flaky() -> type[Flaky]:
    Flaky.errors.clear()
    Flaky.calls.clear()
    return Flaky


@pytest.fixture
def events(executor: LocalExecutor) -> list[Event]:
    heard: list[Event] = []
    executor.tell = heard.append
    return heard
