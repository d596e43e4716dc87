"""The Python API: open and evaluate, and the studies that they return."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import Module

import retbench
from retbench.contracts import AttackPart, Batch, Facts, Knowledge, Noise
from retbench.contracts.facts import Split
from retbench.errors import UserError
from retbench.study.runs.history import read_run
from retbench.testing import ToyAttack, write_plugin
from retbench.testing.toys import ToyDataset, ToyHasher, ToyPrototype, ToyPurifier, ToyUntargeted

GAIN = 1.0


def strengthen(eps: float) -> float:
    """Return the change of a pixel; a helper whose global variable tests change."""
    return GAIN * eps


class Brighter(ToyAttack):
    """Makes every image brighter; not installed as a plugin."""

    name: ClassVar[str] = "brighter"

    def perturb(self, knowledge: Knowledge, batch: Batch, module: Module, noise: Noise) -> Tensor:
        return (batch.images + strengthen(self.eps)).clamp(0, 1)


class Unfinished(ToyAttack):
    """An attack with an option that has no default."""

    name: ClassVar[str] = "unfinished"
    strength: int


class Unbalanced(ToyPurifier):
    """A purifier whose default is out of range."""

    name: ClassVar[str] = "unbalanced"
    strength: float = Field(default=2.0, ge=0, le=1)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, copy_trained: Callable[[Path], None]) -> Iterator[retbench.Study]:
    """The shipped suite `smoke` on digits, narrowed to clean queries, after a run with a hasher that is stored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RETBENCH_PLUGINS", raising=False)
        store = tmp_path_factory.mktemp("api") / "store"
        study = retbench.open("smoke", only={"attack": "none", "defense": ["none"]}, store=store)
        assert [cell.status for cell in study.plan().cells] == ["planned"]
        assert not store.exists()
        copy_trained(store)
        assert study.run(progress=False) is study
        yield study


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a store; the toy plugin is the only one."""
    monkeypatch.syspath_prepend(str(write_plugin(tmp_path / "plugins", "toys", "retbench.testing.toy_plugin")))
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys")
    return tmp_path / "store"


def evaluate(store: Path, **axes: Any) -> retbench.Study:
    defaults = {"dataset": "toy", "hasher": "toy", "bits": 8, "store": store, "progress": False}
    return retbench.evaluate(**{**defaults, **axes})


def test_a_study_is_planned_run_and_read(study: retbench.Study) -> None:
    assert repr(study) == f"<Study smoke: 1 cells, store {study.store.root}>"
    (row,) = study.rows()
    assert (row.attack, row.status, row.reason) == ("none", "done", "")
    assert 0 < row.metrics["map"].low <= row.metrics["map"].value <= row.metrics["map"].high <= 1


def test_a_notebook_displays_a_plan(study: retbench.Study) -> None:
    plan = study.plan()
    assert str(plan).startswith("smoke: 1 cells: 0 to run, 1 stored, 0 skipped\nstage ")
    assert repr(plan) == str(plan)
    html = plan._repr_html_()
    assert "<strong>smoke: 1 cells: 0 to run, 1 stored, 0 skipped</strong>" in html
    assert "<td>encode</td>" in html


def test_a_second_study_finds_every_cell_stored_and_the_last_run_is_the_default(study: retbench.Study) -> None:
    again = retbench.open(store=study.store.root)
    assert [cell.status for cell in again.plan().cells] == ["stored"]
    assert again.run(progress=False).rows() == study.rows()
    assert again.request.only.texts == ("attack=none", "defense=none")


def test_a_mapping_changes_values(study: retbench.Study) -> None:
    changes = {"components.hasher.dpsh.epochs": 1, "protocol.queries": "12", "matrix.bits": [16, 32]}
    changed = retbench.open("smoke", set=changes, only={"attack": "none", "bits": 16}, store=study.store.root)
    assert changed.loaded.suite.protocol.queries == 12
    assert {cell.axes["bits"] for cell in changed.plan().cells} == {16}
    assert {planned.cell.hasher.model_dump()["epochs"] for planned in changed.planned.cells} == {1}


def test_rows_are_converted_to_a_tidy_data_frame(study: retbench.Study) -> None:
    pytest.importorskip("pandas")
    frame = study.to_pandas()
    assert list(frame["metric"]) == list(study.rows()[0].metrics)
    (line,) = frame[frame["metric"] == "map"].to_dict("records")
    assert (line["dataset"], line["hasher"], line["bits"], line["status"]) == ("digits", "dpsh", 32, "done")
    assert (line["value"], line["low"], line["high"]) == tuple(study.rows()[0].metrics["map"])


def test_tables_are_displayed_and_converted_to_every_format(study: retbench.Study) -> None:
    tables = study.table("retpur-table-7")
    assert len(tables) == 1
    value = 100 * study.rows()[0].metrics["map"].value
    for text in (tables._repr_html_(), tables.to_markdown(), tables.to_latex(), str(tables), repr(tables)):
        assert f"{value:.2f}" in text
    assert tables.to_csv().startswith("table,block,row,column,value,low,high")
    assert tables.to_latex("A title").startswith("% A title")
    assert "<script" not in tables._repr_html_()
    assert len(study.table(["retpur-table-7", "long"])) == 2
    assert len(study.table()[:1]) == 1


def test_an_unknown_layout_names_the_nearest(study: retbench.Study) -> None:
    with pytest.raises(UserError, match="nearest: retpur-table-7"):
        study.table("retpur-table-77")


def test_a_report_is_returned_or_written(study: retbench.Study, tmp_path: Path) -> None:
    assert study.report(pictures=False).title == "smoke"
    paths = study.report(tmp_path / "out", pictures=False)
    assert [path.name for path in paths] == ["smoke.md", "smoke.html", "smoke.tex", "smoke.csv", "smoke.json"]
    assert all(path.is_file() for path in paths)


def test_a_table_before_a_run_asks_to_run_the_study(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no stored results for smoke in .*: call run\(\) of the study first$"):
        retbench.open("smoke", only={"attack": "none"}, store=tmp_path).table()


def test_a_class_defined_in_a_test_is_evaluated_with_installed_ones(toys: Path) -> None:
    study = evaluate(toys, attack=["none", "toy", Brighter(eps=8 / 255)], defense=["none", "toy"])
    cells = [(row.attack, row.defense, row.variant, row.status) for row in study.rows()]
    assert cells == [
        (attack, defense, "", "done") for attack in ("none", "toy", "brighter") for defense in ("none", "toy")
    ]
    assert [row.options["attack"] for row in study.rows()[-2:]] == [{"eps": 8 / 255}] * 2
    assert "brighter" in study.table()._repr_html_()


def test_a_changed_helper_changes_keys_and_an_unchanged_one_does_not(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys() -> set[str]:
        return {row.key for row in evaluate(toys, attack=Brighter(eps=8 / 255)).rows()}

    first = keys()
    assert keys() == first
    monkeypatch.setitem(globals(), "UNUSED", 1)
    assert keys() == first
    monkeypatch.setitem(globals(), "GAIN", 0.5)
    assert not keys() & first


class Tinted(ToyDataset):
    """A dataset with its own method for images; not installed as a plugin."""

    name: ClassVar[str] = "tinted"

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        return (GAIN * super().images(split, rows)).to(torch.uint8)


def test_a_changed_method_of_a_dataset_changes_every_key(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> set[str]:
        return set(evaluate(toys, dataset=Tinted(), hasher="toy-cached", attack="toy", defense="toy").planned.steps)

    first = keys()
    assert keys() == first
    monkeypatch.setitem(globals(), "GAIN", 0.5)
    assert not keys() & first


@pytest.mark.parametrize("axes", [{"attack": Brighter(eps=8 / 255)}, {"dataset": Tinted()}])
def test_a_helper_that_changed_after_planning_is_refused(
    toys: Path, monkeypatch: pytest.MonkeyPatch, axes: dict[str, Any]
) -> None:
    study = evaluate(toys, **axes)
    assert study.run(progress=False) is study
    monkeypatch.setitem(globals(), "GAIN", 0.5)
    message = r"^(Brighter|Tinted): its source changed after the study was planned: got the digest .*; open the study "
    with pytest.raises(UserError, match=message):
        study.run(progress=False)
    evaluate(toys, **axes)  # it updates the digests of the classes, but not the plan of the first study
    with pytest.raises(UserError, match=message):
        study.run(progress=False)


def test_a_part_that_changed_after_planning_is_refused(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = evaluate(toys, attack=Prototyped())
    monkeypatch.setattr(Prototype, "strength", 2)
    with pytest.raises(UserError, match=r"^Prototype: its source changed after the study was planned"):
        study.run(progress=False)


class Prototype(ToyPrototype):
    """A part of a local attack."""

    name: ClassVar[str] = "prototype"
    strength: ClassVar[int] = 1


class Prototyped(ToyUntargeted):
    """An attack whose source does not name its part."""

    name: ClassVar[str] = "prototyped"

    def parts(self, facts: Facts) -> dict[str, AttackPart]:
        part_class: type[AttackPart] = getattr(sys.modules[__name__], "Proto" + "type")
        return {"prototype": part_class()}


def test_two_classes_of_one_name_are_refused_in_one_line(toys: Path) -> None:
    again = type("Brighter", (Brighter,), {"__module__": __name__, "name": "brighter"})
    message = (
        f"evaluate: attack: two classes have one name: got 'brighter' twice, from {__name__}; if you defined the class "
        "again, create its objects again, else give one class another name"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        evaluate(toys, attack=[Brighter(), again])


def test_an_evaluation_takes_plugin_files(toys: Path, tmp_path: Path) -> None:
    text = "from retbench.testing import ToyAttack\nclass Mine(ToyAttack):\n    name = 'mine'\n"
    (tmp_path / "mine.py").write_text(text)
    study = evaluate(toys, attack="mine", plugins=[tmp_path / "mine.py"])
    assert [(row.attack, row.status) for row in study.rows()] == [("mine", "done")]
    assert study.request.plugins == (str(tmp_path / "mine.py"),)


def test_numbers_of_numpy_are_accepted(toys: Path) -> None:
    plain = evaluate(toys, bits=[8], seed=[0, 1], protocol={"queries": 5}, attack=Brighter(eps=0.25))
    axes: dict[str, Any] = {"bits": np.array([8]), "seed": [np.int64(0), np.int32(1)]}
    study = evaluate(toys, **axes, protocol={"queries": np.int64(5)}, attack=Brighter(eps=np.float32(0.25)))
    assert study.planned.steps.keys() == plain.planned.steps.keys()
    assert study.run_name == plain.run_name


def test_every_axis_takes_a_name_an_object_a_class_or_a_list(toys: Path) -> None:
    study = evaluate(
        toys,
        hasher=[ToyHasher, ToyHasher(gain=2.0)],
        attack=Brighter,
        defense=["none", ("toy-hardening", ToyPurifier(strength=0.25))],
        bits=[8, 16],
    )
    rows = study.rows()
    assert len(rows) == 8
    assert {row.status for row in rows} == {"done"}
    assert {row.variant for row in rows} == {"", "gain=2"}
    assert {row.defense for row in rows} == {"none", "toy-hardening+toy"}
    assert {row.hasher for row in rows} == {"toy"}


def test_objects_of_one_name_are_labeled_with_the_options_that_differ(toys: Path) -> None:
    study = evaluate(toys, attack=[Brighter(eps=0.1), Brighter(eps=0.2), Brighter(eps=0.1)], hasher=ToyHasher(gain=1.0))
    assert [row.variant for row in study.rows()] == ["eps=0.1", "eps=0.2"]
    cells = [planned.cell for planned in study.planned.cells]
    assert [cell.hasher.model_dump()["gain"] for cell in cells] == [1.0, 1.0]


def test_a_failed_cell_is_a_row_and_no_exception(toys: Path) -> None:
    with pytest.warns(UserWarning, match="1 of 2 cells failed"):
        study = evaluate(toys, attack=["none", "faulty"])
    assert [row.status for row in study.rows()] == ["done", "invalid"]
    assert study.rows()[1].reason.startswith("attack faulty")
    assert "NaN" in study.rows()[1].reason
    frame = study.to_pandas()
    assert frame[frame["attack"] == "faulty"]["metric"].isna().all()


def test_an_evaluation_is_recorded_but_cannot_be_opened_again(toys: Path) -> None:
    study = evaluate(toys, name="mine")
    record = read_run(study.store, study.identity)
    assert record is not None
    assert set(record.keys) == set(study.planned.steps)
    with pytest.raises(
        UserError, match=r"its last run, mine, was made in Python .*: name a suite, for example retbench\.open\("
    ):
        retbench.open(store=toys)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"attack": "tooy"}, "unknown attack: got 'tooy', expected one of "),
        ({"attack": ToyPurifier()}, "evaluate: attack: expected a name, an object or a class of attack, got "),
        (
            {"hasher": ToyAttack},
            "evaluate: hasher: expected a name, an object or a class of hasher, got class ToyAttack",
        ),
        ({"attack": 3}, "evaluate: attack: expected a name, an object or a class of attack, got 3 of int"),
        ({"attack": []}, "evaluate: attack: expected at least one value, got an empty list"),
        (
            {"attack": [("toy", "toy-untargeted")]},
            "evaluate: attack: only a defense may combine several components: got ",
        ),
        ({"bits": 0}, "evaluate: matrix.bits.0: input should be greater than or equal to 1: got 0"),
        ({"protocol": {"map": "half"}}, "evaluate: protocol.map"),
        ({"protocol": ["map"]}, "evaluate: protocol: expected a mapping of changes or a Protocol, got ['map']"),
        ({"precision": "half"}, "precision: expected one of auto, float32, bf16, got 'half'"),
        ({"attack": Unfinished}, "evaluate: components.attack.unfinished.strength: attack unfinished: field required"),
        (
            {"defense": Unbalanced},
            "evaluate: components.defense.unbalanced.strength: defense unbalanced: input should be",
        ),
    ],
)
def test_an_invalid_evaluation_is_refused_in_one_line(toys: Path, axes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        evaluate(toys, **axes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not toys.exists()


def test_components_of_an_installed_package_need_no_plugin_and_have_no_digest(toys: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETBENCH_PLUGINS", "nothing")
        study = evaluate(toys, dataset=ToyDataset(), hasher=ToyHasher(), defense=ToyPurifier)
    assert [row.status for row in study.rows()] == ["done"]
    assert ToyDataset.code == ToyHasher.code == ToyPurifier.code == ""


def test_the_example_in_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy_trained: Callable[[Path], None]
) -> None:
    """The example runs on the suite `smoke`, whose hasher is stored."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"## In Python\n\n```python\n(.*?)```", readme, re.DOTALL)
    code = code.replace('"unimodal"', '"smoke"').replace('dataset="scenes"', 'dataset="digits", like="smoke"')
    monkeypatch.chdir(tmp_path)
    for name in ("RETBENCH_PLUGINS", "RETBENCH_STORE"):
        monkeypatch.delenv(name, raising=False)
    copy_trained(tmp_path / ".retbench")
    names: dict[str, Any] = {"MyAttack": Brighter}
    exec(f"{code.rstrip()[: code.rindex('retbench.evaluate')]}mine = {code[code.rindex('retbench.evaluate') :]}", names)
    assert {row.status for row in names["study"].rows()} == {"done"}
    assert [(row.attack, row.defense, row.status) for row in names["mine"].rows()] == [
        (attack, defense, "done") for attack in ("none", "brighter") for defense in ("none", "retpur")
    ]
    shared = {row.key for row in names["study"].rows()} & {row.key for row in names["mine"].rows()}
    assert len(shared) == 2  # clean queries, without and behind a purifier
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".md", ".html", ".tex", ".csv", ".json", ".png"}


def test_an_evaluation_shares_the_artifacts_of_the_suite_with_the_same_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    monkeypatch.setattr(retbench.Study, "run", lambda study, *_: study)
    axes: dict[str, Any] = {
        "dataset": "digits",
        "hasher": "dpsh",
        "attack": ["none", "p2p"],
        "defense": ["none", "retpur"],
    }
    suite = retbench.open("unimodal", only=axes, store=tmp_path)
    evaluated = retbench.evaluate(**axes, store=tmp_path)
    assert evaluated.planned.steps.keys() == suite.planned.steps.keys()
    changed = retbench.evaluate(**axes, store=tmp_path, protocol={"queries": 50})
    assert changed.loaded.suite.protocol.queries == 50
    assert changed.loaded.suite.protocol.targets == suite.loaded.suite.protocol.targets
