import subprocess
import sys
from pathlib import Path

import pytest
import retbench_defenses as retbench_defenses_package
from retbench_defenses.plugin import retbench_defenses


def test_the_hook_offers_every_defense() -> None:
    diffusion = ["ddpm", "diffpure", "gdmp", "gradual", "retpur", "retpur-literal"]
    cheap = [
        "bit-depth",
        "gaussian-blur",
        "gaussian-noise",
        "identity",
        "jpeg",
        "median",
        "random-resize-pad",
        "resize",
    ]
    assert [defense.name for defense in retbench_defenses()] == ["atrdh", *diffusion, *cheap, "tv"]


def test_denoisers_controls_and_hardenings_import_nothing_of_the_purifiers_by_diffusion() -> None:
    rooms = [Path(retbench_defenses_package.__file__).parent / room for room in ("denoisers", "controls", "hardening")]
    sources = [path for room in rooms for path in room.glob("*.py")]
    assert len(sources) > 15
    assert [path.name for path in sources if "retbench_defenses.diffusion" in path.read_text()] == []


def test_finding_the_plugin_loads_neither_torch_nor_diffusers() -> None:
    code = "import sys, retbench_defenses.plugin; print(*{'torch', 'diffusers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_the_defenses_load_without_diffusers() -> None:
    code = (
        "import sys; from retbench_defenses.plugin import retbench_defenses; retbench_defenses(); "
        "print('diffusers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("suite", ["unimodal", "ablation"])
def test_planning_a_shipped_suite_loads_no_library_that_only_runs_and_reports_need(suite: str, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", str(Path(sys.executable).with_name("retbench")), "plan", suite]
    planned = subprocess.run([*command, "--store", str(tmp_path)], capture_output=True, text=True, check=True)
    assert f"{suite}: " in planned.stdout
    loaded = {line.rpartition("|")[2].strip() for line in planned.stderr.splitlines()}
    assert "retbench_defenses.diffusion.retpur" in loaded
    assert not loaded & {"diffusers", "sklearn", "transformers", "matplotlib"}
