"""The shipped ledgers: counts, spot checks and consistency of their numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from retbench.report import pivot, read_layout
from retbench.report.published.claims import Claim, Ledger, read_claims, shipped_claims
from retbench.report.tables.layout import common_names
from retbench.results import Evidence, Row

PHOTOGRAPHS = ("FLICKR-25K", "MS-COCO", "NUS-WIDE")
UNI_MODAL = [(data, hasher) for data in PHOTOGRAPHS for hasher in ("DPSH", "DPH")]
CROSS_MODAL = [(data, hasher) for data in ("WIKI", "IAPR", *PHOTOGRAPHS) for hasher in ("DGCPN", "DADH")]
BITS = [(data, bits) for data in ("FLICKR-25K", "NUS-WIDE", "MS-COCO") for bits in ("16", "32", "48", "64")]


@cache
def shipped(name: str) -> Ledger:
    return read_claims(name, Path())


def cell_of(claim: Claim) -> tuple[object, ...]:
    return (claim.metric, *claim.axes.values())


def test_the_shipped_ledgers_are_retpur_and_saat() -> None:
    assert sorted(shipped_claims()) == ["retpur", "saat"]
    assert [shipped(name).name for name in ("retpur", "saat")] == ["retpur", "saat"]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        # Rows times columns of the papers; Table 4 has two rows of four numbers.
        (
            "retpur",
            {"1": 14 * 6, "2": 6 * 10, "3": 6 * 10, "4": 2 * 4, "7": 4 * 6, "8": 4 * 10, "9": 4 * 10},
        ),
        # The numbers of the attack SAAT are repeated under the label of a swept goal.
        ("saat", {"I": 9 * 12 + 2 * 12, "II": 8 * 12 + 2 * 12}),
    ],
)
def test_every_printed_number_is_a_claim(name: str, counts: dict[str, int]) -> None:
    assert Counter(claim.table for claim in shipped(name).claims) == counts


@pytest.mark.parametrize(
    ("name", "table", "layout", "rows", "columns"),
    [
        (
            "retpur",
            "1",
            "retpur-table-1",
            ["original", "P2P", "RetPur-P2P", "DHTA", "RetPur-DHTA", "ProS-GAN", "RetPur-ProS"] * 2,
            UNI_MODAL,
        ),
        ("retpur", "2", "retpur-table-2", ["original", "TA-DCH", "RetPur"] * 2, CROSS_MODAL),
        ("retpur", "3", "retpur-table-3", ["original", "TA-DCH", "RetPur"] * 2, CROSS_MODAL),
        ("retpur", "7", "retpur-table-7", ["original", "RetPur"] * 2, UNI_MODAL),
        ("retpur", "8", "retpur-table-8", ["original", "RetPur"] * 2, CROSS_MODAL),
        ("retpur", "9", "retpur-table-9", ["original", "RetPur"] * 2, CROSS_MODAL),
        (
            "saat",
            "I",
            "saat-table-1",
            ["Original", "HAG", "SDHA", "SAAT", "P2P", "DHTA", "ProS-GAN", "THA", "SAAT"],
            BITS,
        ),
        ("saat", "II", "saat-table-2", ["Original", "HAG", "SDHA", "SAAT"] * 2, BITS),
    ],
)
def test_a_layout_prints_the_labels_of_its_paper_in_their_order(
    row: Callable[..., Row],
    evidence: Callable[..., Evidence],
    name: str,
    table: str,
    layout: str,
    rows: list[str],
    columns: list[tuple[str, str]],
) -> None:
    claims = [claim for claim in shipped(name).claims if claim.table == table]
    measured = {
        tuple(claim.axes.values()): row(**{**claim.axes, "value": 0.5})
        for claim in reversed(claims)  # the layout orders them
        if not str(claim.axes["variant"]).startswith("goal=")
    }
    (printed,) = pivot(evidence(measured.values()), read_layout(layout, Path()))
    assert [line.label for line in printed.rows] == rows
    assert list(printed.columns) == columns
    # The paper of RetPur writes its name in two ways.
    in_ledger = dict.fromkeys((c.metric, c.axes["defense"], c.printed.replace("Retpur", "RetPur")) for c in claims)
    assert [label for *_, label in in_ledger] == rows


@pytest.mark.parametrize("name", ["retpur", "saat"])
def test_every_number_is_written_with_two_decimals_and_read_exactly(name: str) -> None:
    lists = re.findall(r"printed: [^,]*,\s*values:[^\[*]*\[([^\]]*)\]", shipped_claims()[name].read_text())
    written = [number for numbers in lists for number in numbers.split(", ")]
    assert all(re.fullmatch(r"\d?\d\.\d\d", number) for number in written)
    swept = [claim for claim in shipped(name).claims if not str(claim.axes["variant"]).startswith("goal=")]
    assert Counter(f"{claim.value:.2f}" for claim in swept) == Counter(written)


@pytest.mark.parametrize(
    ("name", "table", "printed", "metric", "axes", "value"),
    [
        ("retpur", "1", "Retpur-DHTA", "map", {"dataset": "nuswide", "hasher": "dpsh"}, 72.72),
        ("retpur", "1", "ProS-GAN", "t_map", {"dataset": "nuswide", "hasher": "dpsh"}, 90.00),
        ("retpur", "2", "TA-DCH", "t_map", {"dataset": "flickr25k", "hasher": "dadh"}, 96.27),
        ("retpur", "3", "RetPur", "map", {"dataset": "flickr25k", "hasher": "dadh"}, 84.87),
        ("retpur", "4", "MSE", "t_map", {"task": "i2t"}, 14.39),
        ("retpur", "7", "RetPur", "t_map", {"dataset": "nuswide", "hasher": "dph"}, 53.56),
        ("retpur", "8", "RetPur", "map", {"dataset": "wikipedia", "hasher": "dgcpn"}, 36.98),
        ("retpur", "9", "RetPur", "t_map", {"dataset": "nuswide", "hasher": "dadh"}, 38.28),
        ("saat", "I", "ProS-GAN", "t_map", {"dataset": "flickr25k", "bits": 64}, 87.15),
        ("saat", "I", "SAAT", "map", {"dataset": "mscoco", "bits": 16, "variant": ""}, 9.96),
        ("saat", "II", "SAAT", "map", {"dataset": "mscoco", "bits": 64, "defense": "saat", "variant": ""}, 33.43),
    ],
)
def test_a_number_belongs_to_its_cell(
    name: str, table: str, printed: str, metric: str, axes: dict[str, object], value: float
) -> None:
    found = [
        claim.value
        for claim in shipped(name).claims
        if (claim.table, claim.printed, claim.metric) == (table, printed, metric)
        and all(claim.axes[axis] == expected for axis, expected in axes.items())
    ]
    assert found == [value]


@pytest.mark.parametrize(("first", "second"), [("1", "7"), ("2", "8"), ("3", "9")])
def test_two_tables_agree_on_their_common_clean_row(first: str, second: str) -> None:
    claims = [claim for claim in shipped("retpur").claims if claim.printed == "original"]
    clean = [{cell_of(claim): claim.value for claim in claims if claim.table == table} for table in (first, second)]
    assert clean[0] == clean[1]
    assert len(clean[0]) in (12, 20)


@pytest.mark.parametrize("name", ["retpur", "saat"])
def test_a_cell_has_the_same_value_in_all_tables_of_a_paper(name: str) -> None:
    values: dict[tuple[object, ...], set[float]] = {}
    for claim in shipped(name).claims:
        values.setdefault(cell_of(claim), set()).add(claim.value)
    assert {len(found) for found in values.values()} == {1}


def test_every_loss_above_two_points_has_a_note() -> None:
    claims = [claim for claim in shipped("retpur").claims if claim.metric == "map" and claim.table in "123789"]
    clean = {
        (claim.table, claim.axes["dataset"], claim.axes["hasher"]): claim.value
        for claim in claims
        if claim.printed == "original"
    }
    lost = [
        claim
        for claim in claims
        if claim.axes["defense"] == "retpur"
        and round(clean[claim.table, claim.axes["dataset"], claim.axes["hasher"]] - claim.value, 2) > 2
    ]
    noted = [claim for claim in claims if any("loss of less than 2 points" in note for note in claim.notes)]
    assert lost == noted
    assert len(lost) == 8


def test_every_gain_from_purification_has_a_note() -> None:
    claims = [claim for claim in shipped("retpur").claims if claim.metric == "map" and claim.table in "123789"]
    clean = {(claim.table, claim.axes["dataset"], claim.axes["hasher"]): claim.value for claim in claims}
    clean |= {
        (claim.table, claim.axes["dataset"], claim.axes["hasher"]): claim.value
        for claim in claims
        if claim.printed == "original"
    }
    gained = [
        claim
        for claim in claims
        if claim.axes["defense"] == "retpur"
        and claim.value > clean[claim.table, claim.axes["dataset"], claim.axes["hasher"]]
    ]
    noted = [claim for claim in claims if any("higher MAP than clean ones" in note for note in claim.notes)]
    assert [claim for claim in noted if claim.axes["defense"] == "retpur"] == gained
    assert {claim.printed for claim in noted} == {"original", "RetPur"}
    assert len(gained) == 4


def test_a_t_map_that_an_attack_lowers_has_a_note() -> None:
    claims = [claim for claim in shipped("retpur").claims if claim.metric == "t_map" and claim.table in "123"]
    place = [(claim.table, claim.axes["dataset"], claim.axes["hasher"]) for claim in claims]
    clean = {at: claim.value for at, claim in zip(place, claims, strict=True) if claim.printed == "original"}
    lowered = [
        claim
        for at, claim in zip(place, claims, strict=True)
        if claim.axes["attack"] != "none" and claim.axes["defense"] == "none" and claim.value < clean[at]
    ]
    assert [(claim.axes["dataset"], claim.axes["attack"], claim.value) for claim in lowered] == [
        ("mscoco", "p2p", 48.69)
    ]
    assert any("48.69, 50.53" in note for note in lowered[0].notes)


def test_conditions_are_those_of_a_cells_dataset_attack_and_defense() -> None:
    conditions = {
        (claim.table, claim.printed, claim.axes["dataset"], claim.axes["hasher"]): claim.conditions
        for claim in shipped("retpur").claims
    }
    plain = conditions["7", "original", "flickr25k", "dpsh"]
    paths = ("data.train", "protocol.ranked_queries", "data.database")
    assert [plain[path] for path in paths] == [5000, 1700, 23300]
    assert plain["options.hasher.backbone"] == "vgg11"
    assert not [path for path in plain if path.startswith(("options.attack", "options.defense", "budget"))]
    purified = conditions["1", "RetPur-P2P", "mscoco", "dph"]
    assert (purified["options.attack.steps"], purified["options.defense.retpur.t_p"]) == (500, 45)
    assert conditions["1", "DHTA", "mscoco", "dph"]["options.attack.steps"] == 2000
    cross = conditions["2", "original", "flickr25k", "dadh"]
    assert [cross[path] for path in ("protocol.ranked_queries", "data.classes")] == [2000, 24]
    assert cross["options.hasher.backbone"] == "cnn-f"
    for metric in ("SSIM", "MSE"):
        guided = conditions["4", metric, "wikipedia", "dgcpn"]
        assert guided["options.defense.retpur.metric"] == metric.lower()


def test_conditions_that_a_paper_does_not_state_are_none() -> None:
    for claim in shipped("retpur").claims:
        assert claim.conditions["protocol.map"] is None
        assert claim.conditions["protocol.ties"] is None
        assert claim.conditions.get("protocol.targets.rule", "absent") == ("absent" if _untargeted(claim) else None)
    for claim in shipped("saat").claims:
        assert (claim.conditions["protocol.map"], claim.conditions["protocol.depth"]) == ("top-k", 5000)
        assert claim.conditions["hasher"] is None
        assert claim.conditions["options.hasher.backbone"] is None


def _untargeted(claim: Claim) -> bool:
    return claim.metric == "map" and claim.axes["attack"] == "none"


@pytest.mark.parametrize("name", ["retpur", "saat"])
def test_every_condition_has_a_printed_name(name: str) -> None:
    assert {path for claim in shipped(name).claims for path in claim.conditions} <= set(common_names()["condition"])
