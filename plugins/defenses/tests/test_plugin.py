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


HEAVY = {"diffusers", "sklearn", "transformers", "matplotlib"}
"""What only networks, data and pictures need."""


def loaded_by(*words: str, store: Path) -> tuple[str, set[str]]:
    """Returns what a command prints, and the modules that it loads."""
    command = [sys.executable, "-X", "importtime", str(Path(sys.executable).with_name("retbench")), *words]
    ended = subprocess.run([*command, "--store", str(store)], capture_output=True, text=True, check=True)
    times = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    said = [line for line in ended.stderr.splitlines() if not line.startswith("import time:")]
    return "\n".join([ended.stdout, *said]), {line.rpartition("|")[2].strip() for line in times}


@pytest.mark.parametrize("suite", ["unimodal", "ablation"])
def test_planning_a_shipped_suite_loads_no_library_that_only_runs_and_reports_need(suite: str, tmp_path: Path) -> None:
    told, loaded = loaded_by("plan", suite, store=tmp_path)
    assert f"{suite}: " in told
    assert "retbench_defenses.diffusion.retpur" in loaded
    assert not loaded & HEAVY


CLEAN = (
    "--only",
    "attack=none",
    "--only",
    "defense=none",
    "--set",
    "components.hasher.dpsh={warmup_epochs: 1, epochs: 1}",
)
"""One cell of the suite `smoke`, with the shortest training."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the clean, undefended cell of the suite `smoke`, which takes seconds."""
    store = tmp_path_factory.mktemp("plugin") / "store"
    told, _ = loaded_by("run", "smoke", *CLEAN, store=store)
    assert "0 failed" in told
    return store


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "smoke", *CLEAN), "0 steps run"),
        (("results", "smoke", *CLEAN), "done"),
        (("report", "smoke", *CLEAN, "--no-pictures"), "What this table rests on"),
        (("report", "smoke", *CLEAN, "--format", "html", "--no-pictures"), "</html>"),
    ],
    ids=["run", "results", "report", "html"],
)
def test_what_is_stored_is_read_without_a_library_that_only_runs_and_pictures_need(
    stored: Path, words: tuple[str, ...], said: str
) -> None:
    told, loaded = loaded_by(*words, store=stored)
    assert said in told
    assert "retbench_defenses.diffusion.retpur" in loaded
    assert not loaded & HEAVY


def test_the_probe_sees_what_pictures_need(stored: Path) -> None:
    _, loaded = loaded_by("report", "smoke", *CLEAN, "--format", "html", store=stored)
    assert loaded & HEAVY == {"matplotlib"}
