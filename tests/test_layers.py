"""The architecture as a test: who may import whom, how full a folder may be, what nothing may be called."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import retbench

ROOT = Path(__file__).parents[1]
FLOORS = (
    ("errors", "canon"),
    ("difference", "document", "file_digests"),
    ("contracts",),
    ("hookspecs", "metrics"),
    ("catalog", "store"),
    ("suite", "stages", "survey"),
    ("plan",),
    ("execute", "results", "lineage"),
    ("bundle",),
    ("report",),
    ("study",),
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

FULL = 16
"""Modules in a folder, `__init__` aside, above which it holds two topics."""
CROWDED = {"retbench/cli"}
"""One file for each command."""

CORE = sorted((ROOT / "retbench").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").glob("*/src/**/*.py"))
CODE = [*CORE, *PLUGINS, *sorted((ROOT / "benchmarks").glob("*.py"))]
PACKAGES = [ROOT / "retbench", *sorted((ROOT / "plugins").glob("*/src/*"))]
MODULES = {
    str(path.relative_to(package.parent)).removesuffix(".py").replace("/", ".").removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted(package.rglob("*.py"))
}
"""Files by the name that they are imported by."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return every module that a file imports anywhere, type-checking blocks aside."""
    return tuple(_imports(parsed(path)))


def _imports(tree: ast.Module) -> Iterator[str]:
    hidden = {id(child) for node in ast.walk(tree) if _type_checking(node) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def type_imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports in a type-checking block."""
    blocks = [node for node in ast.walk(parsed(path)) if _type_checking(node)]
    for node in (child for block in blocks for child in ast.walk(block)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def home(name: str) -> str:
    """The full name of what is imported: a lazy export of `retbench` is named where it is defined."""
    package, _, export = name.rpartition(".")
    if package != "retbench" or name in MODULES or export not in dir(retbench) or export == "__version__":
        return name
    return f"{retbench._OTHER_MODULES.get(export, 'retbench.contracts')}.{export}"


def climbs(here: str, names: Iterable[str]) -> list[str]:
    """The imports of a module on a floor that are neither below it nor in its own package."""
    inside = [home(name).split(".") for name in names if name.split(".")[0] == "retbench"]
    floors = {".".join(name): FLOOR_OF.get(name[1], -1) if len(name) > 1 else len(FLOORS) for name in inside}
    return [name for name, floor in floors.items() if floor >= FLOOR_OF[here] and name.split(".")[1:2] != [here]]


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def test_a_module_imports_only_lower_floors_and_its_own_package() -> None:
    floors = {path: path.relative_to(ROOT / "retbench").parts[0].removesuffix(".py") for path in CORE}
    found = {named(path): climbs(here, imports(path)) for path, here in floors.items() if here != "__init__"}
    assert len(found) > 100
    assert offenders(found) == {}


def test_every_module_is_on_a_floor() -> None:
    assert {name.split(".")[1] for name in MODULES if name.startswith("retbench.")} == FLOOR_OF.keys()


def test_the_floor_of_an_export_is_that_of_its_module() -> None:
    assert climbs("catalog", ["retbench.evaluate"]) == ["retbench.study.evaluation.evaluate"]
    assert climbs("contracts", ["retbench.load_catalog"]) == ["retbench.catalog.load_catalog"]
    assert climbs("canon", ["retbench.Attack"]) == ["retbench.contracts.Attack"]
    assert climbs("catalog", ["retbench"]) == ["retbench"]  # its attributes are exports of every floor
    assert climbs("catalog", ["retbench.store.Store"]) == ["retbench.store.Store"]
    assert climbs("catalog", ["retbench.Attack", "retbench.catalog.local", "retbench.__version__", "torch"]) == []


def test_a_plugin_imports_the_top_level_the_metrics_and_what_it_declares() -> None:
    found = {named(path): [name for name in imports(path) if not plugin_may_import(path, name)] for path in PLUGINS}
    assert len(found) > 50
    assert offenders(found) == {}


def plugin_may_import(path: Path, name: str) -> bool:
    """Return whether a plugin's file may import a module."""
    package, *inside = name.split(".")
    if package == "retbench":
        return len(inside) == 1 or inside[:1] == ["metrics"]
    plugin = path.relative_to(ROOT).parts[1]
    return not package.startswith("retbench_") or package in {f"retbench_{plugin}", *OUTSIDE[f"plugins/{plugin}"]}


def test_a_file_has_a_name_that_says_something_and_a_docstring() -> None:
    assert [named(path) for path in CODE if path.stem in VAGUE] == []
    assert [named(path) for path in CODE if not ast.get_docstring(parsed(path))] == []


def test_a_folder_holds_one_topic() -> None:
    folders = {path.parent for path in (*CORE, *PLUGINS)}
    found = {named(folder): sorted({path.stem for path in folder.glob("*.py")} - {"__init__"}) for folder in folders}
    assert {name: modules for name, modules in found.items() if len(modules) > FULL and name not in CROWDED} == {}


def test_a_silenced_check_says_why_on_its_line() -> None:
    found = {named(path): [line for line in path.read_text().splitlines() if is_silent(line)] for path in CODE}
    assert offenders(found) == {}


def is_silent(line: str) -> bool:
    """Return whether a line silences a check without a reason of at least three words."""
    after = [line.split(silencer, 1)[1] for silencer in ("# noqa", "# type: ignore") if silencer in line]
    reasons = [text.split("]")[-1] if "ignore[" in line else text for text in after]
    return any(len(reason.split()) < 3 for reason in reasons)


def offenders(found: Mapping[str, Collection[str]]) -> dict[str, Collection[str]]:
    """Return the files that break a rule, with what breaks it."""
    return {name: broken for name, broken in found.items() if broken}


def imported(name: str) -> set[str]:
    """The modules of the core and the plugins that a module imports when it runs."""
    return modules_of(imports(MODULES[name])) - {name}


def modules_of(names: Iterable[str]) -> set[str]:
    """The modules of the core and the plugins among imported names, the deepest that each names."""
    found = map(home, names)
    return {name if name in MODULES else name.rpartition(".")[0] for name in found} & MODULES.keys()


def cycle(edges: Mapping[str, set[str]]) -> str:
    """A cycle of a graph as one line; empty without one."""
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> str:
        if name in trail:
            return " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return ""
        found = next((found for after in sorted(edges.get(name, ())) if (found := walk(after, (*trail, name)))), "")
        done.add(name)
        return found

    return next((found for name in sorted(edges) if (found := walk(name, ()))), "")


def test_the_search_finds_a_cycle() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == "b -> c -> b"
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == ""


def test_no_modules_import_each_other_in_a_circle() -> None:
    plain = {name: path for name, path in MODULES.items() if path.name != "__init__.py"}
    assert cycle({name: imported(name) & plain.keys() for name in plain}) == ""


def test_only_types_of_two_modules_are_named_in_a_circle() -> None:
    """Imports for type checkers alone never run, so the test above leaves them out; two modules need them.

    `Study` has a method for each operation on a study (plan, run, report, ...), and each of these is a module with a
    function that takes the whole study: passing its parts instead would give each function six arguments that only
    ever come from one study. `Component` names the parts and weights that a component may own, which are components'
    own kinds. A circle of types anywhere else is a module that holds two ideas.
    """
    plain = {name: path for name, path in MODULES.items() if path.name != "__init__.py"}
    edges = {name: imported(name) & plain.keys() for name in plain}
    assert cycle(_with_types(edges, mutual=set()))
    assert cycle(_with_types(edges, mutual={"retbench.study.study", "retbench.contracts.component"})) == ""


def _with_types(edges: Mapping[str, set[str]], mutual: set[str]) -> dict[str, set[str]]:
    """Imports with those for type checkers, but for those of or from modules that may name each other's types."""
    found = {}
    for name, targets in edges.items():
        typed = modules_of(type_imports(MODULES[name])) & edges.keys() - {name}
        found[name] = targets | (set() if name in mutual else typed - mutual)
    return found


def test_the_rooms_of_a_package_import_each_other_one_way() -> None:
    """A room is a folder, or a module beside it; the exports of `__init__` stand above all of them."""
    packages = [name for name, path in MODULES.items() if path.name == "__init__.py"]
    assert len(packages) > 20
    assert offenders({package: cycle(imports_between_rooms(package)) for package in packages}) == {}


def imports_between_rooms(package: str) -> dict[str, set[str]]:
    inside = [name for name in MODULES if name.startswith(f"{package}.")]
    edges: dict[str, set[str]] = {}
    for name in inside:
        room = name.removeprefix(f"{package}.").split(".")[0]
        there = {it.removeprefix(f"{package}.").split(".")[0] for it in imported(name) if it in inside}
        edges.setdefault(room, set()).update(there - {room})
    return edges


def test_a_module_does_not_import_the_exports_of_a_package_that_it_is_in() -> None:
    plain = [name for name, path in MODULES.items() if path.name != "__init__.py"]
    assert offenders({name: packages_around(name) & imported(name) for name in plain}) == {}


def packages_around(name: str) -> set[str]:
    return {name.rsplit(".", up)[0] for up in range(1, name.count(".") + 1)} - {"retbench"}
