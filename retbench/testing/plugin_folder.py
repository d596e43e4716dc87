"""Installs a plugin without pip: a folder that importlib.metadata reads as a distribution."""

from __future__ import annotations

from pathlib import Path


def write_plugin(folder: Path, distribution: str, module: str, source: str | None = None) -> Path:
    """Return `folder` after writing a distribution into it that names a plugin module; put it on `sys.path` to use it.

    Args:
        folder: made if it is not there; several plugins may share it.
        distribution: the distribution's and the entry point's name; its version is 0.1.
        module: the importable module that the entry point names.
        source: the text of that module; None for one that is installed already.
    """
    info = folder / f"{distribution.replace('-', '_')}-0.1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[retbench]\n{distribution} = {module}\n")
    if source is not None:
        (folder / f"{module}.py").write_text(source)
    return folder
