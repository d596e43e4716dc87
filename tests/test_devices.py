"""Every component that computes something, on each device, through the command line, in seconds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from retbench.cli.main import main

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


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
)
def test_every_cell_has_results(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    device: str,
    suite: str,
    precision: str,
) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
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
