"""Check what the components of a cell declare by methods and properties, before anything runs.

Class attributes are checked when a plugin is loaded. Goal, ball, parts and files depend on the options and on the facts
of a cell, so they are checked here. A breach stops the plan: the plugin needs a change, whichever cells are run.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from retbench.canon import Json
from retbench.contracts import Attack, AttackPart, Ball, Component, Facts, Goal, Hasher, Part
from retbench.contracts.definition import definition_problem, option_values_problem
from retbench.contracts.tensors import contract_breach
from retbench.errors import ContractBreach, UserError, suggest
from retbench.plan.caching import cached_method

T = TypeVar("T")


class DeclarationCheck:
    """Checks the declarations of components, each once; every method raises ContractBreach at the first wrong one."""

    def __init__(self) -> None:
        self._part_classes: dict[tuple[str, str], type[Component]] = {}

    @cached_method
    def check_threat(self, attack: Attack) -> None:
        """Check goal and ball of an attack, which rows of skipped cells show too."""
        goal, ball = _read(attack, "goal"), _read(attack, "ball")
        if type(goal) is not str or goal not in get_args(Goal):
            raise contract_breach(attack, f"goal: unknown goal: got {goal!r}, {suggest(str(goal), get_args(Goal))}")
        if ball is not None and type(ball) is not Ball:
            expected = 'a Ball, such as Ball("linf", 8 / 255), or None'
            raise contract_breach(attack, f"ball: wrong type: got {ball!r}, expected {expected}")

    @cached_method
    def check(self, component: Component, facts: Facts) -> None:
        """Check options, recipe and files of a component, its parts, and the budget of an attack on these images.

        Raises:
            UserError: a file that an option names cannot be read.
        """
        try:
            self._check(component, facts)
        except OSError as error:
            problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise UserError(f"{component}: {problem}") from error

    def _check(self, component: Component, facts: Facts) -> None:
        parts = parts_of(component, facts)
        for piece in (component, *parts.values()):
            if problem := option_values_problem(piece) or _spec_problem(piece, facts):
                raise contract_breach(piece, problem)
        for part in parts.values():
            self._check_part(part)
        problem = None
        if isinstance(component, Attack):
            problem = component.ball.size_problem(facts.image_size) if component.ball else None
        if isinstance(component, Hasher):
            problem = _cached_problem(component, parts)
        if problem:
            raise contract_breach(component, problem)

    def _check_part(self, part: Component) -> None:
        """Check the class of a part, which no catalog has loaded, and that no other class has its name."""
        if problem := definition_problem(type(part)):
            raise contract_breach(part, problem)
        other = self._part_classes.setdefault((part.name, part.code), type(part))
        if other is not type(part):
            packages = " and ".join(sorted({other.__module__, type(part).__module__}))
            raise contract_breach(
                part, f"two classes of parts have one name: got {part.name!r} in {packages}, expected two names"
            )


def call_declared(component: Component, method: Callable[[Facts], T], facts: Facts) -> T:
    """Return what a component declares by a method.

    Raises:
        ContractBreach: the method raised an exception that is no message to the user.
    """
    try:
        return method(facts)
    except (ContractBreach, UserError):
        raise
    except Exception as error:  # a plugin's code may raise anything
        problem = f"{method.__name__}: it raised {type(error).__name__}: {error}"
        raise contract_breach(component, problem) from error


def parts_of(component: Component, facts: Facts) -> Mapping[str, Component]:
    """Return the parts of a component by role.

    Raises:
        ContractBreach: `parts` does not return parts by role.
    """
    parts: object = call_declared(component, component.parts, facts)
    if not isinstance(parts, Mapping):
        raise contract_breach(component, f"parts: got {type(parts).__name__}, expected a dictionary of parts by role")
    for role, part in parts.items():
        if not isinstance(role, str) or not role or "/" in role:
            raise contract_breach(component, f"parts: wrong role: got {role!r}, expected a text without slashes")
        if not isinstance(part, Part | AttackPart):
            got = part.__name__ if isinstance(part, type) else type(part).__name__
            raise contract_breach(component, f"parts: got {got} for {role!r}, expected an object of Part or AttackPart")
    return parts


def _read(attack: Attack, name: str) -> Any:
    """Return a property of an attack.

    Raises:
        ContractBreach: the property raises an exception.
    """
    try:
        return getattr(attack, name)
    except Exception as error:  # a plugin's code may raise anything
        text = str(error)
        problem = text if text.startswith(f"{name}: ") else f"{name}: it raised {type(error).__name__}: {text}"
        raise contract_breach(attack, problem) from error


def _cached_problem(hasher: Hasher, parts: Mapping[str, Component]) -> str | None:
    """Return why the `cached` role of a hasher is not the role of one of its parts, or None."""
    roles = [role for role, part in parts.items() if isinstance(part, Part)]
    if hasher.cached is None or hasher.cached in roles:
        return None
    return f"cached must be the role of a part: got {hasher.cached!r}, {suggest(hasher.cached, roles)}"


def _spec_problem(component: Component, facts: Facts) -> str | None:
    """Return why a recipe would not record a component completely, or None."""
    files, options = call_declared(component, component.files, facts), component.options_json()
    for name in sorted(files.keys() - options.keys()):  # a file of the package itself, which no option names
        if similar := difflib.get_close_matches(name, sorted(options.keys() - files.keys()), n=1, cutoff=0.75):
            return f"files: unknown option: got {name!r}, expected {similar[0]!r}, or a name unlike any option"
    paths = [name for name in options if isinstance(getattr(component, name), Path)]
    if left := sorted(paths - files.keys()):
        return f"files: it must return the path of every option that is one: expected {left[0]!r}"
    spec, complete = component.spec(facts), Component.spec(component, facts)
    kept, every = _pop_options(spec), _pop_options(complete)
    if spec != complete or any(every.get(name, ...) != value for name, value in kept.items()):
        return "spec: it may leave out options that do not affect outputs, and must not change anything else"
    return None


def _pop_options(spec: dict[str, Json]) -> dict[str, Json]:
    options = spec.pop("options", None)
    return dict(options) if isinstance(options, Mapping) else {"options": options}
