"""Measured beside published: rows made by hand for each verdict."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retbench.document import parse_document
from retbench.metrics import Interval
from retbench.report.published.claims import Ledger, ledger_of, read_claims
from retbench.report.published.verdict import condition_name, judge
from retbench.report.tables.table import Judge, Judgment
from retbench.results import Row

LEDGER = """\
claims: mine
paper: Mine
title: My paper
authors: me
source: my drawer
cells: {hasher: dpsh, bits: 32, task: i2i}
conditions:
  - values:
      options.hasher.backbone: vgg11
      data.database: 23300
      data.image_size: [224, 224]
      protocol.map: null
      protocol.ties: null
  - when: {attack: p2p}
    values:
      budget.eps: null
      options.attack.steps: 500
      options.attack.learning_rate: 1e-4
      options.attack.random_start: false
tables:
  - table: 1
    title: Attacked
    across: [dataset]
    columns: [[nuswide], [flickr25k]]
    rows:
      - {metric: map, printed: original, values: [73.06, 81.06]}
      - {metric: map, attack: p2p, printed: P2P, values: [61.97, 65.81]}
      - {metric: map, attack: p2p, defense: retpur, printed: RetPur, values: [72.62, 80.17]}
      - {metric: map, attack: p2p, defense: retpur, variant: t_p=5, printed: RetPur, values: [70.00, 79.00]}
  - table: 7
    title: Clean
    across: [dataset]
    columns: [[flickr25k]]
    rows:
      - {metric: map, printed: original, values: [81.06]}
      - {metric: t_map, printed: original, values: [73.67]}
      - {metric: t_map, attack: p2p, printed: P2P, values: [82.04]}
  - table: 8
    title: Clean once more
    across: [dataset]
    columns: [[flickr25k]]
    rows:
      - {metric: t_map, printed: original, values: [70.00]}
notes:
  - {cells: {attack: p2p, defense: none, dataset: flickr25k}, text: it looks odd}
"""


@cache
def read_mine() -> Ledger:
    return ledger_of(parse_document(LEDGER, "mine.yaml"))


@pytest.fixture
def ledger() -> Ledger:
    return read_mine()


def row_of(**changes: Any) -> Row:
    """Make the row that the ledger's conditions describe, with changes."""
    axes = {"dataset": "flickr25k", "hasher": "dpsh", "bits": 32, "task": "i2i", "attack": "none", "defense": "none"}
    fixed = {"surrogate": "none", "threat": "oblivious", "seed": 0, "variant": "", "status": "done"}
    record: dict[str, Any] = {
        "protocol": {"map": "full", "ties": "stable"},
        "options": {
            "hasher": {"backbone": "vgg11"},
            "attack": {"steps": 500, "learning_rate": 1e-4, "random_start": False},
        },
        "data": {"database": 23300, "image_size": [224, 224]},
        "budget": {"eps": 8 / 255},
    }
    return Row(**{**axes, **fixed, **record, **changes})


def judged(ledger: Ledger, value: float, metric: str = "map", spread: float = 1.0, **changes: Any) -> Judgment:
    """Judges a value in percent with an interval of `spread` points to either side."""
    interval = Interval(value / 100, (value - spread) / 100, (value + spread) / 100)
    judgment = judge(row_of(**changes), metric, interval, ledger)
    assert judgment is not None
    return judgment


OPEN = "compared as far as Mine says; not stated: MAP rule, order of ties"


def test_a_published_number_inside_the_interval_agrees(ledger: Ledger) -> None:
    published, notes = judged(ledger, 80.5)
    assert (published.values, published.verdict) == ((81.06,), "agrees")
    assert published.difference == pytest.approx(80.5 - 81.06)
    assert published.source == "Mine, Tables 1 and 7"
    assert notes == (OPEN,)


def test_a_published_number_outside_the_interval_differs(ledger: Ledger) -> None:
    published, notes = judged(ledger, 79.5)
    assert published.verdict == "differs"
    assert published.difference == pytest.approx(79.5 - 81.06)
    assert notes == (OPEN,)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(81.06 - 1.0049, "agrees"), (81.06 - 1.0051, "differs"), (81.06 + 1.0049, "agrees"), (81.06 + 1.0051, "differs")],
)
def test_the_interval_is_widened_by_half_a_unit_of_the_last_printed_digit(
    ledger: Ledger, value: float, verdict: str
) -> None:
    assert judged(ledger, value).published.verdict == verdict


def test_the_last_printed_digit_is_that_of_the_paper(ledger: Ledger) -> None:
    assert judged(ledger, 82.5).published.verdict == "differs"
    assert judged(replace(ledger, decimals=0), 82.5).published.verdict == "agrees"
    assert judged(replace(ledger, decimals=0), 82.6).published.verdict == "differs"


@given(st.floats(0, 100), st.floats(0, 50))
def test_agreement_and_difference_follow_from_the_bounds(value: float, spread: float) -> None:
    published, _ = judged(read_mine(), value, spread=spread)
    assert published.difference == pytest.approx(value - 81.06, abs=1e-9)
    distance = abs(value - 81.06) - spread - 0.005
    if abs(distance) > 1e-9:
        assert published.verdict == ("agrees" if distance < 0 else "differs")


def test_a_fact_that_differs_makes_the_two_not_comparable(ledger: Ledger) -> None:
    published, notes = judged(ledger, 81.06, options={"hasher": {"backbone": "conv"}})
    assert (published.values, published.difference, published.verdict) == ((81.06,), None, "not comparable")
    assert notes == ("not comparable because backbone differs: conv, published vgg11",)


def test_all_facts_that_differ_are_named(ledger: Ledger) -> None:
    changes = {"options": {"hasher": {"backbone": "conv"}}, "data": {"database": 500, "image_size": [32, 32]}}
    assert judged(ledger, 81.06, **changes).notes == (
        "not comparable because backbone differs: conv, published vgg11; database size differs: 500, published 23300; "
        "image size differs: 32 x 32, published 224 x 224",
    )


@pytest.mark.parametrize("options", [{}, {"hasher": {}}, {"hasher": "dpsh"}])
def test_a_fact_that_a_row_does_not_record_counts_as_another(ledger: Ledger, options: dict[str, Any]) -> None:
    published, notes = judged(ledger, 81.06, options=options)
    assert published.verdict == "not comparable"
    assert notes == ("not comparable because backbone differs: not recorded, published vgg11",)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("steps", 500.0, ""),
        ("steps", 60, "number of attack steps differs: 60, published 500"),
        ("steps", None, "number of attack steps differs: none, published 500"),
        ("learning_rate", 1e-4 * (1 + 1e-7), ""),
        ("learning_rate", 1.001e-4, "learning rate of the attack differs: 0.0001001, published 0.0001"),
        ("random_start", True, "random start differs: yes, published no"),
        ("random_start", 0, ""),
    ],
)
def test_numbers_are_compared_as_numbers(ledger: Ledger, option: str, value: object, told: str) -> None:
    attack = {"steps": 500, "learning_rate": 1e-4, "random_start": False, option: value}
    changes = {"options": {"hasher": {"backbone": "vgg11"}, "attack": attack}, "attack": "p2p"}
    published, notes = judged(ledger, 65.81, **changes)
    assert published.verdict == ("not comparable" if told else "agrees")
    assert notes[0] == (f"not comparable because {told}" if told else f"{OPEN}, perturbation budget")


def test_what_is_odd_about_a_number_is_said_whatever_the_verdict(ledger: Ledger) -> None:
    assert judged(ledger, 65.81, attack="p2p").notes[1:] == ("Mine: it looks odd",)
    assert judged(ledger, 50.0, attack="p2p").notes[1:] == ("Mine: it looks odd",)
    assert judged(ledger, 65.81, attack="p2p", data={}).notes[1:] == ("Mine: it looks odd",)


def test_nothing_measured_is_not_comparable(ledger: Ledger) -> None:
    published, notes = judged(ledger, float("nan"))
    assert (published.values, published.difference, published.verdict) == ((81.06,), None, "not comparable")
    assert notes == ("not comparable because nothing was measured",)


def test_on_another_data_set_all_published_numbers_stand_in_ascending_order(ledger: Ledger) -> None:
    published, notes = judged(ledger, 97.0, dataset="digits", options={}, data={})
    assert (published.values, published.difference, published.verdict) == ((73.06, 81.06), None, "not comparable")
    assert notes == ("dataset differs: measured on digits, published on NUS-WIDE, FLICKR-25K",)


def test_equal_reasons_have_equal_texts(ledger: Ledger) -> None:
    clean = judged(ledger, 97.0, dataset="digits").notes
    assert judged(ledger, 60.0, dataset="digits", attack="p2p", defense="retpur").notes == clean
    other = {"options": {"hasher": {"backbone": "conv"}}}
    assert judged(ledger, 1.0, **other).notes == judged(ledger, 90.0, "t_map", **other).notes


def test_of_two_published_values_the_nearest_is_judged(ledger: Ledger) -> None:
    published, _ = judged(ledger, 70.5, "t_map")
    assert (published.values, published.verdict, published.source) == ((70.0, 73.67), "agrees", "Mine, Tables 7 and 8")
    assert published.difference == pytest.approx(0.5)


def test_a_swept_cell_has_the_number_of_its_own_variant(ledger: Ledger) -> None:
    attacked = {"attack": "p2p", "defense": "retpur"}
    assert judged(ledger, 79.0, **attacked).published.values == (80.17,)
    assert judged(ledger, 79.0, **attacked, variant="t_p=5").published.values == (79.0,)


@pytest.mark.parametrize(
    "changes",
    [
        {"bits": 16},
        {"hasher": "dph"},
        {"task": "i2t"},
        {"attack": "dhta"},
        {"defense": "ddpm"},
        {"attack": "p2p", "surrogate": "dph"},
        {"attack": "p2p", "defense": "retpur", "threat": "adaptive"},
        {"attack": "p2p", "defense": "retpur", "variant": "t_p=90"},
        {"bits": 16, "dataset": "digits"},
    ],
)
def test_a_cell_that_the_paper_does_not_have_has_no_judgment(ledger: Ledger, changes: dict[str, Any]) -> None:
    assert judge(row_of(**changes), "map", Interval(0.5, 0.4, 0.6), ledger) is None


def test_a_metric_that_the_paper_does_not_have_has_no_judgment(ledger: Ledger) -> None:
    assert judge(row_of(), "perceptibility", Interval(0.5, 0.4, 0.6), ledger) is None


def test_a_seed_is_no_part_of_a_published_cell(ledger: Ledger) -> None:
    assert judged(ledger, 81.06, seed=7) == judged(ledger, 81.06)


def test_a_number_without_an_interval_is_not_comparable(ledger: Ledger) -> None:
    found = judge(row_of(), "map", Interval(0.8106, math.nan, math.nan), ledger)
    assert found is not None
    assert found.published.verdict == "not comparable"
    assert found.notes[0] == "not comparable because nothing is known of its uncertainty"


def test_a_judge_is_the_function_with_its_ledger(ledger: Ledger) -> None:
    asked: Judge = partial(judge, ledger=ledger)
    assert asked(row_of(), "map", Interval(0.8106, 0.8, 0.82)) == judged(ledger, 81.06)


def test_a_claim_without_open_facts_has_no_remark_on_them(ledger: Ledger) -> None:
    stated = replace(
        ledger, claims=tuple(replace(claim, conditions={"data.database": 23300}) for claim in ledger.claims)
    )
    assert judged(stated, 81.06).notes == ()


def test_a_run_like_the_papers_is_compared_with_retpur() -> None:
    data = {"train": 5000, "query": 1700, "database": 23300, "classes": 38, "image_size": [224, 224]}
    row = row_of(data=data)
    every, some = ({**row.protocol, "ranked_queries": count} for count in (1700, 60))
    sampled = judge(replace(row, protocol=some), "map", Interval(0.8, 0.79, 0.815), read_claims("retpur", Path()))
    assert sampled is not None
    assert sampled.notes[0] == "not comparable because number of queries ranked differs: 60, published 1700"
    judgment = judge(replace(row, protocol=every), "map", Interval(0.8, 0.79, 0.815), read_claims("retpur", Path()))
    assert judgment is not None
    assert (judgment.published.values, judgment.published.verdict) == ((81.06,), "agrees")
    assert judgment.published.source == "RetPur, Tables 1 and 7"
    assert judgment.notes == ("compared as far as RetPur says; not stated: MAP rule, order of ties, image size",)


def test_embedded_data_sets_have_retpurs_numbers_beside_them() -> None:
    judgment = judge(row_of(dataset="scenes"), "map", Interval(0.8, 0.79, 0.815), read_claims("retpur", Path()))
    assert judgment is not None
    assert (judgment.published.values, judgment.published.difference) == ((63.69, 73.06, 81.06), None)
    assert judgment.notes == ("dataset differs: measured on scenes, published on FLICKR-25K, MS-COCO, NUS-WIDE",)


def test_a_full_map_is_not_compared_with_saats() -> None:
    row = row_of(hasher="dph", options={"hasher": {"backbone": "alexnet"}})
    row = replace(row, protocol={**row.protocol, "depth": None})
    judgment = judge(row, "map", Interval(0.8, 0.79, 0.815), read_claims("saat", Path()))
    assert judgment is not None
    assert judgment.published.verdict == "not comparable"
    assert judgment.notes[0] == (
        "not comparable because MAP rule differs: full, published top-k; depth of MAP differs: none, published 5000"
    )


def test_a_fact_without_a_name_is_called_by_its_path() -> None:
    assert condition_name("options.hasher.backbone") == "backbone"
    assert condition_name("options.attack.random_start") == "random start"
