"""`retbench pictures`: recorded curves and images as PNG files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.image import imread

from retbench.contracts import Context, Hasher, State, TrainingData
from retbench.testing.toys import ToyHasher

from .conftest import RunCommand

CELL = "toy/toy/16/i2i/none/none/none/oblivious/0"
IMAGE = (torch.arange(3 * 4 * 6) * 3).to(torch.uint8).view(3, 4, 6)


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The values that the toy hasher records while it is fitted, by name."""
    values: dict[str, Any] = {}
    original = ToyHasher.fit

    def fit(hasher: Hasher, data: TrainingData, ctx: Context) -> State:
        for name, value in values.items():
            ctx.record(name, value)
        return original(hasher, data, ctx)  # type: ignore[arg-type]  # it is the toy hasher

    monkeypatch.setattr(ToyHasher, "fit", fit)
    return values


def fit_key(retbench: RunCommand) -> str:
    """Return the key of the step that fitted the hasher."""
    steps = json.loads(retbench("why", CELL, "toy.yaml", "--json").out)["steps"]
    return str(next(step["key"] for step in steps if step["stage"] == "fit"))


def test_recorded_curves_and_images_are_written_under_their_names(
    retbench: RunCommand, toys: Path, records: dict[str, Any]
) -> None:
    records |= {"Loss (sum)": [3.0, 2.0, 1], "sample": IMAGE}
    retbench("run", "toy.yaml")
    stem = f"fit-toy-on-toy-{fit_key(retbench)[:8]}"
    result = retbench("pictures", "toy.yaml", "--out", "out")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [f"wrote out/{stem}-loss-sum.png", f"wrote out/{stem}-sample.png"]
    assert sorted(path.name for path in (toys / "out").iterdir()) == [f"{stem}-loss-sum.png", f"{stem}-sample.png"]
    pixels = torch.tensor(imread(io.BytesIO((toys / f"out/{stem}-sample.png").read_bytes())))[..., :3]
    assert torch.equal((pixels * 255).round().to(torch.uint8).permute(2, 0, 1), IMAGE)


def test_the_last_suite_is_the_default_and_json_lists_the_paths(retbench: RunCommand, records: dict[str, Any]) -> None:
    records |= {"loss": [3.0, 2.0]}
    retbench("run", "toy.yaml")
    (path,) = json.loads(retbench("pictures", "--out", "out", "--json").out)
    assert path.startswith("out/fit-toy-on-toy-")
    assert Path(path).is_file()


def test_a_recording_that_cannot_be_drawn_is_skipped_with_a_message(
    retbench: RunCommand, toys: Path, records: dict[str, Any]
) -> None:
    records |= {"loss": [3.0, 2.0], "settings": {"a": ["x" * 100]}}
    retbench("run", "toy.yaml")
    result = retbench("pictures", "--out", "out")
    assert result.code == 0
    assert len(result.out.splitlines()) == 1
    (line,) = result.err.splitlines()
    assert line.startswith('pictures: fit toy on toy: settings: curve: got {"a": ["xxx')
    assert line.endswith("..., expected a list of finite numbers")


def test_recordings_with_the_same_file_name_get_different_files(retbench: RunCommand, records: dict[str, Any]) -> None:
    records |= {"a/b": [1.0], "a b": [2.0]}
    retbench("run", "toy.yaml")
    paths = json.loads(retbench("pictures", "--out", "out", "--json").out)
    assert [path.rpartition("-a")[2] for path in paths] == ["-b.png", "-b-2.png"]


def test_trainings_without_recordings_print_a_message(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    result = retbench("pictures", "--out", "out")
    assert (result.code, result.out) == (0, "pictures: no stored step of toy recorded a curve or an image\n")
    assert not (toys / "out").exists()


def test_pictures_before_a_run_name_the_command_to_run(retbench: RunCommand) -> None:
    result = retbench("pictures", "toy.yaml", "--out", "out")
    assert result.code == 2
    assert "run it first: retbench run" in result.err


def test_a_damaged_step_is_skipped_with_a_message(retbench: RunCommand, toys: Path, records: dict[str, Any]) -> None:
    records |= {"loss": [3.0, 2.0]}
    retbench("run", "toy.yaml")
    key = fit_key(retbench)
    next((toys / ".retbench").rglob(f"{key}/summary.json")).write_text("{}")
    result = retbench("pictures", "--out", "out")
    assert result.code == 0
    assert "pictures: fit toy on toy: store" in result.err
    assert "run the suite again" in result.err


def test_a_folder_that_is_a_file_is_a_user_error(retbench: RunCommand, records: dict[str, Any]) -> None:
    records |= {"loss": [3.0, 2.0]}
    retbench("run", "toy.yaml")
    result = retbench("pictures", "--out", "toy.yaml")
    assert result.code == 2
    assert "toy.yaml" in result.err
