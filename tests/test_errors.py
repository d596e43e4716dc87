"""The exception tree and the wording of its messages."""

import doctest

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


def documented_tree() -> dict[str, str]:
    """Return the parent of every exception, as drawn in the module's docstring."""
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


def test_the_documented_tree_matches_the_classes() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and value is not RetbenchError]
    assert documented_tree() == {
        error.__name__: error.__mro__[1].__name__ for error in classes if issubclass(error, RetbenchError)
    }


def test_a_duplicate_component_is_a_plugin_error_and_a_user_error() -> None:
    assert issubclass(DuplicateComponent, PluginError)
    assert issubclass(DuplicateComponent, UserError)
    assert not issubclass(ContractBreach, UserError)
    assert not issubclass(ArtifactError, UserError)


def test_an_unknown_name_holds_all_choices_and_its_message_the_nearest() -> None:
    error = UnknownName("suite.yaml:4:12: matrix.attack", "dtha", {"p2p", "dhta"})
    assert error.name == "dtha"
    assert error.choices == ["dhta", "p2p"]
    assert str(error) == (
        "suite.yaml:4:12: matrix.attack: unknown name: got 'dtha', expected one of dhta, p2p; nearest: dhta"
    )


def test_an_option_error_holds_its_component_and_option() -> None:
    error = OptionError("attack toy", "eps", "got 2, expected at most 1")
    assert (error.component, error.option, error.problem) == ("attack toy", "eps", "got 2, expected at most 1")
    assert str(error) == "attack toy: eps: got 2, expected at most 1"


def test_a_contract_breach_holds_its_culprit() -> None:
    error = ContractBreach("attack toy", "wrong shape: got (2,), expected (3,)")
    assert (error.culprit, error.problem) == ("attack toy", "wrong shape: got (2,), expected (3,)")
    assert str(error) == "attack toy: wrong shape: got (2,), expected (3,)"


@pytest.mark.parametrize(
    ("name", "choices", "message"),
    [
        ("eps", [], "but none are defined"),
        ("zzz", ["b", "a"], "expected one of a, b"),
        ("step", {"steps", "eps"}, "expected one of eps, steps; nearest: steps, eps"),
    ],
)
def test_a_suggestion_lists_the_valid_names(name: str, choices: list[str], message: str) -> None:
    assert suggest(name, choices) == message


def test_a_suggestion_from_many_names_refers_to_the_command_that_lists_them() -> None:
    names = ["alpha", "beta", "betas", "bet", "best"]
    assert suggest("beta1", names, "show all") == "expected one of 5 names, see `show all`; nearest: beta, betas, bet"
    assert suggest("zzz", names, "show all") == "expected one of 5 names, see `show all`"
    assert str(UnknownName("show", "zzz", names, "show all")).endswith(
        "got 'zzz', expected one of 5 names, see `show all`"
    )


def test_the_examples_give_the_documented_results() -> None:
    assert doctest.testmod(errors).failed == 0
