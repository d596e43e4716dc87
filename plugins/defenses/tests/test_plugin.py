import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

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


HEAVY_MODULES = {"diffusers", "sklearn", "transformers", "matplotlib"}
"""Modules that only networks, data and figures need."""

CLEAN_CELL = ("smoke", "--only", "attack=none", "--only", "defense=none")
"""One cell of the suite `smoke`."""

COMMANDS = {
    "plan unimodal": ("plan", "unimodal"),
    "plan ablation": ("plan", "ablation"),
    "run": ("run", *CLEAN_CELL),
    "results": ("results", *CLEAN_CELL),
    "report": ("report", *CLEAN_CELL, "--no-pictures"),
    "page": ("report", *CLEAN_CELL, "--format", "html", "--no-pictures"),
    "pictures": ("report", *CLEAN_CELL, "--format", "html"),
}
"""Commands that one process runs in this order; only the last draws figures."""

PROBE = """
import contextlib, io, json, sys
import retbench_defenses.plugin
print(json.dumps([*sys.modules]))
retbench_defenses.plugin.retbench_defenses()
print(json.dumps([*sys.modules]))
from retbench.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["retbench", *arguments]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            main()
        except SystemExit as ended:
            assert not ended.code, output.getvalue()
    print(json.dumps([output.getvalue(), *sys.modules]))
"""


class Loaded(NamedTuple):
    """The modules that a new process holds after each step, and the output of each command."""

    by_plugin: set[str]
    by_defenses: set[str]
    by_command: dict[str, tuple[str, set[str]]]


@pytest.fixture(scope="module")
def loaded(smoke_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Import the plugin, list its defenses, and run the commands on a store with the results of `smoke`."""
    store = tmp_path_factory.mktemp("plugin") / "store"
    shutil.copytree(smoke_store, store)
    commands = json.dumps([[*arguments, "--store", str(store)] for arguments in COMMANDS.values()])
    ended = subprocess.run([sys.executable, "-c", PROBE, commands], capture_output=True, text=True, check=True)
    plugin, defenses, *after = map(json.loads, ended.stdout.splitlines())
    by_command = {name: (output, set(modules)) for name, (output, *modules) in zip(COMMANDS, after, strict=True)}
    return Loaded(set(plugin), set(defenses), by_command)


def test_the_plugin_loads_without_torch_and_the_defenses_without_diffusers(loaded: Loaded) -> None:
    assert not loaded.by_plugin & {"torch", "diffusers"}
    assert "diffusers" not in loaded.by_defenses


@pytest.mark.parametrize("suite", ["unimodal", "ablation"])
def test_planning_a_shipped_suite_does_not_load_heavy_modules(loaded: Loaded, suite: str) -> None:
    output, modules = loaded.by_command[f"plan {suite}"]
    assert f"{suite}: " in output
    assert "retbench_defenses.diffusion.retpur" in modules
    assert not modules & HEAVY_MODULES


@pytest.mark.parametrize(
    ("command", "expected"),
    [("run", "0 steps run"), ("results", "done"), ("report", "Provenance of this table"), ("page", "</html>")],
)
def test_stored_results_are_read_without_loading_heavy_modules(loaded: Loaded, command: str, expected: str) -> None:
    output, modules = loaded.by_command[command]
    assert expected in output
    assert not modules & HEAVY_MODULES


def test_a_report_with_figures_loads_only_matplotlib(loaded: Loaded) -> None:
    output, modules = loaded.by_command["pictures"]
    assert "</html>" in output
    assert modules & HEAVY_MODULES == {"matplotlib"}
