"""Curves and images recorded during trainings, found in a store and written as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from retbench.contracts import Context, State, TrainingData
from retbench.study.opening import open as open_suite
from retbench.study.recordings import find_recordings, write_recordings
from retbench.study.study import Study
from retbench.testing.toys import ToyHasher

IMAGE = torch.arange(3 * 4 * 6, dtype=torch.uint8).view(3, 4, 6)


@pytest.fixture
def recorded(toys: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The values that the toy hasher records while it is fitted, by name."""
    values: dict[str, Any] = {"loss": [3.0, 2.0, 1.0], "an image": IMAGE, "accuracy": [0.5, 0.75]}
    original = ToyHasher.fit

    def fit(hasher: ToyHasher, data: TrainingData, ctx: Context) -> State:
        for name, value in values.items():
            ctx.record(name, value)
        return original(hasher, data, ctx)

    monkeypatch.setattr(ToyHasher, "fit", fit)
    return values


def open_toys() -> Study:
    return open_suite("toy.yaml", only={"attack": "none", "defense": "none"})


def fail(line: str) -> None:
    raise AssertionError(line)


def test_curves_come_before_images_each_by_name(recorded: dict[str, Any]) -> None:
    recordings = list(find_recordings(open_toys().run(progress=False), fail))
    assert [recording.name for recording in recordings] == ["accuracy", "loss", "an image"]
    assert [recording.value for recording in recordings[:2]] == [[0.5, 0.75], [3.0, 2.0, 1.0]]
    assert isinstance(recordings[2].value, Tensor)
    assert torch.equal(recordings[2].value, IMAGE)
    assert {recording.step.name for recording in recordings} == {"fit"}


def test_files_are_named_after_stage_component_key_and_recording(recorded: dict[str, Any], toys: Path) -> None:
    study = open_toys().run(progress=False)
    (key,) = [key for key, step in study.planned.steps.items() if step.name == "fit"]
    paths = write_recordings(study, toys / "out", fail)
    stem = f"fit-toy-on-toy-{key[:8]}"
    assert [path.name for path in paths] == [f"{stem}-{name}.png" for name in ("accuracy", "loss", "an-image")]
    with Image.open(paths[2]) as image:
        assert image.size == (6, 4)
        assert image.convert("RGB").getpixel((5, 3)) == tuple(IMAGE[:, 3, 5].tolist())


def test_a_recording_that_cannot_be_drawn_and_a_damaged_step_give_a_warning(
    recorded: dict[str, Any], toys: Path
) -> None:
    recorded |= {"settings": {"a": "x" * 100}}
    study, lines = open_toys().run(progress=False), list[str]()
    assert len(write_recordings(study, toys / "out", lines.append)) == 3
    (line,) = lines
    assert line.startswith('fit toy on toy: settings: curve: got {"a": "xxx')
    assert line.endswith("..., expected a list of finite numbers")
    next(study.store.root.rglob(f"{next(iter(find_recordings(study, fail))).step.key}/summary.json")).write_text("{}")
    lines.clear()
    assert write_recordings(open_toys(), toys / "out", lines.append) == []
    (line,) = lines
    assert line.endswith("; run the suite again")


def test_nothing_is_written_before_a_run_or_without_recordings(toys: Path) -> None:
    assert list(find_recordings(open_toys(), fail)) == []
    assert write_recordings(open_toys().run(progress=False), toys / "out", fail) == []
    assert not (toys / "out").exists()
