"""Which rows stand in which picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from retbench.report.figures.setting import Condition, Setting, group_rows
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]


def only(made: Evidence, *, swept: bool = False) -> Setting:
    (group,) = group_rows(made, printed_name, swept=swept)
    (setting,) = group.settings
    return setting


def test_rows_that_are_not_done_or_attack_another_hasher_are_left_out(evidence: Make) -> None:
    made = evidence(
        {
            ("none", "none"): {},
            ("dhta", "none"): {"status": "missing"},
            ("p2p", "none"): {"surrogate": "dph"},
            ("hag", "none"): {"key": ""},
        }
    )
    assert list(only(made).rows) == [Condition()]


def test_rows_of_swept_options_are_there_only_where_they_are_asked_for(evidence: Make) -> None:
    made = evidence({("none", "none"): {}, ("none", "retpur"): {"variant": "t_p=5"}})
    assert list(only(made).rows) == [Condition()]
    assert list(only(made, swept=True).rows) == [Condition(), Condition("none", "retpur", "t_p=5")]


def test_datasets_and_hashers_are_panels_and_tasks_bits_and_threats_pictures(evidence: Make) -> None:
    made = evidence(
        {
            ("none", "none"): {},
            ("none", "none#2"): {"hasher": "csq"},
            ("none", "none#3"): {"bits": 64},
            ("none", "none#4"): {"task": "i2t", "bits": 64},
        }
    )
    groups = group_rows(made, printed_name, swept=False)
    assert [group.stem for group in groups] == ["i2i-32", "i2i-64", "i2t-64"]
    assert groups[0].words == ("image to image", "32 bits")
    assert [[setting.title for setting in group.settings] for group in groups] == [
        ["digits, DPSH", "digits, CSQ"],
        ["digits, DPSH"],
        ["digits, DPSH"],
    ]


def test_a_row_without_a_defense_stands_under_every_threat(evidence: Make) -> None:
    made = evidence(
        {
            ("none", "none"): {},
            ("dhta", "none"): {},
            ("dhta", "retpur"): {"at": 0.8},
            ("dhta", "retpur#2"): {"at": 0.6, "threat": "adaptive"},
        }
    )
    groups = group_rows(made, printed_name, swept=False)
    assert [group.stem for group in groups] == ["oblivious", "adaptive"]
    shown = [group.settings[0].rows for group in groups]
    assert [list(rows) for rows in shown] == [[Condition(), Condition("dhta"), Condition("dhta", "retpur")]] * 2
    assert [rows[Condition("dhta", "retpur")].threat for rows in shown] == ["oblivious", "adaptive"]


def test_seeds_are_pooled(evidence: Make) -> None:
    made = evidence({("none", "none"): {"at": 0.2}, ("none", "none#2"): {"at": 0.6, "seed": 1}})
    setting = only(made)
    sample = setting.sample(Condition(), "map")
    assert sample is not None
    both = torch.stack([made.scores("key0")["map"], made.scores("key1")["map"]])
    assert torch.equal(sample.values, both)
    assert setting.interval(Condition(), sample).value == pytest.approx(100 * float(both.mean()))


def test_swept_options_are_compared_with_rows_of_the_same_ones_or_of_none(evidence: Make) -> None:
    made = evidence({("none", "none"): {}, ("dhta", "none"): {"variant": "eps=4"}})
    setting = only(made, swept=True)
    swept = Condition("dhta", "retpur", "eps=4")
    assert setting.beside(swept, defense="none") == Condition("dhta", "none", "eps=4")
    assert setting.beside(swept, defense="none", attack="none") == Condition()


def test_swept_options_are_told_behind_the_defense_or_else_the_attack(evidence: Make) -> None:
    setting = only(evidence({("none", "none"): {}}))
    assert setting.printed(Condition("dhta", "retpur", "t_p=5")) == ("DHTA", "RetPur t_p=5")
    assert setting.printed(Condition("dhta", "none", "eps=4")) == ("DHTA eps=4", "")
    assert setting.printed(Condition()) == ("", "")
