"""The summary of a plan before and after a run, in every form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from retbench.study.opening import open as open_suite
from retbench.study.plan_summary import PlanSummary

Change = Callable[[str, str], None]


def render(summary: PlanSummary) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(summary)
    return capture.get()


def test_cells_and_steps_to_run_and_stored_are_counted(toys: Path) -> None:
    before = open_suite("toy.yaml").plan()
    assert before.headline == "toy: 4 cells: 4 to run, 0 stored, 0 skipped"
    assert {stage.stored for stage in before.stages} == {0}
    open_suite("toy.yaml", only={"attack": "none"}).run(progress=False)
    half = open_suite("toy.yaml").plan()
    assert [(cell.axes["attack"], cell.status) for cell in half.cells] == [
        *(("none", "stored"), ("none", "stored")),
        *(("toy", "planned"), ("toy", "planned")),
    ]
    assert [stage.to_run + stage.stored for stage in half.stages] == [stage.to_run for stage in before.stages]
    counts = {stage.stage: (stage.to_run, stage.stored) for stage in half.stages}
    assert counts["score"] == (2, 2)
    assert counts["fit"] == (0, 1)
    open_suite("toy.yaml").run(progress=False)
    after = open_suite("toy.yaml").plan()
    assert {stage.to_run for stage in after.stages} == {0}
    assert str(after).endswith("nothing to run")


def test_a_forecast_counts_the_steps_that_were_never_timed(toys: Path) -> None:
    steps = len(open_suite("toy.yaml").planned.steps)
    assert f"forecast: none yet: no step like the {steps} steps to run was timed in this store" in str(
        open_suite("toy.yaml").plan()
    )
    study = open_suite("toy.yaml").run(progress=False)
    study.store.discard(study.rows()[0].key)
    assert "has no times" not in str(study.plan())
    assert "MB of disk" in str(study.plan())


def test_the_reason_of_skipped_cells_is_listed_once(toys: Path, change: Change) -> None:
    change("matrix:\n", "matrix:\n  task: [i2i, t2i]\n")
    change("bits: 16", "bits: [8, 16]")
    summary = open_suite("toy.yaml", only={"attack": "toy", "defense": "none"}).plan()
    skipped = [cell for cell in summary.cells if cell.status == "skipped"]
    assert len(skipped) == 2
    assert {cell.key for cell in skipped} == {""}
    (reason,) = {cell.reason for cell in skipped}
    for text in (str(summary), render(summary)):
        assert text.count("skipped 2 cells, for example toy/toy/8/t2i/") == 1
    assert reason in str(summary)
    assert summary.record()["cells"][-1]["reason"] == reason


def test_the_record_has_the_axes_of_each_cell_and_the_steps_of_each_stage(toys: Path) -> None:
    summary = open_suite("toy.yaml", only={"attack": "toy", "defense": "none"}).plan()
    record = summary.record()
    (cell,) = record["cells"]
    assert (cell["attack"], cell["defense"], cell["variant"], cell["status"]) == ("toy", "none", "", "planned")
    assert record["steps"]["score"] == {"to_run": 1, "stored": 0}
    assert record["suite"] == "toy"


def test_overrides_are_listed_with_their_cells(toys: Path, change: Change) -> None:
    change("shard: 4", "shard: 4\noverrides: [{when: {bits: [16, 32]}, components: {attack: {toy: {eps: 0.5}}}}]")
    assert open_suite("toy.yaml").plan().overrides == ("override in cells with bits=16|32: attack toy: eps=0.5",)
    changed = open_suite("toy.yaml", set={"components.attack.toy.eps": 0.25}).plan()
    assert str(changed).endswith("override in all cells: attack toy: eps=0.25")


@pytest.mark.parametrize("form", [str, repr, render, PlanSummary._repr_html_])
def test_every_form_has_headline_stages_and_overrides(toys: Path, form: Callable[[PlanSummary], str]) -> None:
    summary = open_suite("toy.yaml", set={"components.attack.toy.eps": 0.25}).plan()
    text = form(summary)
    for piece in (summary.headline, "to run", *(stage.stage for stage in summary.stages), *summary.overrides):
        assert piece in text


def test_html_is_escaped(toys: Path) -> None:
    summary = open_suite("toy.yaml").plan()
    html = PlanSummary("<b>", summary.cells, summary.stages, summary.forecast, ("<i>",))._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;: 4 cells" in html
    assert "<p>&lt;i&gt;</p>" in html
