"""Layouts as data: shipped ones, one's own, and mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench.errors import LayoutError, UnknownName
from retbench.report import read_layout, shipped_layouts
from retbench.report.layout import Condition


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
