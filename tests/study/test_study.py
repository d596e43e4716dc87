"""Running a study in Python: interruptions, failed cells, and the names of options in messages."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retbench.errors import UserError
from retbench.study.opening import open as open_suite
from retbench.study.study import Study
from retbench.testing import ToyAttack


def run_faulty(progress: bool) -> Study:
    return open_suite("toy.yaml", set={"matrix.attack": ["none", "faulty"]}, only={"defense": "none"}).run(
        progress=progress
    )


def test_ctrl_c_raises_a_keyboard_interrupt_without_internal_frames(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyAttack, "perturb", interrupt)
    study = open_suite("toy.yaml")
    with pytest.raises(KeyboardInterrupt, match=r"^run of toy interrupted; .* call run\(\) again to resume$") as caught:
        study.run(progress=False)
    text = "".join(traceback.format_exception(caught.value))
    assert "During handling" not in text
    assert "perturb" not in text
    stored = study.store.keys()
    assert stored


def test_failed_cells_are_a_warning_without_progress(toys: Path) -> None:
    with pytest.warns(UserWarning, match=r"^1 of 2 cells failed, for example toy/.*/faulty/.*: invalid: attack faulty"):
        run_faulty(progress=False)


def test_failed_cells_are_printed_with_progress(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_faulty(progress=True)
    assert "FAILED attack faulty" in capsys.readouterr().err


@pytest.mark.parametrize("form", [repr, Study._repr_html_])
def test_a_study_displays_the_cells_that_failed(toys: Path, form: Callable[[Study], str]) -> None:
    assert "failed in the last run" in form(run_faulty(progress=True))
    assert "failed in the last run" not in form(open_suite("toy.yaml").run(progress=False))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"set": {"shard": 0}}, "set shard=0: shard: input should be greater than or equal to 1: got 0"),
        ({"set": "shard"}, "set: expected path.to.option=value, got 'shard'"),
        ({"only": "attack"}, "only: expected axis=value[,value], got 'attack'"),
        ({"only": ["attack=toi"]}, "only: attack of this matrix: unknown name: got 'toi'"),
        ({"only": {"attack": "toi"}}, "only: attack of this matrix: unknown name: got 'toi'"),
        ({"plugins": "nowhere.py"}, "plugins "),
        ({"device": "tpu9"}, "device: "),
        ({"precision": "half"}, "precision: expected one of auto, float32, bf16, got 'half'"),
        ({"store": "toy.yaml"}, "store toy.yaml: not a folder; choose another with store=DIR"),
    ],
)
def test_messages_in_python_name_the_parameter(toys: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        open_suite("toy.yaml", **arguments)
    assert str(caught.value).startswith(message)
    assert "--" not in str(caught.value)


def test_a_study_without_results_advises_to_run_it_in_python(toys: Path) -> None:
    with pytest.raises(UserError, match=r"no stored results for toy in .*: call run\(\) of the study first$"):
        open_suite("toy.yaml").table()
