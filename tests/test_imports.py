"""What imports cost: the libraries that a fresh interpreter holds after each of a row of imports, lightest first."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

STEPS = {
    "package": "import retbench, retbench.errors, retbench.canon",
    "hook marker": "from retbench import hookimpl",
    "help": (
        "import click.testing, retbench.cli.main as main\n"
        "assert click.testing.CliRunner().invoke(main.cli, ['--help']).exit_code == 0"
    ),
    "contract": "from retbench import Noise",
    "metrics": "import retbench.metrics",
    "gallery": "import retbench.report.gallery.gallery",
    "report": "import retbench.report, retbench.report.figures, retbench.report.render.html",
    "drawing": (
        "import importlib, pkgutil\n"
        "for module in pkgutil.walk_packages(retbench.report.__path__, 'retbench.report.'):\n"
        "    importlib.import_module(module.name)"
    ),
}


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Return the modules that one fresh interpreter holds after each step, those of the steps before included."""
    probe = "print(json.dumps([*sys.modules]))"
    script = "\n".join(["import json, sys", *(f"{statements}\n{probe}" for statements in STEPS.values())])
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {step: set(json.loads(line)) for step, line in zip(STEPS, ended.stdout.splitlines(), strict=True)}


@pytest.mark.parametrize("step", ["package", "hook marker"])
def test_importing_the_package_or_the_hook_marker_loads_nothing_heavy(loaded: dict[str, set[str]], step: str) -> None:
    heavy = {"torch", "pydantic", "numba", "diffusers", "sklearn", "yaml", "numpy", "matplotlib"}
    assert loaded[step] & heavy == set()


def test_help_loads_nothing_heavy(loaded: dict[str, set[str]]) -> None:
    heavy = {"torch", "diffusers", "pydantic", "numba", "rich", "matplotlib", "scipy", "jinja2", "selenium"}
    assert loaded["help"] & heavy == set()


def test_the_probe_sees_a_package_that_is_loaded(loaded: dict[str, set[str]]) -> None:
    assert "torch" in loaded["contract"]


def test_importing_the_metrics_loads_neither_the_compiler_nor_scipy(loaded: dict[str, set[str]]) -> None:
    assert loaded["metrics"] & {"numba", "pytorch_msssim", "scipy"} == set()


def test_making_a_gallery_needs_neither_matplotlib_nor_pillow(loaded: dict[str, set[str]]) -> None:
    assert loaded["gallery"] & {"matplotlib", "PIL"} == set()


def test_importing_the_report_loads_neither_matplotlib_nor_the_template_engine(loaded: dict[str, set[str]]) -> None:
    assert loaded["report"] & {"matplotlib", "jinja2"} == set()


def test_drawing_leaves_pyplot_alone(loaded: dict[str, set[str]]) -> None:
    assert "matplotlib" in loaded["drawing"]
    assert "matplotlib.pyplot" not in loaded["drawing"]
