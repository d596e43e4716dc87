"""Goal, ball, parts, files and recipes are checked before anything runs; the error names component and package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from retbench.canon import Json
from retbench.contracts import Ball, Facts, Goal, Part
from retbench.errors import ContractBreach, UserError
from retbench.plan import Plan
from retbench.testing.toys import ToyAttack, ToyBackbone, ToyCached, ToyHasher, ToyPart, ToyPurifier

Planner = Callable[..., Plan]
PACKAGE = r" \(package \w+\): "


class OptionBall(ToyAttack):
    """Has the radius in gray levels, and the norm as an option."""

    name: ClassVar[str] = "option-ball"

    radius: float = 8.0
    norm: str = "linf"
    returned: str = "ball"

    @property
    def ball(self) -> Any:
        if self.returned == "tuple":
            return (self.norm, self.radius)
        if self.returned == "nothing":
            raise KeyError(self.norm)
        return Ball(self.norm, self.radius)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, r"ball: wrong eps: got 8\.0, expected a number in \(0, 1\]; images are in \[0, 1\], so eight gray levels"),
        ({"radius": 0}, r"ball: wrong eps: got 0\.0, expected a number in \(0, 1\]"),
        ({"norm": "Linf"}, "ball: unknown norm: got 'Linf', expected one of l2, linf; nearest: linf"),
        ({"norm": "l2", "radius": 255}, r"ball: wrong eps: got 255, expected at most 20\.78, the largest l2 norm on"),
        ({"returned": "tuple"}, r"ball: wrong type: got \('linf', 8\.0\), expected a Ball, such as"),
        ({"returned": "nothing"}, "ball: it raised KeyError: 'linf'"),
    ],
)
def test_a_wrong_ball_stops_the_plan(toy_plan: Planner, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ContractBreach, match=rf"^attack option-ball{PACKAGE}{problem}"):
        toy_plan({"attack": ["none", "option-ball"]}, OptionBall, components={"attack": {"option-ball": options}})


def test_the_ball_of_a_skipped_cell_is_checked_too(toy_plan: Planner) -> None:
    with pytest.raises(ContractBreach, match="ball: wrong eps"):
        toy_plan({"attack": "option-ball", "task": "t2i"}, OptionBall)


def test_valid_balls_are_planned(toy_plan: Planner) -> None:
    radii = {"option-ball": {"sweep": {"radius": [8 / 255, 1]}}}
    for norm in ("linf", "l2"):
        plan = toy_plan({"attack": radii}, OptionBall, components={"attack": {"option-ball": {"norm": norm}}})
        assert [planned.reason for planned in plan.cells] == [None, None]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("untarget", "got 'untarget', expected one of targeted, untargeted; nearest: untargeted"),
        (None, "got None, expected one of targeted, untargeted"),
        (True, "got True, expected one of targeted, untargeted"),
    ],
)
def test_a_wrong_goal_stops_the_plan(toy_plan: Planner, value: Any, problem: str) -> None:
    class Aimless(ToyAttack):
        name: ClassVar[str] = "aimless"

        @property
        def goal(self) -> Goal:
            return value  # type: ignore[no-any-return]  # the fault

    with pytest.raises(ContractBreach, match=rf"^attack aimless{PACKAGE}goal: unknown goal: {problem}"):
        toy_plan({"attack": "aimless"}, Aimless)


def plan_hasher(toy_plan: Planner, returned: Any, base: type[ToyHasher] = ToyHasher, **members: Any) -> Plan:
    """Return the plan of a hasher whose `parts` returns a value."""
    body = {"__module__": __name__, "name": "made", "parts": lambda self, facts: returned, **members}
    return toy_plan({"hasher": "made"}, type("Made", (base,), body))


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        ([ToyPart()], "parts: got list, expected a dictionary of parts by role"),
        ({"mean/first": ToyPart()}, "parts: wrong role: got 'mean/first', expected a text without slashes"),
        ({1: ToyPart()}, "parts: wrong role: got 1, expected a text"),
        ({"mean": ToyPart}, "parts: got ToyPart for 'mean', expected an object of Part or AttackPart"),
        ({"mean": torch.zeros(1)}, "parts: got Tensor for 'mean', expected an object of Part or AttackPart"),
    ],
)
def test_wrong_parts_stop_the_plan(toy_plan: Planner, returned: Any, problem: str) -> None:
    with pytest.raises(ContractBreach, match=rf"^hasher made{PACKAGE}{problem}"):
        plan_hasher(toy_plan, returned)


def test_the_class_of_a_part_is_checked_like_that_of_a_plugin(toy_plan: Planner) -> None:
    class Nameless(ToyPart):
        name: ClassVar[str] = ""

    class Stateful(ToyPart):
        layers: list[int] = [1]  # noqa: RUF012  # the mutable default is the fault

    with pytest.raises(ContractBreach, match=r"Nameless\.name: got '', expected lower-case words"):
        plan_hasher(toy_plan, {"mean": Nameless()})
    with pytest.raises(ContractBreach, match=r"Stateful\.layers: not the type of an option: got list\[int\]"):
        plan_hasher(toy_plan, {"mean": Stateful.model_construct(layers=(1,))})


def test_two_classes_of_parts_with_one_name_would_share_one_key(toy_plan: Planner) -> None:
    class Namesake(ToyBackbone):
        name: ClassVar[str] = "toy-mean"

    part = Namesake()
    assert part.spec(Facts("toy", (1, 1), (), {})) == ToyPart().spec(Facts("toy", (1, 1), (), {}))
    with pytest.raises(ContractBreach, match="two classes of parts have one name: got 'toy-mean' in "):
        plan_hasher(toy_plan, {"mean": ToyPart(), "other": part})


def test_an_unknown_cached_role_is_an_error_with_the_nearest_one(toy_plan: Planner) -> None:
    with pytest.raises(ContractBreach, match=r"cached must be .*: got 'backbones', expected one of backbone; nearest"):
        plan_hasher(toy_plan, {"backbone": ToyBackbone()}, ToyCached, cached="backbones")
    no_parts: dict[str, Part] = {}
    with pytest.raises(ContractBreach, match=r"cached must be .*: got 'backbone', but none are defined"):
        plan_hasher(toy_plan, no_parts, ToyCached)


class FilePurifier(ToyPurifier):
    """Reads two files."""

    name: ClassVar[str] = "file"

    weights: Path | None = None
    table: Path | None = None
    returned: str = "weights"

    def files(self, facts: Facts) -> dict[str, Path]:
        paths = {"weights": self.weights, "table": self.table}
        return {name: path for name in self.returned.split() if (path := paths.get(name, Path(__file__)))}


def plan_files(toy_plan: Planner, **options: str) -> Plan:
    return toy_plan({"defense": "file"}, FilePurifier, components={"defense": {"file": options}})


def test_every_path_of_an_option_must_be_one_of_the_files(toy_plan: Planner, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"weights")
    path = str(tmp_path / "file")
    plan_files(toy_plan, weights=path)
    plan_files(toy_plan, weights=path, table=path, returned="weights table")
    plan_files(toy_plan, returned="package-data")
    with pytest.raises(ContractBreach, match="files: it must return the path of every option that is one: expected 't"):
        plan_files(toy_plan, weights=path, table=path)
    with pytest.raises(ContractBreach, match=r"files: unknown option: got 'weigths', expected 'weights', or a name"):
        plan_files(toy_plan, returned="weigths")


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: {**spec, "name": "other"},
        lambda spec: {**spec, "revision": 7},
        lambda spec: {**spec, "options": {"strength": 0.0}},
        lambda spec: {**spec, "options": {"strength": 0.5, "more": 1}},
        lambda spec: {**spec, "options": None},
        lambda spec: {**spec, "date": "today"},
    ],
)
def test_a_recipe_may_only_leave_out_options(toy_plan: Planner, change: Callable[[dict[str, Json]], Any]) -> None:
    class Rewritten(ToyPurifier):
        name: ClassVar[str] = "rewritten"

        def spec(self, facts: Facts) -> dict[str, Json]:
            return change(super().spec(facts))  # type: ignore[no-any-return]  # the fault

    class Shortened(ToyPurifier):
        name: ClassVar[str] = "shortened"

        def spec(self, facts: Facts) -> dict[str, Json]:
            return {**super().spec(facts), "options": {}}

    toy_plan({"defense": "shortened"}, Shortened)
    with pytest.raises(ContractBreach, match=rf"^defense rewritten{PACKAGE}spec: it may leave out options"):
        toy_plan({"defense": "rewritten"}, Rewritten)


def test_state_on_a_component_stops_the_plan(toy_plan: Planner) -> None:
    class Keeping(ToyPurifier):
        name: ClassVar[str] = "keeping"

        def caveats(self, facts: Facts) -> tuple[str, ...]:
            return ()

        def supports(self, facts: Facts) -> str | None:
            vars(self)["seen"] = facts
            return None

    with pytest.raises(ContractBreach, match=rf"^defense keeping{PACKAGE}seen: got state that is no option"):
        toy_plan({"defense": "keeping"}, Keeping)


def test_a_missing_file_of_an_option_is_one_line(toy_plan: Planner) -> None:
    with pytest.raises(UserError, match=r"^defense file: /nowhere/weights.pt: No such file or directory$"):
        plan_files(toy_plan, weights="/nowhere/weights.pt")


@pytest.mark.parametrize("method", ["parts", "files", "supports", "caveats", "details", "downloads"])
def test_a_method_that_raises_is_a_breach(toy_plan: Planner, method: str) -> None:
    def fail(self: Any, facts: Any) -> Any:
        raise KeyError("backbone")

    fail.__name__ = method
    with pytest.raises(ContractBreach, match=rf"^hasher made .*: {method}: it raised KeyError: 'backbone'$"):
        plan_hasher(toy_plan, {}, **{method: fail})
