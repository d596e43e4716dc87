"""The model of a ledger of published numbers, and documents that violate it."""

from __future__ import annotations

import pytest

from retbench.document import parse_document
from retbench.errors import ClaimError
from retbench.report.published.ledger import parse_ledger

LEDGER = """\
claims: mine
paper: Mine
title: My paper
authors: me
source: my drawer
tables:
  - table: 1
    title: All of it
    cells: {task: i2i}
    across: [dataset]
    columns: [[digits]]
    rows:
      - {metric: map, printed: original, values: [81.06]}
notes:
  - {cells: {attack: {not: none}}, text: odd}
"""


def test_a_parsed_ledger_has_its_tables_rows_and_notes() -> None:
    ledger = parse_ledger(parse_document(LEDGER, "mine.yaml"))
    row = ledger.tables[0].rows[0]
    assert (ledger.claims, ledger.decimals, row.metric, row.values, row.axes) == ("mine", 2, "map", (81.06,), {})
    assert ledger.tables[0].cells.axes == {"task": "i2i"}
    assert ledger.notes[0].cells["attack"].negated


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("paper: Mine\n", "", "mine.yaml:1:1: paper: missing key: got none, expected 'paper'"),
        ("paper: Mine", "papre: Mine", "mine.yaml:2:1: papre: unknown key: got 'papre'"),
        ("paper: Mine", "paper: Mine\npages: 3", "mine.yaml:3:1: pages: unknown key: got 'pages', expected one of"),
        ("printed:", "atack: p2p, printed:", "unknown key: got 'atack'"),
        ("printed:", "atack: p2p, printed:", "nearest: attack"),
        ("    title:", "    titel: x\n    title:", "nearest: title"),
        ("{task: i2i}", "{tasks: i2i}", "nearest: task"),
        ("text: odd", "text: odd, txt: odder", "nearest: text"),
        ("    title: All of it\n", "", "mine.yaml:7:5: tables.0.title: missing key"),
        ("[81.06]", "81.06", "mine.yaml:13:42: tables.0.rows.0.values"),
        ("[81.06]", "81.06", "got 81.06"),
        ("{not: none}", "{nto: none}", "notes.0.cells.attack"),
        ("text: odd", "text: 3", "got 3"),
        ("paper: Mine", "paper: Mine\ncells: {bits: 0}", "greater than or equal to 1: got 0"),
        ("paper: Mine", "paper: Mine\ndecimals: -1", "got -1"),
    ],
)
def test_an_invalid_key_or_value_has_its_location(old: str, new: str, message: str) -> None:
    assert old in LEDGER
    with pytest.raises(ClaimError) as raised:
        parse_ledger(parse_document(LEDGER.replace(old, new, 1), "mine.yaml"))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_ledger_without_tables_is_an_error() -> None:
    with pytest.raises(ClaimError, match=r"mine\.yaml:6:1"):
        parse_ledger(parse_document(LEDGER[: LEDGER.index("tables:")] + "tables: []\n", "mine.yaml"))
