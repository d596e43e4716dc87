"""A run whose dataset changes meanwhile leaves no results."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from torch import Tensor, nn

import retbench
from retbench import Batch, Event, Knowledge, Noise, UserError
from retbench.canon import digest
from retbench.study.execution import execute
from retbench.testing.toys import ToyAttack, ToyDataset

IMAGE = Path("image.jpg")


class FileDataset(ToyDataset):
    """The toy dataset, with a file."""

    name: ClassVar[str] = "files"

    def fingerprint(self) -> str:
        return digest([super().fingerprint(), *retbench.digest_files([IMAGE])])


class Editor(ToyAttack):
    """Replaces the file of the dataset, as an instruction in the working folder says."""

    name: ClassVar[str] = "editor"

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        instruction = Path("instruction.txt").read_text()
        if instruction == "remove":
            Path("image.jpg").unlink(missing_ok=True)
        elif instruction:
            Path("image.jpg").write_text(instruction)
        if instruction == "interrupt":
            raise KeyboardInterrupt
        return super().perturb(knowledge, batch, module, noise)


@pytest.fixture
def study(toys: Path) -> retbench.Study:
    """A study of two datasets, one of them with a file, that has run; its next attack follows an instruction."""
    IMAGE.write_text("pixels")
    (toys / "instruction.txt").write_text("")
    datasets = [FileDataset(), ToyDataset()]
    done = retbench.evaluate(dataset=datasets, hasher="toy", attack=["none", Editor()], progress=False)
    assert {row.status for row in done.rows()} == {"done"}
    for planned in done.planned.cells:
        if planned.cell.attack is not None:
            for key in (*planned.attacked, planned.key or ""):
                done.store.discard(key)
    return done


def instruct(text: str) -> None:
    Path("instruction.txt").write_text(text)


def count_results(study: retbench.Study) -> dict[str, int]:
    """Return the numbers of rows with results, by dataset."""
    rows = [row for row in study.rows() if row.status == "done"]
    return {name: sum(row.dataset == name for row in rows) for name in ("files", "toy")}


@pytest.mark.parametrize("instruction", ["other pixels", "remove"])
def test_results_of_a_dataset_that_changes_during_the_run_are_removed(study: retbench.Study, instruction: str) -> None:
    instruct(instruction)
    with pytest.raises(UserError, match=r"files changed during the run, .* removed: dataset files \([1-9] steps\)"):
        study.run(progress=False)
    assert count_results(study) == {"files": 1, "toy": 2}


def test_results_are_also_removed_after_an_interruption(study: retbench.Study) -> None:
    attacked = {key for planned in study.planned.cells for key in planned.attacked}
    victims = [key for key, step in study.planned.steps.items() if step.name == "encode"]
    study.store.discard(victims[0])
    instruct("interrupt")
    events: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        execute(study, events.append)
    (warning,) = (event.message for event in events if event.event == "warning")
    assert "results were removed: dataset files" in warning
    assert not any(study.store.has(key) for key in (*attacked, victims[0]))


def test_a_file_that_was_touched_and_has_its_old_content_removes_nothing(study: retbench.Study) -> None:
    instruct("pixels")
    study.run(progress=False)
    assert count_results(study) == {"files": 2, "toy": 2}


def test_a_dataset_that_changed_after_the_plan_is_not_run(study: retbench.Study) -> None:
    IMAGE.write_text("other pixels")
    with pytest.raises(UserError, match="dataset files: its files changed after the study was planned; open the study"):
        study.run(progress=False)
