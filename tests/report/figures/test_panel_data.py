"""The rows of each figure and panel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from retbench.report.figures.panel_data import Condition, PanelData, group_rows
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]


def single_panel(collected: Evidence, *, swept: bool = False) -> PanelData:
    (group,) = group_rows(collected, printed_name, swept=swept)
    (data,) = group.panels
    return data


def test_unfinished_rows_and_attacks_on_another_hasher_are_left_out(evidence: Make) -> None:
    collected = evidence(
        {
            ("none", "none"): {},
            ("dhta", "none"): {"status": "missing"},
            ("p2p", "none"): {"surrogate": "dph"},
            ("hag", "none"): {"key": ""},
        }
    )
    assert list(single_panel(collected).rows) == [Condition()]


def test_rows_with_swept_options_are_included_on_request(evidence: Make) -> None:
    collected = evidence({("none", "none"): {}, ("none", "retpur"): {"variant": "t_p=5"}})
    assert list(single_panel(collected).rows) == [Condition()]
    assert list(single_panel(collected, swept=True).rows) == [Condition(), Condition("none", "retpur", "t_p=5")]


def test_datasets_and_hashers_are_panels_and_tasks_bits_and_threats_are_figures(evidence: Make) -> None:
    collected = evidence(
        {
            ("none", "none"): {},
            ("none", "none#2"): {"hasher": "csq"},
            ("none", "none#3"): {"bits": 64},
            ("none", "none#4"): {"task": "i2t", "bits": 64},
        }
    )
    groups = group_rows(collected, printed_name, swept=False)
    assert [group.stem for group in groups] == ["i2i-32", "i2i-64", "i2t-64"]
    assert groups[0].title_parts == ("image to image", "32 bits")
    assert [[data.title for data in group.panels] for group in groups] == [
        ["digits, DPSH", "digits, CSQ"],
        ["digits, DPSH"],
        ["digits, DPSH"],
    ]


def test_a_row_without_a_defense_belongs_to_every_threat(evidence: Make) -> None:
    collected = evidence(
        {
            ("none", "none"): {},
            ("dhta", "none"): {},
            ("dhta", "retpur"): {"at": 0.8},
            ("dhta", "retpur#2"): {"at": 0.6, "threat": "adaptive"},
        }
    )
    groups = group_rows(collected, printed_name, swept=False)
    assert [group.stem for group in groups] == ["oblivious", "adaptive"]
    shown = [group.panels[0].rows for group in groups]
    assert [list(rows) for rows in shown] == [[Condition(), Condition("dhta"), Condition("dhta", "retpur")]] * 2
    assert [rows[Condition("dhta", "retpur")].threat for rows in shown] == ["oblivious", "adaptive"]


def test_seeds_are_pooled(evidence: Make) -> None:
    collected = evidence({("none", "none"): {"at": 0.2}, ("none", "none#2"): {"at": 0.6, "seed": 1}})
    data = single_panel(collected)
    sample = data.sample(Condition(), "map")
    assert sample is not None
    both = torch.stack([collected.scores("key0")["map"], collected.scores("key1")["map"]])
    assert torch.equal(sample.values, both)
    assert data.interval(Condition(), sample).value == pytest.approx(100 * float(both.mean()))


def test_the_baseline_has_the_same_swept_options_or_none(evidence: Make) -> None:
    collected = evidence({("none", "none"): {}, ("dhta", "none"): {"variant": "eps=4"}})
    data = single_panel(collected, swept=True)
    swept = Condition("dhta", "retpur", "eps=4")
    assert data.baseline(swept, defense="none") == Condition("dhta", "none", "eps=4")
    assert data.baseline(swept, defense="none", attack="none") == Condition()


def test_swept_options_are_printed_after_the_defense_or_the_attack(evidence: Make) -> None:
    data = single_panel(evidence({("none", "none"): {}}))
    assert data.printed_names(Condition("dhta", "retpur", "t_p=5")) == ("DHTA", "RetPur t_p=5")
    assert data.printed_names(Condition("dhta", "none", "eps=4")) == ("DHTA eps=4", "")
    assert data.printed_names(Condition()) == ("", "")
