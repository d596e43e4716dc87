"""Print pip constraints: the oldest version of each dependency that the projects allow and that has a wheel here.

Reads the lower bounds of every pyproject.toml. A bound whose version has no wheel for this Python is raised to the next
version that has one. torch is left out: `constraints.txt` pins it, and its floor is checked where its CPU build is at
hand (.github/workflows/test.yml).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
OPTIONAL = {"h5py", "hypothesis", "pytest", "pytest-xdist", "scipy"}
"""The optional dependencies that the selected tests import; the others are not installed."""
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def main() -> None:
    """Print one constraint for each dependency, by name; exit with a message for a dependency without lower bound."""
    for name, floor in sorted(floors().items()):
        print(f"{name}=={oldest_wheel(name, floor)}")


def floors() -> dict[str, Version]:
    """Return the highest lower bound of each dependency over all projects."""
    found: dict[str, Version] = {}
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        bounds = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
        if not bounds:
            sys.exit(f"floors: {requirement}: a lower bound is missing: expected {requirement.name}>=VERSION")
        found[name] = max(bounds[0], found.get(name, bounds[0]))
    return {name: floor for name, floor in found.items() if name != "torch" and not name.startswith("retbench")}


def requirements() -> Iterator[Requirement]:
    """Yield the dependencies of the core and of every plugin, and the `OPTIONAL` ones of their extras."""
    for path in (ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))):
        project = tomllib.loads(path.read_text())["project"]
        yield from map(Requirement, project["dependencies"])
        for extra in project.get("optional-dependencies", {}).values():
            yield from (each for each in map(Requirement, extra) if each.name in OPTIONAL)


def oldest_wheel(name: str, floor: Version) -> Version:
    """Return the oldest version from `floor` on that pip can install here from a wheel."""
    listed = subprocess.run([*PIP, "index", "versions", name], capture_output=True, text=True, check=True).stdout
    versions = re.search(r"Available versions: (.*)", listed)
    for version in sorted(map(Version, versions[1].split(", "))) if versions else ():
        wanted = f"{name}=={version}"
        options = ("--dry-run", "--quiet", "--no-deps", "--ignore-installed", "--only-binary=:all:")
        if (
            version >= floor
            and subprocess.run([*PIP, "install", *options, wanted], capture_output=True).returncode == 0
        ):
            return version
    sys.exit(f"floors: {name}: no version from {floor} on has a wheel for Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
