"""`retbench pictures`: what trainings recorded, as files."""

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

from .conftest import Retbench

CELL = "toy/toy/16/i2i/none/none/none/oblivious/0"
IMAGE = (torch.arange(3 * 4 * 6) * 3).to(torch.uint8).view(3, 4, 6)


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the toy hasher records while it is fitted, by name."""
    kept: dict[str, Any] = {}
    plain = ToyHasher.fit

    def fit(hasher: Hasher, data: TrainingData, ctx: Context) -> State:
        for name, value in kept.items():
            ctx.record(name, value)
        return plain(hasher, data, ctx)  # type: ignore[arg-type]  # it is the toy hasher

    monkeypatch.setattr(ToyHasher, "fit", fit)
    return kept


def fit_key(retbench: Retbench) -> str:
    """Return the key of the step that fitted the hasher."""
    steps = json.loads(retbench("why", CELL, "toy.yaml", "--json").out)["steps"]
    return str(next(step["key"] for step in steps if step["stage"] == "fit"))


def test_recorded_curves_and_pictures_are_written_under_their_names(
    retbench: Retbench, toys: Path, records: dict[str, Any]
) -> None:
    records |= {"Loss (sum)": [3.0, 2.0, 1], "seen": IMAGE}
    retbench("run", "toy.yaml")
    stem = f"fit-toy-on-toy-{fit_key(retbench)[:8]}"
    ended = retbench("pictures", "toy.yaml", "--out", "shown")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [f"wrote shown/{stem}-loss-sum.png", f"wrote shown/{stem}-seen.png"]
    assert sorted(path.name for path in (toys / "shown").iterdir()) == [f"{stem}-loss-sum.png", f"{stem}-seen.png"]
    pixels = torch.tensor(imread(io.BytesIO((toys / f"shown/{stem}-seen.png").read_bytes())))[..., :3]
    assert torch.equal((pixels * 255).round().to(torch.uint8).permute(2, 0, 1), IMAGE)


def test_the_last_suite_is_the_default_and_json_lists_the_paths(retbench: Retbench, records: dict[str, Any]) -> None:
    records |= {"loss": [3.0, 2.0]}
    retbench("run", "toy.yaml")
    (path,) = json.loads(retbench("pictures", "--out", "shown", "--json").out)
    assert path.startswith("shown/fit-toy-on-toy-")
    assert Path(path).is_file()


def test_what_cannot_be_drawn_is_passed_over_with_a_line(
    retbench: Retbench, toys: Path, records: dict[str, Any]
) -> None:
    records |= {"loss": [3.0, 2.0], "settings": {"a": ["x" * 100]}, "map": torch.zeros(2, 3)}
    retbench("run", "toy.yaml")
    ended = retbench("pictures", "--out", "shown")
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 1
    first, second = ended.err.splitlines()
    assert first.startswith('pictures: fit toy on toy: settings: curve: got {"a": ["xxx')
    assert first.endswith("..., expected a list of finite numbers")
    assert second.startswith("pictures: fit toy on toy: map: picture: it is no image: got float32 (2, 3)")


def test_names_that_become_one_file_name_stay_two_files(retbench: Retbench, records: dict[str, Any]) -> None:
    records |= {"a/b": [1.0], "a b": [2.0]}
    retbench("run", "toy.yaml")
    paths = json.loads(retbench("pictures", "--out", "shown", "--json").out)
    assert [path.rpartition("-a")[2] for path in paths] == ["-b.png", "-b-2.png"]


def test_trainings_that_recorded_nothing_are_told(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    ended = retbench("pictures", "--out", "shown")
    assert (ended.code, ended.out) == (0, "pictures: no stored step of toy recorded anything that can be drawn\n")
    assert not (toys / "shown").exists()


def test_pictures_before_a_run_say_what_to_run(retbench: Retbench) -> None:
    ended = retbench("pictures", "toy.yaml", "--out", "shown")
    assert ended.code == 2
    assert "run it first: retbench run" in ended.err


def test_a_damaged_step_is_passed_over_with_a_line(retbench: Retbench, toys: Path, records: dict[str, Any]) -> None:
    records |= {"loss": [3.0, 2.0]}
    retbench("run", "toy.yaml")
    key = fit_key(retbench)
    next((toys / ".retbench").rglob(f"{key}/summary.json")).write_text("{}")
    ended = retbench("pictures", "--out", "shown")
    assert ended.code == 0
    assert "pictures: fit toy on toy: store" in ended.err
    assert "run the suite again" in ended.err


def test_a_folder_that_is_a_file_is_one_line(retbench: Retbench, records: dict[str, Any]) -> None:
    records |= {"loss": [3.0, 2.0]}
    retbench("run", "toy.yaml")
    ended = retbench("pictures", "--out", "toy.yaml")
    assert ended.code == 2
    assert "toy.yaml" in ended.err
