"""Every exception that retbench raises on purpose.

    RetbenchError
    ├── UserError                 something the user wrote or asked for; one line, exit code 2
    │   ├── UnknownName           a name that nothing carries; knows the nearest ones
    │   ├── OptionError           an option of a component with a wrong name, type or range
    │   ├── DocumentError         a text that is not YAML as retbench reads it; file:line:column
    │   ├── SuiteError            a suite whose content is not a matrix; file:line:column
    │   ├── LayoutError           a report layout that names what the rows do not have
    │   ├── ClaimError            a ledger of published numbers that cannot be read as cells
    │   ├── BundleError           a bundle of results that cannot be read, written or merged
    │   └── StoreUnwritable       the store's folder is read-only or full
    ├── PluginError               something a plugin distribution did
    │   ├── DuplicateComponent    two distributions offer one name
    │   └── ContractBreach        a component broke its contract while it ran; the cell becomes `invalid`
    └── ArtifactError             something the store holds
        ├── ArtifactMissing       no artifact has this key
        └── ArtifactCorrupt       its bytes are not those that were written

Messages read `where: what is wrong: got X, expected Y; nearest: Z`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RetbenchError(Exception):
    """Anything retbench raises on purpose."""


class UserError(RetbenchError):
    """A mistake that the user can mend; shown as one line."""


class UnknownName(UserError):
    """A name that nothing carries.

    Args:
        where: what was being read (`suite.yaml:4:12: matrix.attack`).
        name: the name as written.
        known: every name that would have been right.
    """

    def __init__(self, where: str, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = sorted(known)
        super().__init__(f"{where}: unknown name: got {name!r}, {suggest(name, self.known)}")


class OptionError(UserError):
    """An option of a component that does not exist, or whose value has a wrong type or range.

    Args:
        owner: the component, as `kind name`.
        option: the dotted option.
        problem: what is wrong, as `got X, expected Y`.
    """

    def __init__(self, owner: str, option: str, problem: str) -> None:
        self.owner = owner
        self.option = option
        self.problem = problem
        super().__init__(f"{owner}: {option}: {problem}")


class DocumentError(UserError):
    """A text that is not YAML, or not as retbench reads it; the message starts with `file:line:column`.

    Suites, layouts and ledgers are all read as documents first. What is wrong with their content is a SuiteError, a
    LayoutError or a ClaimError; these are siblings, not subclasses, so that whoever catches one of them to add where a
    file was named leaves the place inside that file alone.
    """


class SuiteError(UserError):
    """A suite whose content is wrong; the message starts with `file:line:column`."""


class LayoutError(UserError):
    """A report layout that names an axis or a metric which the rows do not have."""


class BundleError(UserError):
    """A bundle of results that cannot be read, written or merged; the message names the file and the member."""


class ClaimError(UserError):
    """A ledger of published numbers that names cells or values which cannot be."""


class StoreUnwritable(UserError):
    """The store's folder cannot be written: read-only, full, or not a folder."""


class PluginError(RetbenchError):
    """Something that a plugin distribution did."""


class DuplicateComponent(PluginError, UserError):
    """Two distributions offer a component of one kind and name."""


class ContractBreach(PluginError):
    """A component returned what its contract forbids.

    Args:
        culprit: the component, as `kind name (distribution version)`.
        problem: what it did, as `what is wrong: got X, expected Y`.
    """

    def __init__(self, culprit: str, problem: str) -> None:
        self.culprit = culprit
        self.problem = problem
        super().__init__(f"{culprit}: {problem}")


class ArtifactError(RetbenchError):
    """Something that the store holds, or should hold."""


class ArtifactMissing(ArtifactError):
    """No artifact has this key."""


class ArtifactCorrupt(ArtifactError):
    """The bytes of an artifact are not those that were written."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: `expected one of …; nearest: …`."""
    names = sorted(known)
    if not names:
        return "expected nothing here"
    nearest = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    tail = f"; nearest: {', '.join(nearest)}" if nearest else ""
    return f"expected one of {', '.join(names)}{tail}"
