import subprocess
import sys
from pathlib import Path

import pytest
import retbench_defenses as retbench_defenses_package
from retbench_defenses.plugin import retbench_defenses


def test_the_hook_offers_every_defense() -> None:
    diffusion = ["ddpm", "diffpure", "gdmp", "gradual", "retpur", "retpur-literal"]
    controls = [
        "bit-depth",
        "gaussian-blur",
        "gaussian-noise",
        "identity",
        "jpeg",
        "median",
        "random-resize-pad",
        "resize",
    ]
    assert [defense.name for defense in retbench_defenses()] == ["atrdh", *diffusion, *controls, "tv"]


def test_denoisers_controls_and_hardenings_do_not_import_the_diffusion_purifiers() -> None:
    package = Path(retbench_defenses_package.__file__).parent
    sources = [path for folder in ("denoisers", "controls", "hardening") for path in (package / folder).glob("*.py")]
    assert len(sources) > 15
    assert [path.name for path in sources if "retbench_defenses.diffusion" in path.read_text()] == []


def test_the_plugin_loads_without_torch_and_the_defenses_without_diffusers() -> None:
    code = (
        "import sys\n"
        "from retbench_defenses.plugin import retbench_defenses\n"
        "print(*{'torch', 'diffusers'} & set(sys.modules))\n"
        "retbench_defenses()\n"
        "print('diffusers' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "\nFalse\n"


HEAVY_MODULES = {"diffusers", "sklearn", "transformers", "matplotlib"}
"""Modules that only networks, data and figures need."""


def run_command(*arguments: str, store: Path) -> tuple[str, set[str]]:
    """Return the output of a command and the modules that it loads."""
    command = [sys.executable, "-X", "importtime", str(Path(sys.executable).with_name("retbench")), *arguments]
    process = subprocess.run([*command, "--store", str(store)], capture_output=True, text=True, check=True)
    import_times = [line for line in process.stderr.splitlines() if line.startswith("import time:")]
    messages = [line for line in process.stderr.splitlines() if not line.startswith("import time:")]
    return "\n".join([process.stdout, *messages]), {line.rpartition("|")[2].strip() for line in import_times}


@pytest.mark.parametrize("suite", ["unimodal", "ablation"])
def test_planning_a_shipped_suite_does_not_load_heavy_modules(suite: str, tmp_path: Path) -> None:
    output, modules = run_command("plan", suite, store=tmp_path)
    assert f"{suite}: " in output
    assert "retbench_defenses.diffusion.retpur" in modules
    assert not modules & HEAVY_MODULES


CLEAN_CELL = (
    "--only",
    "attack=none",
    "--only",
    "defense=none",
    "--set",
    "components.hasher.dpsh={warmup_epochs: 1, epochs: 1}",
)
"""Arguments that select one cell of the suite `smoke` and shorten its training."""


@pytest.fixture(scope="module")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the result of the clean, undefended cell of the suite `smoke`."""
    store = tmp_path_factory.mktemp("plugin") / "store"
    output, _ = run_command("run", "smoke", *CLEAN_CELL, store=store)
    assert "0 failed" in output
    return store


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "smoke", *CLEAN_CELL), "0 steps run"),
        (("results", "smoke", *CLEAN_CELL), "done"),
        (("report", "smoke", *CLEAN_CELL, "--no-pictures"), "What this table rests on"),
        (("report", "smoke", *CLEAN_CELL, "--format", "html", "--no-pictures"), "</html>"),
    ],
    ids=["run", "results", "report", "html"],
)
def test_stored_results_are_read_without_loading_heavy_modules(
    filled_store: Path, arguments: tuple[str, ...], expected: str
) -> None:
    output, modules = run_command(*arguments, store=filled_store)
    assert expected in output
    assert "retbench_defenses.diffusion.retpur" in modules
    assert not modules & HEAVY_MODULES


def test_a_report_with_figures_loads_only_matplotlib(filled_store: Path) -> None:
    _, modules = run_command("report", "smoke", *CLEAN_CELL, "--format", "html", store=filled_store)
    assert modules & HEAVY_MODULES == {"matplotlib"}
