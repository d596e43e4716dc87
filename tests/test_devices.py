"""Every component and every stage on each device, compared with the CPU; `make gpu` runs the part for a GPU."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import retbench
from retbench import stages
from retbench.cli.main import main
from retbench.stages import Stage
from retbench.store import Store
from tests.devices.comparison import Tolerance, compare_rows, compare_steps, repeat_steps
from tests.devices.store_rows import STORED_ROWS, read_rows

UNIMODAL = """\
suite: devices
matrix:
  dataset: digits
  hasher: [dpsh, dph, dsh, hashnet, csq]
  attack: [none, p2p, dhta, prosgan, tha, hag, sdha]
  defense: &defenses
    - none
    - ddpm
    - diffpure
    - gdmp
    - gradual
    - retpur
    - retpur-literal
    - atrdh
    - bit-depth
    - gaussian-blur
    - gaussian-noise
    - identity
    - jpeg
    - median
    - random-resize-pad
    - resize
    - tv
  exclude:
    - {hasher: [dph, dsh, hashnet, csq], defense: *defenses}
    - {attack: [p2p, prosgan, tha, hag, sdha], defense: *defenses}
  include:
    - {attack: [p2p, dhta, prosgan, tha, hag, sdha]}
    - {hasher: [dph, dsh, hashnet, csq]}
    - {attack: [p2p, prosgan, tha, hag, sdha], defense: atrdh}
components:
  hasher:
    dpsh: &short {warmup_epochs: 1, epochs: 1}
    dph: *short
    dsh: *short
    hashnet: *short
    csq: *short
  attack:
    p2p: {steps: 2}
    dhta: {steps: 2}
    prosgan:
      epochs: 1
      width: 4
      blocks: 1
      decoder_width: 16
      critic_width: 4
      critic_depth: 3
      prototypes: {steps: 4, hidden: 16, semantic: 8}
    tha: {steps: 2, prototypes: {steps: 4, hidden: 16, semantic: 8}}
    hag: {steps: 2}
    sdha: {steps: 2}
  defense:
    ddpm: {t_p: 2, denoiser: train, training: {steps: 3, warmup: 1}}
    diffpure: {t_p: 2}
    gdmp: {t_p: 2, passes: 2}
    gradual: {schedule: [[2, 2]]}
    retpur: {t_p: 2, copies: 2}
    retpur-literal: {t_p: 2}
    atrdh: {epochs: 1, attack_steps: 1, prototype_steps: 2, hidden: 16, semantic: 8}
protocol: {queries: 8}
"""

CROSSMODAL = """\
suite: devices
matrix:
  dataset: scenes
  hasher: [dadh, dcmh, dgcpn, djsrh, jdsh]
  task: [i2i, i2t, t2i, t2t]
  attack: [none, tadch]
  defense: [none, retpur]
  exclude:
    - {hasher: [dcmh, djsrh, jdsh], defense: retpur}
    - {task: [t2i, t2t], attack: tadch}
    - {task: [t2i, t2t], defense: retpur}
components:
  hasher:
    dadh: {warmup_epochs: 1, epochs: 1, hidden: [16, 16, 16], feature_critic: [8], code_critic: [8]}
    dcmh: {warmup_epochs: 1, epochs: 1, hidden: 32}
    dgcpn: {warmup_epochs: 1, epochs: 1, hidden: 32}
    djsrh: {warmup_epochs: 1, epochs: 1, hidden: 32}
    jdsh: {warmup_epochs: 1, epochs: 1, hidden: 32}
  attack:
    tadch:
      epochs: 1
      decay_epochs: 0
      batch_size: 100
      width: 4
      blocks: 1
      critic_width: 4
      critic_depth: 3
      prototypes: {epochs: 1, batch_size: 400, hidden: 16, width: 16}
  defense:
    retpur: {t_p: 2}
protocol: {queries: 8, map: first-k-relevant, depth: 50, targets: {rule: database-item}}
"""
SUITES = {
    "unimodal": (UNIMODAL, 2 * 17 + 5 + 4 + 5),
    "crossmodal": (CROSSMODAL, 2 * 2 * (2 * 2 + 3) + 5 * 2),
}


CUDA = pytest.param("cuda", marks=pytest.mark.gpu)
DEVICES = [pytest.param("cpu", marks=pytest.mark.slow), CUDA]
CLEAN = {
    "map": Tolerance(0.06, "trainings differ; three seeds give 0.847 to 0.876"),
    "t_map": Tolerance(0.03, "trainings differ; three seeds give 0.101 to 0.113"),
    "purified_rmse": Tolerance(0.001, "hardly depends on the training; three seeds give 0.0018 to 0.0019"),
}
ATTACKED = {
    "map": Tolerance(0.2, "trainings and steps differ; three seeds give 0.42 to 0.53, behind retpur 0.52 to 0.64"),
    "t_map": Tolerance(0.35, "trainings and steps differ; three seeds give 0.24 to 0.46, behind retpur 0.19 to 0.33"),
    "perceptibility": Tolerance(0.01, "signs differ; three seeds give 0.059 to 0.062"),
    "ssim": Tolerance(0.02, "signs differ; three seeds give 0.853 to 0.859"),
    "purified_rmse": Tolerance(0.01, "signs differ; three seeds give 0.043 to 0.046 behind retpur"),
}
STORED = {"none": CLEAN, "dhta": ATTACKED}
"""Tolerances of the rows of `smoke` for each attack: about twice the range of three seeds on a CPU."""


def require(device: str) -> None:
    """Skip a test of a GPU on a machine without one; `make gpu` does not start there."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU: nothing was compared")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("device", DEVICES)
def test_every_cell_has_results(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    device: str,
    suite: str,
    precision: str,
) -> None:
    require(device)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    text, cells = SUITES[suite]
    (tmp_path / "devices.yaml").write_text(text)

    def retbench(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["retbench", *words, "--device", device, "--precision", precision, "--json"])
        with pytest.raises(SystemExit) as caught:
            main()
        output = capsys.readouterr()
        assert caught.value.code == 0, output.err
        return output.out.splitlines()[-1]

    totals = json.loads(retbench("run", "devices.yaml"))
    assert (totals["failed"], totals["skipped"]) == (0, 0)
    rows = json.loads(retbench("results"))
    assert len(rows) == cells
    assert {row["status"] for row in rows} == {"done"}
    assert all(0 < row["metrics"]["map"]["value"] <= 1 for row in rows)
    assert all(row["metrics"]["perceptibility"]["value"] > 0 for row in rows if row["attack"] != "none")


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], retbench.Study]:
    """Return a function that runs one of the suites on the CPU in float32, once, and returns its study."""
    folder = tmp_path_factory.mktemp("devices")

    def run(suite: str) -> retbench.Study:
        path = folder / f"{suite}.yaml"
        path.write_text(SUITES[suite][0])
        return retbench.open(path, store=folder / suite, device="cpu", precision="float32").run()

    return run


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("device", DEVICES)
def test_every_step_repeats_that_of_the_cpu(
    computed: Callable[[str], retbench.Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    suite: str,
) -> None:
    """From the same inputs; the CPU itself repeats its steps in other batches."""
    require(device)
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    study = computed(suite)
    monkeypatch.setattr("retbench.execute.local.BATCH_SIZE", 5)
    steps = list(repeat_steps(study.planned, study.store, Store(tmp_path), torch.device(device)))
    assert [str(difference) for difference in compare_steps(steps)] == []


def test_the_suites_have_steps_of_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    planned = set()
    for suite, (text, _) in SUITES.items():
        path = tmp_path / f"{suite}.yaml"
        path.write_text(text)
        steps = retbench.open(path, store=tmp_path / "store", device="cpu", precision="float32").planned.steps
        planned |= {stage.name for stage in steps.values()}
    exported = (member for member in vars(stages).values() if isinstance(member, type) and issubclass(member, Stage))
    assert planned == {stage.name for stage in exported if hasattr(stage, "name")}


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_the_smoke_suite_has_the_stored_rows(
    smoke_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """With trainings of its own, on another processor, device or number of threads."""
    require(device)
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    references = [json.loads(STORED_ROWS.read_text())]
    if device == "cpu":
        rows = read_rows(retbench.open("smoke", store=smoke_store, device="cpu"))
    else:
        references.append(read_rows(retbench.open("smoke", store=smoke_store, device="cpu")))
        rows = read_rows(retbench.open("smoke", store=tmp_path, device=device, precision="float32").run())
    differences = [difference for reference in references for difference in compare_rows(reference, rows, STORED)]
    assert [str(difference) for difference in differences] == []
