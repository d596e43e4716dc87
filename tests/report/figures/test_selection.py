"""The selection of lines if a panel would have too many."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from retbench.report.figures.panel_data import Condition, group_rows
from retbench.report.figures.selection import SelectedConditions, select_conditions
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]
UNDEFENDED = {("none", "none"): 0.9, ("p2p", "none"): 0.3, ("dhta", "none"): 0.2, ("prosgan", "none"): 0.4}


def selected(collected: Evidence) -> SelectedConditions:
    (group,) = group_rows(collected, printed_name, swept=False)
    (data,) = group.panels
    return select_conditions(data, list(data.rows))


def cells(defenses: list[str]) -> dict[tuple[str, str], dict[str, object]]:
    found: dict[tuple[str, str], dict[str, object]] = {cell: {"at": at} for cell, at in UNDEFENDED.items()}
    for attack in ("none", "p2p", "dhta", "prosgan"):
        for position, defense in enumerate(defenses):
            found[attack, defense] = {"at": 0.8 - 0.1 * position}
    return found


def test_up_to_eight_lines_are_shown_without_clean_queries_behind_a_defense(evidence: Make) -> None:
    collected = evidence(cells(["retpur"]))
    undefended = [Condition(attack) for attack in ("none", "p2p", "dhta", "prosgan")]
    defended = [Condition(attack, "retpur") for attack in ("p2p", "dhta", "prosgan")]
    assert selected(collected) == ((*undefended, *defended), "")


def test_of_more_lines_the_defenses_under_the_strongest_attack_are_kept(evidence: Make) -> None:
    selection = selected(evidence(cells(["retpur", "ddpm"])))
    assert selection.conditions[4:] == (Condition("dhta", "retpur"), Condition("dhta", "ddpm"))
    assert selection.note == "defenses under DHTA"


@pytest.mark.parametrize(("goal", "strongest"), [("targeted", "prosgan"), ("untargeted", "dhta")])
def test_the_strongest_attack_has_the_highest_t_map_or_if_any_is_untargeted_the_lowest_map(
    evidence: Make, goal: str, strongest: str
) -> None:
    from retbench.metrics import Interval

    collected = cells(["retpur", "ddpm"])
    for attack, t_map in (("p2p", 0.5), ("dhta", 0.6), ("prosgan", 0.7)):
        found = {"map": Interval(*(UNDEFENDED[attack, "none"],) * 3), "t_map": Interval(t_map, t_map, t_map)}
        collected[attack, "none"] |= {"metrics": found}
    collected["p2p", "none"]["budget"] = {"goal": goal}
    assert {condition.attack for condition in selected(evidence(collected)).conditions[4:]} == {strongest}


def test_of_many_defenses_the_best_six_are_kept_in_order(evidence: Make) -> None:
    collected = cells([])
    for position, name in enumerate("abcdefgh"):
        collected["dhta", name] = {"at": 0.1 * position}
    selection = selected(evidence(collected))
    assert [condition.defense for condition in selection.conditions[4:]] == list("cdefgh")
    assert selection.note == "best 6 of 8 defenses under DHTA"
