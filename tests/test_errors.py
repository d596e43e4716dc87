"""The exception tree and the wording of its messages."""

import pytest

from retbench import errors
from retbench.errors import (
    ArtifactError,
    ContractBreach,
    DuplicateComponent,
    OptionError,
    PluginError,
    RetbenchError,
    UnknownName,
    UserError,
    suggest,
)


def drawn_tree() -> dict[str, str]:
    """Return the parent of every exception, as the module's docstring draws it."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if "Error" in line or "──" in line:
            bare = line.lstrip("│├└─ ")
            depth = (len(line) - len(bare) - 4) // 4
            name = bare.split()[0]
            if depth:
                parents[name] = path[depth - 1]
            path[depth:] = [name]
    return parents


def test_the_drawn_tree_is_the_real_one() -> None:
    classes = [thing for thing in vars(errors).values() if isinstance(thing, type) and thing is not RetbenchError]
    assert drawn_tree() == {
        each.__name__: each.__mro__[1].__name__ for each in classes if issubclass(each, RetbenchError)
    }


def test_a_duplicate_is_the_plugins_fault_and_the_users_to_mend() -> None:
    assert issubclass(DuplicateComponent, PluginError)
    assert issubclass(DuplicateComponent, UserError)
    assert not issubclass(ContractBreach, UserError)
    assert not issubclass(ArtifactError, UserError)


def test_an_unknown_name_carries_the_known_ones_and_says_the_nearest() -> None:
    error = UnknownName("suite.yaml:4:12: matrix.attack", "dtha", {"p2p", "dhta"})
    assert error.name == "dtha"
    assert error.known == ["dhta", "p2p"]
    assert str(error) == (
        "suite.yaml:4:12: matrix.attack: unknown name: got 'dtha', expected one of dhta, p2p; nearest: dhta"
    )


def test_an_option_error_carries_its_owner_and_option() -> None:
    error = OptionError("attack toy", "eps", "got 2, expected at most 1")
    assert (error.owner, error.option, error.problem) == ("attack toy", "eps", "got 2, expected at most 1")
    assert str(error) == "attack toy: eps: got 2, expected at most 1"


def test_a_breach_carries_its_culprit() -> None:
    error = ContractBreach("attack toy", "wrong shape: got (2,), expected (3,)")
    assert (error.culprit, error.problem) == ("attack toy", "wrong shape: got (2,), expected (3,)")
    assert str(error) == "attack toy: wrong shape: got (2,), expected (3,)"


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        ("eps", [], "expected nothing here"),
        ("zzz", ["b", "a"], "expected one of a, b"),
        ("step", {"steps", "eps"}, "expected one of eps, steps; nearest: steps, eps"),
    ],
)
def test_a_suggestion_lists_what_would_be_right(name: str, known: list[str], end: str) -> None:
    assert suggest(name, known) == end
