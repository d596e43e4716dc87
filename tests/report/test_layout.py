"""Layouts as data: shipped ones, one's own, and mistakes in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retbench.errors import LayoutError, UnknownName
from retbench.report import Layout, read_layout, shipped_layouts
from retbench.report.layout import Contest
from retbench.report.pattern import Condition
from retbench.results import Row


@pytest.mark.parametrize("name", shipped_layouts())
def test_every_shipped_layout_reads(name: str) -> None:
    assert read_layout(name, Path()).title


def test_a_layout_of_ones_own_lies_beside_the_suite(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: Mine\ncolumns: [bits]\nmetrics: [{name: map, label: mAP}]\n")
    assert read_layout("mine.yaml", tmp_path).title == "Mine"


def test_an_unknown_layout_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="nearest: retpur-table"):
        read_layout("retpur-table-11", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("columns: [bits]", "columns: [bit]", "got 'bit', expected one of"),
        ("columns: [bits]", "columns: []", "mine.yaml:2:1"),
        ("title: Mine", "titel: Mine", "mine.yaml"),
        ("columns: [bits]", "columns: [bits]\norder: {hashers: [x]}", "got 'hashers'"),
        ("columns: [bits]", "columns: [bits]\ncurve: {option: t_p}", "a curve needs `variant` among rows or columns"),
        ("columns: [bits]", "columns: [variant]\ncurve: {option: t_p, scale: cubic}", "got 'cubic'"),
        ("columns: [bits]", "columns: [variant]\ncurve: {option: t_p, reference: [{atack: x}]}", "got 'atack'"),
        ("columns: [bits]", "columns: [variant]\ncurve: {option: t_p, reference: [x]}", "mine.yaml:3"),
        ("label: mAP", "label: mAP, unit: pixels", "got 'pixels'"),
        ("label: mAP", "label: mAP, better: more", "got 'more'"),
        ("label: mAP", "label: mAP, at: far", "mine.yaml:3"),
        ("label: mAP", "label: mAP, select: [{atack: x}]", "got 'atack', expected one of attack"),
        ("label: mAP", "label: mAP, select: {attack: x}", "mine.yaml:3"),
        ("columns: [bits]", "columns: [bits]\nselect: [{hashers: x}]", "got 'hashers', expected one of attack"),
        ("columns: [bits]", "columns: [bits]\nnames: {defence: {x: y}}", "got 'defence', expected one of attack"),
        (
            "columns: [bits]",
            "columns: [bits]\nblocks: bits",
            "it must be an axis of the rows, beside one metric: got 'bits'",
        ),
        ("columns: [bits]", "columns: [bits]\nblocks: defense\nacross: true", "beside one metric: got 'defense'"),
        (
            "{name: map, label: mAP}",
            "{name: map, label: mAP}, {name: t_map, label: T}]\nblocks: defense #",
            "got 'defense'",
        ),
        ("columns: [bits]", "columns: [bits]\ncontest: {axis: defence}", "got 'defence', expected one of attack"),
        ("columns: [bits]", "columns: [bits]\ncontest: {rivals: all}", "mine.yaml:3"),
        (
            "columns: [bits]",
            "columns: [bits]\npaired: {axis: defence, first: x, second: y}",
            "got 'defence', expected one of attack",
        ),
        ("columns: [bits]", "columns: [bits]\npaired: {axis: defense, first: x}", "mine.yaml:3"),
        ("columns: [bits]", "columns: [bits]\nbold: [retpur]", "mine.yaml:3"),
    ],
)
def test_a_mistake_in_a_layout_is_located(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = "title: Mine\ncolumns: [bits]\nmetrics: [{name: map, label: mAP}]\n"
    (tmp_path / "mine.yaml").write_text(text.replace(old, new))
    with pytest.raises(LayoutError) as raised:
        read_layout("mine.yaml", tmp_path)
    assert told in str(raised.value)


def test_names_are_the_layouts_own_then_the_fields(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ncolumns: [bits]\nmetrics: [{name: map, label: mAP}]\nnames: {attack: {dhta: Bai}}\n"
    )
    layout = read_layout("mine.yaml", tmp_path)
    assert [layout.named("attack", name) for name in ("dhta", "p2p", "strange")] == ["Bai", "P2P", "strange"]
    assert layout.named("defense", "atrdh+retpur") == "ATRDH+RetPur"


def test_a_reference_is_a_pattern_with_or_without_a_label(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ncolumns: [variant]\nmetrics: [{name: map, label: mAP}]\n"
        "curve: {option: t_p, reference: [{label: clean, attack: none}, {attack: {not: none}}]}\n"
    )
    curve = read_layout("mine.yaml", tmp_path).curve
    assert curve is not None
    assert [(level.label, level.rows) for level in curve.reference] == [
        ("clean", {"attack": Condition(values=("none",))}),
        ("", {"attack": Condition(values=("none",), negated=True)}),
    ]


def test_a_condition_holds_or_its_negation_does() -> None:
    assert Condition(values=("a",)).holds("a")
    assert not Condition(values=("a",), negated=True).holds("a")
    assert Condition(values=("a",), negated=True).holds("b")


def read(tmp_path: Path, more: str = "", metric: str = "") -> Layout:
    told = f"title: Mine\ncolumns: [bits]\nmetrics: [{{name: map, label: mAP{metric}}}]\n{more}"
    (tmp_path / "mine.yaml").write_text(told)
    return read_layout("mine.yaml", tmp_path)


def test_a_block_says_what_is_better_and_what_it_shows(tmp_path: Path) -> None:
    plain = read(tmp_path).metrics[0]
    assert (plain.better, plain.at, plain.select, plain.heading) == (None, None, (), "mAP")
    told = read(tmp_path, metric=", better: lower, at: 0.25, select: [{attack: [hag, sdha], bits: {not: 16}}]").metrics[
        0
    ]
    assert (told.better, told.at) == ("lower", 0.25)
    assert told.select == (
        {"attack": Condition(values=("hag", "sdha")), "bits": Condition(values=(16,), negated=True)},
    )


@pytest.mark.parametrize(
    ("unit", "heading"),
    [("percent", "mAP"), ("grey", "mAP (grey levels)"), ("seconds", "mAP (s)"), ("mebibytes", "mAP (MiB)")],
)
def test_a_heading_has_the_unit_where_it_is_not_percent(tmp_path: Path, unit: str, heading: str) -> None:
    assert read(tmp_path, metric=f", unit: {unit}").metrics[0].heading == heading


def test_defenses_compete_unless_a_layout_says_otherwise(tmp_path: Path) -> None:
    assert read(tmp_path).contest == Contest(axis="defense", without=("none",), variants=False)
    assert read(tmp_path, "contest: null\n").contest is None
    assert read(tmp_path, "contest: {axis: attack, without: [none, hag], variants: true}\n").contest == Contest(
        axis="attack", without=("none", "hag"), variants=True
    )


def test_rows_are_compound_and_blocks_are_metrics_unless_a_layout_says_otherwise(tmp_path: Path) -> None:
    plain = read(tmp_path)
    assert (plain.compound, plain.blocks) == (True, "")
    told = read(tmp_path, "compound: false\nblocks: defense\n")
    assert (told.compound, told.blocks) == (False, "defense")


def test_a_cell_is_shown_where_a_pattern_holds(tmp_path: Path, row: Callable[..., Row]) -> None:
    layout = read(tmp_path, "select: [{attack: none, defense: none}, {attack: {not: none}}]\n")
    rows = [row(attack, defense, 0.5) for attack in ("none", "p2p") for defense in ("none", "ddpm")]
    assert [layout.shows(each) for each in rows] == [True, False, True, True]
    assert all(read(tmp_path).shows(each) for each in rows)
    assert layout.answered_by(rows)
    assert not layout.answered_by(rows[1:2])
