"""Which lines stay where there are too many."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from retbench.report.figures.choice import Choice, choose
from retbench.report.figures.setting import Condition, group_rows
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]
BARE = {("none", "none"): 0.9, ("p2p", "none"): 0.3, ("dhta", "none"): 0.2, ("prosgan", "none"): 0.4}


def chosen(made: Evidence) -> Choice:
    (group,) = group_rows(made, printed_name, swept=False)
    (setting,) = group.settings
    return choose(setting, list(setting.rows))


def cells(defenses: list[str]) -> dict[tuple[str, str], dict[str, object]]:
    found: dict[tuple[str, str], dict[str, object]] = {cell: {"at": at} for cell, at in BARE.items()}
    for attack in ("none", "p2p", "dhta", "prosgan"):
        for place, defense in enumerate(defenses):
            found[attack, defense] = {"at": 0.8 - 0.1 * place}
    return found


def test_eight_lines_are_all_shown_but_for_clean_queries_behind_a_defense(evidence: Make) -> None:
    made = evidence(cells(["retpur"]))
    bare = [Condition(attack) for attack in ("none", "p2p", "dhta", "prosgan")]
    defended = [Condition(attack, "retpur") for attack in ("p2p", "dhta", "prosgan")]
    assert chosen(made) == ((*bare, *defended), "")


def test_of_more_lines_the_defenses_under_the_strongest_attack_stay(evidence: Make) -> None:
    choice = chosen(evidence(cells(["retpur", "ddpm"])))
    assert choice.conditions[4:] == (Condition("dhta", "retpur"), Condition("dhta", "ddpm"))
    assert choice.note == "defenses under DHTA"


@pytest.mark.parametrize(("goal", "strongest"), [("targeted", "prosgan"), ("untargeted", "dhta")])
def test_strength_is_t_map_where_all_are_targeted_and_else_the_lowest_map(
    evidence: Make, goal: str, strongest: str
) -> None:
    from retbench.metrics import Interval

    made = cells(["retpur", "ddpm"])
    for attack, t_map in (("p2p", 0.5), ("dhta", 0.6), ("prosgan", 0.7)):
        found = {"map": Interval(*(BARE[attack, "none"],) * 3), "t_map": Interval(t_map, t_map, t_map)}
        made[attack, "none"] |= {"metrics": found}
    made["p2p", "none"]["budget"] = {"goal": goal}
    assert {condition.attack for condition in chosen(evidence(made)).conditions[4:]} == {strongest}


def test_of_many_defenses_the_best_six_stay_in_their_order(evidence: Make) -> None:
    made = cells([])
    for place, name in enumerate("abcdefgh"):
        made["dhta", name] = {"at": 0.1 * place}
    choice = chosen(evidence(made))
    assert [condition.defense for condition in choice.conditions[4:]] == list("cdefgh")
    assert choice.note == "best 6 of 8 defenses under DHTA"
