"""The architecture as a test: who may import whom, how long files and functions may be, what nothing may be called."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    ("errors", "canon", "document"),
    ("contracts",),
    ("hookspecs", "metrics"),
    ("catalog", "store"),
    ("suite", "stages"),
    ("plan",),
    ("execute", "results", "survey", "lineage"),
    ("bundle",),
    ("report",),
    ("testing",),
    ("cli",),
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
VAGUE = {"utils", "helpers", "base", "common", "manager", "misc"}
OUTSIDE = {
    "plugins/datasets": set(),
    "plugins/hashers": set(),
    "plugins/attacks": set(),
    "plugins/defenses": {"retbench_attacks"},  # ATRDH trains the prototype net of an attack
}
"""The other plugin distributions that each plugin declares and may import."""

CORE = sorted((ROOT / "retbench").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").glob("*/src/**/*.py"))
CODE = [*CORE, *PLUGINS, *sorted((ROOT / "benchmarks").glob("*.py"))]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Yields every module that a file imports anywhere, type-checking blocks aside."""
    tree = ast.parse(path.read_text())
    hidden = {id(child) for node in ast.walk(tree) if _type_checking(node) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


@pytest.mark.parametrize("path", CORE, ids=named)
def test_a_module_imports_only_lower_floors_and_its_own_package(path: Path) -> None:
    here = path.relative_to(ROOT / "retbench").parts[0].removesuffix(".py")
    if here == "__init__":
        return
    for module in imports(path):
        if not module.startswith("retbench."):
            continue
        there = module.split(".")[1]
        if there in FLOOR_OF:
            lower = FLOOR_OF[there] < FLOOR_OF[here]
            assert lower or there == here, f"{here} imports {module}"


@pytest.mark.parametrize("path", PLUGINS, ids=named)
def test_a_plugin_imports_the_top_level_the_metrics_and_what_it_declares(path: Path) -> None:
    folder = "/".join(path.relative_to(ROOT).parts[:2])
    own = f"retbench_{path.relative_to(ROOT).parts[1]}"
    for module in imports(path):
        package = module.split(".")[0]
        if package == "retbench":
            assert len(module.split(".")) == 2 or module.startswith("retbench.metrics"), f"{folder} imports {module}"
        elif package.startswith("retbench_"):
            assert package == own or package in OUTSIDE[folder], f"{folder} imports {module}"


@pytest.mark.parametrize("path", CODE, ids=named)
def test_a_file_is_at_most_300_lines_and_says_what_it_holds(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    assert path.stem not in VAGUE
    assert ast.get_docstring(ast.parse(path.read_text())), "a module starts with what it is for"


@pytest.mark.parametrize("path", CODE, ids=named)
def test_a_function_is_at_most_60_lines(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


@pytest.mark.parametrize("path", CODE, ids=named)
def test_a_silenced_check_says_why_on_its_line(path: Path) -> None:
    for line in path.read_text().splitlines():
        for silencer in ("# noqa", "# type: ignore"):
            if silencer in line:
                reason = line.split(silencer, 1)[1].split("]")[-1] if "ignore[" in line else line.split(silencer, 1)[1]
                assert len(reason.split()) >= 3, line.strip()


def test_the_modules_of_the_core_have_no_import_cycle() -> None:
    modules = {named(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"): path for path in CORE}
    edges = {name: {m for m in _resolved(imports(path), modules) if m != name} for name, path in modules.items()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for after in edges[name]:
                walk(after, (*trail, name))
            done.add(name)

    for name in modules:
        walk(name, ())


def _resolved(found: Iterator[str], modules: dict[str, Path]) -> Iterator[str]:
    """Yields the deepest module of the core that each import names; a package's `__init__` stands above its modules."""
    for name in found:
        if name in modules and modules[name].name != "__init__.py":
            yield name
        elif name.rpartition(".")[0] in modules and modules[name.rpartition(".")[0]].name != "__init__.py":
            yield name.rpartition(".")[0]


HEAVY = ("torch", "diffusers", "pydantic", "numba", "rich", "matplotlib", "scipy", "jinja2", "selenium")


@pytest.mark.parametrize("heavy", HEAVY)
def test_help_loads_nothing_heavy(heavy: str) -> None:
    script = (
        "import sys, click.testing, retbench.cli.main as main\n"
        "assert click.testing.CliRunner().invoke(main.cli, ['--help']).exit_code == 0\n"
        f"sys.exit({heavy!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
