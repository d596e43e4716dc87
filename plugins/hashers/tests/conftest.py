"""Trainings of milliseconds that leave a checkpoint after every epoch."""

from __future__ import annotations

import pytest
from retbench_hashers import course


@pytest.fixture(autouse=True)
def _a_checkpoint_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "CHECKPOINT_EVERY", 0.0)
