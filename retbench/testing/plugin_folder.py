"""Install a plugin without pip, as a folder that importlib.metadata reads as a distribution."""

from __future__ import annotations

from pathlib import Path


def write_plugin(folder: Path, distribution: str, module: str, source: str | None = None) -> Path:
    """Write a distribution with an entry point for a plugin module, and return its folder, to be put on `sys.path`.

    Args:
        folder: the folder, created if missing; several plugins may share it.
        distribution: the name of the distribution and of the entry point; the version is 0.1.
        module: the name of the module that the entry point refers to.
        source: the source of that module; None for a module that is importable already.
    """
    info = folder / f"{distribution.replace('-', '_')}-0.1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[retbench]\n{distribution} = {module}\n")
    if source is not None:
        (folder / f"{module}.py").write_text(source)
    return folder
