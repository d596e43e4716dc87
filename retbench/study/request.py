"""A request: the suite of a study, its profile and changes, and the device and precision of the run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from retbench.errors import UserError, option_name
from retbench.study.store_path import default_store
from retbench.suite import Selection
from retbench.suite.selection import LIST_TYPES, to_python_value

Changes = str | Sequence[str] | Mapping[str, Any]
"""A text `path.to.option=value`, several of them, or a mapping from dotted paths to values."""
PluginFiles = str | Path | Sequence[str | Path]
"""The path of a Python file, or several."""
PrecisionChoice = Literal["auto", "float32", "bf16"]
EVERYTHING = Selection()


@dataclass(frozen=True)
class StudyRequest:
    """The arguments of `retbench.open`, or the options of a command.

    Attributes:
        suite: a path, or the name of a shipped suite; None for the last suite run in the store.
        profile: a profile of the suite; empty for none.
        changes: changes of single values, as texts `path.to.option=value`.
        only: the selected part of the matrix.
        plugins: Python files whose components are used in addition to the installed ones.
        device, precision: `auto` for the best that the machine has.
    """

    suite: str | None
    profile: str = ""
    changes: tuple[str, ...] = ()
    only: Selection = EVERYTHING
    plugins: tuple[str, ...] = ()
    device: str = "auto"
    precision: PrecisionChoice = "auto"

    def format_command(self, command: str, store: Path) -> str:
        """Return the command line that applies `retbench COMMAND` to the same suite, options and store."""
        words = ["retbench", command, str(self.suite)]
        words += ["--profile", self.profile] if self.profile else []
        for option, values in (("--set", self.changes), ("--only", self.only.texts), ("--plugin", self.plugins)):
            words += [word for value in values for word in (option, value)]
        words += ["--device", self.device] if self.device != "auto" else []
        words += ["--precision", self.precision] if self.precision != "auto" else []
        words += ["--store", str(store)] if store != default_store() else []
        return shlex.join(words)


def read_changes(changes: Changes | None) -> tuple[str, ...]:
    """Return changes of a suite as texts `path.to.option=value`.

    A text in a mapping is read as on the command line: `"8/255"` is a number. Numbers and arrays of numpy are accepted.

    Raises:
        UserError: another type, or a value that YAML cannot express.

    >>> read_changes({"components.attack.dhta.eps": "8/255", "matrix.bits": [16, 32], "shard": 20})
    ('components.attack.dhta.eps=8/255', 'matrix.bits=[16, 32]', 'shard=20')
    >>> read_changes("shard=20")
    ('shard=20',)
    """
    where = option_name("set")
    if isinstance(changes, Mapping):
        return tuple(f"{path}={_format_value(f'{where}: {path}', value)}" for path, value in changes.items())
    if changes is not None and not isinstance(changes, str | Sequence):
        raise UserError(f"{where}: expected path=value, a list of such texts, or a mapping, got {changes!r}")
    texts = (changes,) if isinstance(changes, str) else tuple(changes or ())
    for text in texts:
        if not isinstance(text, str):
            raise UserError(f"{where}: expected path=value, got {text!r}")
    return texts


def resolve_files(files: PluginFiles) -> tuple[str, ...]:
    """Return the absolute paths of one file or several."""
    return tuple(str(Path(file).resolve()) for file in ([files] if isinstance(files, str | Path) else files))


def _format_value(where: str, value: Any) -> str:
    """Return YAML for a value; a text is returned unchanged."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, default=_to_json)
    except TypeError:
        raise UserError(f"{where}: expected text, a number, a list or a mapping, got {value!r}") from None


def _to_json(value: Any) -> Any:
    """Return JSON for a path, a collection, or a value of numpy; raises TypeError for anything else."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, LIST_TYPES):
        return list(value)
    converted = to_python_value(value)
    if converted is value:
        raise TypeError
    return converted
