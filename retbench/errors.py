"""Every exception that retbench raises on purpose.

    RetbenchError
    ├── UserError                 the user can fix it: one line, exit code 2
    │   ├── UnknownName           a name that does not exist; the message lists the nearest ones
    │   ├── OptionError           a component option with a wrong name, type or range
    │   ├── DocumentError         a text that is not valid YAML; file:line:column
    │   ├── SuiteError            a suite with wrong content; file:line:column
    │   ├── LayoutError           a report layout that names an axis or metric that rows do not have
    │   ├── ClaimError            a ledger of published numbers with wrong content
    │   ├── BundleError           a bundle of results that cannot be read, written or merged
    │   ├── RecordUnreadable      the record of a run that cannot be read
    │   └── StoreUnwritable       the store's folder is read-only or full
    ├── TrainingDiverged          a loss or a weight of a training became NaN or infinite; also a ValueError
    ├── PluginError               a fault of a plugin distribution
    │   ├── DuplicateComponent    two distributions define a component of the same kind and name
    │   └── ContractBreach        a component broke its contract while it ran; the cell becomes `invalid`
    └── ArtifactError             a stored artifact is missing or damaged
        ├── ArtifactMissing       no artifact has this key
        └── ArtifactCorrupt       the artifact's bytes changed after they were written

Messages read `where: what is wrong: got X, expected Y; nearest: Z`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_ON_COMMAND_LINE = ContextVar("_ON_COMMAND_LINE", default=False)
_PYTHON_NAMES = {"plugin": "plugins", "out": "folder"}
"""Parameters of the Python API whose names differ from the option of the command line."""


class RetbenchError(Exception):
    """Any error that retbench raises on purpose."""


class UserError(RetbenchError):
    """A mistake that the user can fix; the command line prints it as one line and exits with 2."""


class UnknownName(UserError):
    """A name that does not exist.

    Args:
        location: the place of the name, first in the message (`suite.yaml:4:12: matrix.attack`).
        name: the name as written.
        choices: all valid names.
        listing: the command that lists the names, if they are too many for a message.
    """

    def __init__(self, location: str, name: str, choices: Iterable[str], listing: str = "") -> None:
        self.name = name
        self.choices = sorted(choices)
        super().__init__(f"{location}: unknown name: got {name!r}, {suggest(name, self.choices, listing)}")


class OptionError(UserError):
    """A component option that does not exist, or whose value has a wrong type or range.

    Args:
        component: the component, as `kind name`.
        option: the option; dotted where it is part of another option.
        problem: what is wrong, as `got X, expected Y`.
    """

    def __init__(self, component: str, option: str, problem: str) -> None:
        self.component = component
        self.option = option
        self.problem = problem
        super().__init__(f"{component}: {option}: {problem}")


class DocumentError(UserError):
    """A text that is not valid YAML by retbench's rules; the message starts with `file:line:column`.

    Suites, layouts and ledgers are all read as YAML documents first. SuiteError, LayoutError and ClaimError report
    wrong content of a valid document. They are siblings of this class, not subclasses: code that catches one of them to
    prepend the place where a file was named must not change the place inside that file.
    """


class SuiteError(UserError):
    """A suite with wrong content; the message starts with `file:line:column`."""


class LayoutError(UserError):
    """A report layout that names an axis or a metric that rows do not have."""


class BundleError(UserError):
    """A bundle of results that cannot be read, written or merged; the message names the file and the member."""


class ClaimError(UserError):
    """A ledger of published numbers with cells or values that cannot exist."""


class RecordUnreadable(UserError):
    """The record of a run in a store cannot be read, so that what the run needs is unknown.

    Args:
        path: the file of the record.
        problem: what is wrong with it.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: not a readable record of a run: {problem}")


class StoreUnwritable(UserError):
    """The store's folder cannot be written: it is read-only, full or not a folder."""


class TrainingDiverged(RetbenchError, ValueError):
    """A loss or a weight of a training became NaN or infinite; the message names the component and the step."""


class PluginError(RetbenchError):
    """A fault of a plugin distribution."""


class DuplicateComponent(PluginError, UserError):
    """Two distributions define a component of the same kind and name."""


class ContractBreach(PluginError):
    """A component returned a value that its contract forbids.

    Args:
        culprit: the component to blame, as `kind name (distribution version)`.
        problem: what is wrong, as `what is wrong: got X, expected Y`.
    """

    def __init__(self, culprit: str, problem: str) -> None:
        self.culprit = culprit
        self.problem = problem
        super().__init__(f"{culprit}: {problem}")


class ArtifactError(RetbenchError):
    """A stored artifact is missing or damaged."""


class ArtifactMissing(ArtifactError):
    """No artifact has this key."""


class ArtifactCorrupt(ArtifactError):
    """The bytes of an artifact changed after they were written."""


def suggest(name: str, choices: Iterable[str], listing: str = "") -> str:
    """Return the end of a message about an unknown name: `expected one of …; nearest: …`.

    Args:
        name: the unknown name.
        choices: all valid names; without any, the text is `but none are defined`.
        listing: the command that lists the names; if given, the text has the number of names and this command.
    """
    names = sorted(choices)
    if not names:
        return "but none are defined"
    nearest = difflib.get_close_matches(name, names, n=3 if listing else 2, cutoff=0.5)
    tail = f"; nearest: {', '.join(nearest)}" if nearest else ""
    expected = f"{len(names)} names, see `{listing}`" if listing else ", ".join(names)
    return f"expected one of {expected}{tail}"


@contextmanager
def command_line_names() -> Iterator[None]:
    """Make messages in this block name options as on the command line."""
    token = _ON_COMMAND_LINE.set(True)
    try:
        yield
    finally:
        _ON_COMMAND_LINE.reset(token)


def on_command_line() -> bool:
    """Return whether messages name options as on the command line; otherwise they name parameters of the Python API."""
    return _ON_COMMAND_LINE.get()


def option_name(name: str, value: str = "") -> str:
    """Return the name of an option as the user writes it, for messages.

    The same option is a flag on the command line and a parameter in Python.

    Args:
        name: the option without its dashes, such as `step-timeout`.
        value: the placeholder of its value; empty for the name alone.

    Example:
        >>> option_name("only"), option_name("store", "DIR")
        ('only', 'store=DIR')
        >>> with command_line_names():
        ...     option_name("only"), option_name("store", "DIR")
        ('--only', '--store DIR')
    """
    if on_command_line():
        return f"--{name} {value}".rstrip()
    return "=".join(part for part in (_PYTHON_NAMES.get(name, name).replace("-", "_"), value) if part)
