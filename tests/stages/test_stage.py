"""Keys of steps."""

from __future__ import annotations

import pytest

from retbench.canon import digest
from retbench.contracts import TargetRule
from retbench.stages import DrawTargets
from retbench.testing.toys import ToyDataset


def test_the_key_is_the_digest_of_stage_revision_and_recipe() -> None:
    stage = DrawTargets(ToyDataset(), TargetRule())
    assert stage.full_recipe == {"stage": "targets", "revision": 1, **stage.recipe()}
    assert stage.key == digest(stage.full_recipe)


def test_a_new_revision_of_a_stage_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = DrawTargets(ToyDataset(), TargetRule()).key
    monkeypatch.setattr(DrawTargets, "revision", 2)
    assert DrawTargets(ToyDataset(), TargetRule()).key != before
