"""Comparison of measured with published numbers: hand-made rows for each verdict."""

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
from retbench.report.published.verdict import compare_published, condition_name
from retbench.report.tables.table import PublishedComparator, PublishedComparison
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
    """Make a row that satisfies the ledger's conditions, with changes."""
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


def compare(
    ledger: Ledger, value: float, metric: str = "map", spread: float = 1.0, **changes: Any
) -> PublishedComparison:
    """Compare a value in percent, with an interval of `spread` points on either side, with the published one."""
    interval = Interval(value / 100, (value - spread) / 100, (value + spread) / 100)
    comparison = compare_published(row_of(**changes), metric, interval, ledger)
    assert comparison is not None
    return comparison


UNSTATED = "compared on the stated conditions; Mine does not state: MAP rule, tie-breaking"


def test_a_published_number_inside_the_interval_agrees(ledger: Ledger) -> None:
    published, notes = compare(ledger, 80.5)
    assert (published.values, published.verdict) == ((81.06,), "agrees")
    assert published.difference == pytest.approx(80.5 - 81.06)
    assert published.source == "Mine, Tables 1 and 7"
    assert notes == (UNSTATED,)


def test_a_published_number_outside_the_interval_differs(ledger: Ledger) -> None:
    published, notes = compare(ledger, 79.5)
    assert published.verdict == "differs"
    assert published.difference == pytest.approx(79.5 - 81.06)
    assert notes == (UNSTATED,)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(81.06 - 1.0049, "agrees"), (81.06 - 1.0051, "differs"), (81.06 + 1.0049, "agrees"), (81.06 + 1.0051, "differs")],
)
def test_the_interval_is_widened_by_half_a_unit_of_the_last_printed_digit(
    ledger: Ledger, value: float, verdict: str
) -> None:
    assert compare(ledger, value).published.verdict == verdict


def test_the_last_printed_digit_is_that_of_the_paper(ledger: Ledger) -> None:
    assert compare(ledger, 82.5).published.verdict == "differs"
    assert compare(replace(ledger, decimals=0), 82.5).published.verdict == "agrees"
    assert compare(replace(ledger, decimals=0), 82.6).published.verdict == "differs"


@given(st.floats(0, 100), st.floats(0, 50))
def test_agreement_and_difference_follow_from_the_bounds(value: float, spread: float) -> None:
    published, _ = compare(read_mine(), value, spread=spread)
    assert published.difference == pytest.approx(value - 81.06, abs=1e-9)
    distance = abs(value - 81.06) - spread - 0.005
    if abs(distance) > 1e-9:
        assert published.verdict == ("agrees" if distance < 0 else "differs")


def test_numbers_with_a_different_condition_are_not_comparable(ledger: Ledger) -> None:
    published, notes = compare(ledger, 81.06, options={"hasher": {"backbone": "conv"}})
    assert (published.values, published.difference, published.verdict) == ((81.06,), None, "not comparable")
    assert notes == ("not comparable because backbone differs: measured conv, published vgg11",)


def test_all_conditions_that_differ_are_listed(ledger: Ledger) -> None:
    changes = {"options": {"hasher": {"backbone": "conv"}}, "data": {"database": 500, "image_size": [32, 32]}}
    assert compare(ledger, 81.06, **changes).notes == (
        "not comparable because backbone differs: measured conv, published vgg11; "
        "database size differs: measured 500, published 23300; "
        "image size differs: measured 32 x 32, published 224 x 224",
    )


@pytest.mark.parametrize("options", [{}, {"hasher": {}}, {"hasher": "dpsh"}])
def test_a_condition_that_a_row_does_not_record_counts_as_different(ledger: Ledger, options: dict[str, Any]) -> None:
    published, notes = compare(ledger, 81.06, options=options)
    assert published.verdict == "not comparable"
    assert notes == ("not comparable because backbone is not recorded, published vgg11",)


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("steps", 500.0, ""),
        ("steps", 60, "number of attack steps differs: measured 60, published 500"),
        ("steps", None, "number of attack steps differs: measured none, published 500"),
        ("learning_rate", 1e-4 * (1 + 1e-7), ""),
        ("learning_rate", 1.001e-4, "learning rate of the attack differs: measured 0.0001001, published 0.0001"),
        ("random_start", True, "random start differs: measured yes, published no"),
        ("random_start", 0, ""),
    ],
)
def test_numbers_are_compared_as_numbers(ledger: Ledger, option: str, value: object, reason: str) -> None:
    attack = {"steps": 500, "learning_rate": 1e-4, "random_start": False, option: value}
    changes = {"options": {"hasher": {"backbone": "vgg11"}, "attack": attack}, "attack": "p2p"}
    published, notes = compare(ledger, 65.81, **changes)
    assert published.verdict == ("not comparable" if reason else "agrees")
    assert notes[0] == (f"not comparable because {reason}" if reason else f"{UNSTATED}, perturbation budget")


def test_remarks_are_added_under_every_verdict(ledger: Ledger) -> None:
    assert compare(ledger, 65.81, attack="p2p").notes[1:] == ("Mine: it looks odd",)
    assert compare(ledger, 50.0, attack="p2p").notes[1:] == ("Mine: it looks odd",)
    assert compare(ledger, 65.81, attack="p2p", data={}).notes[1:] == ("Mine: it looks odd",)


def test_a_nan_value_is_not_comparable(ledger: Ledger) -> None:
    published, notes = compare(ledger, float("nan"))
    assert (published.values, published.difference, published.verdict) == ((81.06,), None, "not comparable")
    assert notes == ("not comparable because no value was measured",)


def test_numbers_on_other_datasets_are_listed_in_ascending_order(ledger: Ledger) -> None:
    published, notes = compare(ledger, 97.0, dataset="digits", options={}, data={})
    assert (published.values, published.difference, published.verdict) == ((73.06, 81.06), None, "not comparable")
    assert notes == ("dataset differs: measured on digits, published on NUS-WIDE, FLICKR-25K",)


def test_equal_reasons_have_equal_texts(ledger: Ledger) -> None:
    clean = compare(ledger, 97.0, dataset="digits").notes
    assert compare(ledger, 60.0, dataset="digits", attack="p2p", defense="retpur").notes == clean
    other = {"options": {"hasher": {"backbone": "conv"}}}
    assert compare(ledger, 1.0, **other).notes == compare(ledger, 90.0, "t_map", **other).notes


def test_the_nearest_of_two_published_values_is_compared(ledger: Ledger) -> None:
    published, _ = compare(ledger, 70.5, "t_map")
    assert (published.values, published.verdict, published.source) == ((70.0, 73.67), "agrees", "Mine, Tables 7 and 8")
    assert published.difference == pytest.approx(0.5)


def test_a_swept_cell_has_the_number_of_its_variant(ledger: Ledger) -> None:
    attacked = {"attack": "p2p", "defense": "retpur"}
    assert compare(ledger, 79.0, **attacked).published.values == (80.17,)
    assert compare(ledger, 79.0, **attacked, variant="t_p=5").published.values == (79.0,)


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
def test_a_cell_that_the_paper_does_not_have_has_no_comparison(ledger: Ledger, changes: dict[str, Any]) -> None:
    assert compare_published(row_of(**changes), "map", Interval(0.5, 0.4, 0.6), ledger) is None


def test_a_metric_that_the_paper_does_not_have_has_no_comparison(ledger: Ledger) -> None:
    assert compare_published(row_of(), "perceptibility", Interval(0.5, 0.4, 0.6), ledger) is None


def test_the_comparison_does_not_depend_on_the_seed(ledger: Ledger) -> None:
    assert compare(ledger, 81.06, seed=7) == compare(ledger, 81.06)


def test_a_number_without_an_interval_is_not_comparable(ledger: Ledger) -> None:
    found = compare_published(row_of(), "map", Interval(0.8106, math.nan, math.nan), ledger)
    assert found is not None
    assert found.published.verdict == "not comparable"
    assert found.notes[0] == "not comparable because the measured value has no confidence interval"


def test_the_comparison_with_a_ledger_is_a_comparator(ledger: Ledger) -> None:
    comparator: PublishedComparator = partial(compare_published, ledger=ledger)
    assert comparator(row_of(), "map", Interval(0.8106, 0.8, 0.82)) == compare(ledger, 81.06)


def test_a_claim_with_all_conditions_stated_has_no_note_on_them(ledger: Ledger) -> None:
    stated = replace(
        ledger, claims=tuple(replace(claim, conditions={"data.database": 23300}) for claim in ledger.claims)
    )
    assert compare(stated, 81.06).notes == ()


def test_a_run_under_retpurs_conditions_is_compared() -> None:
    data = {"train": 5000, "query": 1700, "database": 23300, "classes": 38, "image_size": [224, 224]}
    row = row_of(data=data)
    every, some = ({**row.protocol, "ranked_queries": count} for count in (1700, 60))
    sampled = compare_published(
        replace(row, protocol=some), "map", Interval(0.8, 0.79, 0.815), read_claims("retpur", Path())
    )
    assert sampled is not None
    assert sampled.notes[0] == "not comparable because number of ranked queries differs: measured 60, published 1700"
    comparison = compare_published(
        replace(row, protocol=every), "map", Interval(0.8, 0.79, 0.815), read_claims("retpur", Path())
    )
    assert comparison is not None
    assert (comparison.published.values, comparison.published.verdict) == ((81.06,), "agrees")
    assert comparison.published.source == "RetPur, Tables 1 and 7"
    assert comparison.notes == (
        "compared on the stated conditions; RetPur does not state: MAP rule, tie-breaking, image size",
    )


def test_embedded_datasets_are_not_comparable_with_retpur() -> None:
    comparison = compare_published(
        row_of(dataset="scenes"), "map", Interval(0.8, 0.79, 0.815), read_claims("retpur", Path())
    )
    assert comparison is not None
    assert (comparison.published.values, comparison.published.difference) == ((63.69, 73.06, 81.06), None)
    assert comparison.notes == ("dataset differs: measured on scenes, published on FLICKR-25K, MS-COCO, NUS-WIDE",)


def test_a_full_map_is_not_comparable_with_saats() -> None:
    row = row_of(hasher="dph", options={"hasher": {"backbone": "alexnet"}})
    row = replace(row, protocol={**row.protocol, "depth": None})
    comparison = compare_published(row, "map", Interval(0.8, 0.79, 0.815), read_claims("saat", Path()))
    assert comparison is not None
    assert comparison.published.verdict == "not comparable"
    assert comparison.notes[0] == (
        "not comparable because MAP rule differs: measured full, published top-k; "
        "MAP depth differs: measured none, published 5000"
    )


def test_a_condition_without_a_printed_name_is_named_by_its_path() -> None:
    assert condition_name("options.hasher.backbone") == "backbone"
    assert condition_name("options.attack.random_start") == "random start"
