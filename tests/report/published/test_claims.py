"""Ledgers in user files, and errors in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench.document import parse_document
from retbench.errors import ClaimError, DocumentError
from retbench.report.published.claims import Ledger, ledger_of, read_claims

MINE = """\
claims: mine
paper: Mine
title: My paper
authors: me
source: my drawer
cells: {hasher: dpsh, bits: 32, task: i2i}
conditions:
  - values: {protocol.map: full, protocol.ties: null}
  - {when: {attack: p2p}, values: {options.attack.steps: 500, protocol.map: null}}
tables:
  - table: 1
    title: All of it
    across: [dataset]
    columns: [[flickr25k], [nuswide]]
    rows:
      - {metric: map, printed: original, values: [81.06, 73.1]}
      - {metric: map, attack: p2p, printed: P2P, values: [65.81, null]}
notes:
  - {cells: {table: 1, attack: p2p}, text: odd}
"""


def read(text: str, known: dict[str, list[str]] | None = None) -> Ledger:
    return ledger_of(parse_document(text, "mine.yaml"), known)


def test_a_ledger_file_is_read_from_the_suites_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    ledger = read_claims("mine.yaml", tmp_path)
    assert (ledger.name, ledger.paper, ledger.decimals) == ("mine", "Mine", 2)
    assert [(claim.axes["dataset"], claim.axes["attack"], claim.value) for claim in ledger.claims] == [
        ("flickr25k", "none", 81.06),
        ("nuswide", "none", 73.1),
        ("flickr25k", "p2p", 65.81),
    ]
    assert ledger.claims[0].source == "Mine, Table 1"


def test_a_later_condition_overrides_an_earlier_one() -> None:
    conditions = [claim.conditions for claim in read(MINE).claims]
    assert conditions[0] == {"protocol.map": "full", "protocol.ties": None}
    assert conditions[2] == {"protocol.map": None, "protocol.ties": None, "options.attack.steps": 500}


def test_a_note_is_attached_only_to_the_cells_it_matches() -> None:
    assert [claim.notes for claim in read(MINE).claims] == [(), (), ("odd",)]


def test_installed_components_are_known_in_a_ledger() -> None:
    text = MINE.replace("flickr25k", "postcards")
    with pytest.raises(ClaimError, match="unknown dataset: got 'postcards'"):
        read(text)
    assert read(text, {"dataset": ["postcards"]}).claims[0].axes["dataset"] == "postcards"


def test_each_part_of_a_combination_of_defenses_must_be_known() -> None:
    assert read(MINE.replace("attack: p2p, printed", "attack: p2p, defense: atrdh+retpur, printed")).claims
    with pytest.raises(ClaimError, match=r"unknown defense: got 'retpor', .*nearest: retpur"):
        read(MINE.replace("attack: p2p, printed", "attack: p2p, defense: atrdh+retpor, printed"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[81.06, 73.1]",
            "[81.06]",
            "mine.yaml:16:42: tables.0.rows.0.values: wrong number of values: got 1, expected",
        ),
        ("81.06", "high", "mine.yaml:16:51: tables.0.rows.0.values.0: value is not a percentage: got high"),
        ("81.06", "181.06", "got 181.06, expected a number from 0 to 100"),
        ("81.06", "-0.5", "got -0.5"),
        ("81.06", "true", "got True"),
        ("81.06", "81.063", "value has more digits than `decimals`: got 81.063, expected at most 2"),
        ("values: [81", "valeus: [81", "tables.0.rows.0.valeus: unknown key: got 'valeus'"),
        (
            "metric: map, attack",
            "metric: tmap, attack",
            "unknown metric: got 'tmap', expected one of map, t_map; nearest",
        ),
        ("attack: p2p, printed", "attack: p2q, printed", "mine.yaml:17:23: tables.0.rows.1.attack: unknown attack"),
        ("attack: p2p, printed", "attack: p2q, printed", "nearest: p2p"),
        ("[flickr25k]", "[flicker25k]", "mine.yaml:14:16: tables.0.columns.0.0: unknown dataset: got 'flicker25k'"),
        ("[flickr25k]", "[flickr25k, 32]", "wrong number of axes: got 2, expected 1"),
        ("across: [dataset]", "across: [datasets]", "unknown axis: got 'datasets'"),
        (
            "hasher: dpsh, ",
            "",
            "neither row nor column nor table fixes hasher: got none, expected a value of hasher",
        ),
        ("task: i2i", "task: i2x", "unknown task: got 'i2x'"),
        ("task: i2i", "task: i2i, threat: blind", "unknown threat: got 'blind', expected one of adaptive, oblivious"),
        ("protocol.ties", "protokol.ties", "unknown condition: got 'protokol'"),
        ("{table: 1, attack: p2p}", "{table: 2}", "mine.yaml:19:14: notes.0.cells.table: unknown table: got '2'"),
        ("{table: 1, attack: p2p}", "{attack: dhta}", "unknown attack: got 'dhta', expected one of none, p2p"),
        ("{table: 1, attack: p2p}", "{atack: p2p}", "unknown axis: got 'atack', expected one of"),
        (
            "{table: 1, attack: p2p}",
            "{dataset: nuswide, attack: p2p}",
            "mine.yaml:19:6: notes.0.cells: no cell matches all conditions",
        ),
        ("when: {attack: p2p}", "when: {attack: tha}", "conditions.1.when.attack: unknown attack: got 'tha'"),
        (
            "attack: p2p, printed: P2P, values: [65.81, null]",
            "printed: P2P, values: [81.06, 70]",
            "tables.0.rows.1.values.1: second value for one cell of a table: got 70.0, expected 73.1",
        ),
    ],
)
def test_an_error_in_a_ledger_has_its_location(old: str, new: str, message: str) -> None:
    assert old in MINE
    with pytest.raises(ClaimError) as raised:
        read(MINE.replace(old, new, 1))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_bits_must_be_an_integer() -> None:
    text = MINE.replace("bits: 32, ", "").replace("across: [dataset]", "across: [bits]")
    text = text.replace("[[flickr25k], [nuswide]]", "[[many], [32]]").replace(
        "hasher: dpsh", "hasher: dpsh, dataset: mscoco"
    )
    with pytest.raises(ClaimError, match=r"tables\.0\.columns\.0\.0: bits are not an integer: got many"):
        read(text)


def test_the_error_for_an_unknown_ledger_has_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(
        ClaimError, match="unknown ledger: got 'retpurr', expected one of retpur, saat; nearest: retpur"
    ):
        read_claims("retpurr", tmp_path)


def test_the_error_for_invalid_yaml_has_its_location(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("claims: [\n")
    with pytest.raises(DocumentError, match=r"mine\.yaml:2:1"):
        read_claims("mine.yaml", tmp_path)
