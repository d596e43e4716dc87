"""Layouts: shipped ones, user files, and errors in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from retbench.errors import LayoutError, UnknownName
from retbench.report import Layout, read_layout, shipped_layouts
from retbench.report.tables.layout import Contest, check_names
from retbench.report.tables.pattern import AxisCondition
from retbench.results import Row


@pytest.mark.parametrize("name", shipped_layouts())
def test_every_shipped_layout_is_valid(name: str) -> None:
    assert read_layout(name, Path()).title


def test_a_layout_file_is_read_from_the_suites_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: Mine\ncolumns: [bits]\nmetrics: [{name: map, label: mAP}]\n")
    assert read_layout("mine.yaml", tmp_path).title == "Mine"


def test_the_error_for_an_unknown_layout_has_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="nearest: retpur-table"):
        read_layout("retpur-table-11", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("columns: [bits]", "columns: [bit]", "got 'bit', expected one of"),
        ("columns: [bits]", "columns: []", "mine.yaml:2:1"),
        ("title: Mine", "titel: Mine", "mine.yaml:1:1: title: missing key: got none, expected 'title'"),
        ("label: mAP", "label: mAP, beter: lower", "unknown key: got 'beter', expected one of at, better, label"),
        ("columns: [bits]", "columns: [bits]\nrow: [attack]", "mine.yaml:3:1: row: unknown key: got 'row'"),
        ("columns: [bits]", "columns: [bits]\norder: {hashers: [x]}", "got 'hashers'"),
        ("columns: [bits]", "columns: [bits]\ncurve: {option: t_p}", "a curve needs `variant` among rows or columns"),
        ("columns: [bits]", "columns: [variant]\ncurve: {option: t_p, scale: cubic}", "got 'cubic'"),
        ("columns: [bits]", "columns: [variant]\ncurve: {option: t_p, reference: [{atack: x}]}", "got 'atack'"),
        ("columns: [bits]", "columns: [variant]\ncurve: {option: t_p, reference: [x]}", "mine.yaml:3"),
        ("label: mAP", "label: mAP, unit: pixels", "got 'pixels'"),
        (
            "label: mAP",
            "label: mAP, unit: seconds",
            "mine.yaml:3:11: metrics.0: wrong unit for map: got 'seconds'",
        ),
        (
            "{name: map, label: mAP}",
            "{name: map, label: mAP}, {name: ssim, label: s, unit: mebibytes}",
            "mine.yaml:3:36: metrics.1: wrong unit for ssim: got 'mebibytes'",
        ),
        *(
            ("map, label: mAP", f"{name}, label: x{unit}", f"mine.yaml:3:11: metrics.0: wrong unit for {name}: got")
            for unit in ("", ", unit: gray", ", unit: percent")
            for name in ("attack_seconds", "defense_seconds", "peak_memory")
        ),
        ("label: mAP", "label: mAP, better: more", "got 'more'"),
        ("label: mAP", "label: mAP, at: far", "mine.yaml:3"),
        ("label: mAP", "label: mAP, select: [{atack: x}]", "got 'atack', expected one of attack"),
        ("label: mAP", "label: mAP, select: {attack: x}", "mine.yaml:3"),
        ("columns: [bits]", "columns: [bits]\nselect: [{hashers: x}]", "got 'hashers', expected one of attack"),
        ("columns: [bits]", "columns: [bits]\nnames: {defnse: {x: y}}", "got 'defnse', expected one of attack"),
        (
            "columns: [bits]",
            "columns: [bits]\nblocks: bits",
            "blocks: got 'bits', expected an axis of the rows, in a layout with one metric and without `across`",
        ),
        (
            "columns: [bits]",
            "columns: [bits]\nblocks: defense\nacross: true",
            "blocks: got 'defense', expected an axis of the rows",
        ),
        (
            "{name: map, label: mAP}",
            "{name: map, label: mAP}, {name: t_map, label: T}]\nblocks: defense #",
            "got 'defense'",
        ),
        ("columns: [bits]", "columns: [bits]\ncontest: {axis: defnse}", "got 'defnse', expected one of attack"),
        ("columns: [bits]", "columns: [bits]\ncontest: {rivals: all}", "mine.yaml:3"),
        (
            "columns: [bits]",
            "columns: [bits]\npaired: {axis: defnse, first: x, second: y}",
            "got 'defnse', expected one of attack",
        ),
        ("columns: [bits]", "columns: [bits]\npaired: {axis: defense, first: x}", "mine.yaml:3"),
        ("columns: [bits]", "columns: [bits]\nbold: [retpur]", "mine.yaml:3"),
    ],
)
def test_an_error_in_a_layout_has_its_location(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = "title: Mine\ncolumns: [bits]\nmetrics: [{name: map, label: mAP}]\n"
    (tmp_path / "mine.yaml").write_text(text.replace(old, new))
    with pytest.raises(LayoutError) as raised:
        read_layout("mine.yaml", tmp_path)
    assert message in str(raised.value)


def test_a_layouts_own_names_take_precedence(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ncolumns: [bits]\nmetrics: [{name: map, label: mAP}]\nnames: {attack: {dhta: Bai}}\n"
    )
    layout = read_layout("mine.yaml", tmp_path)
    assert [layout.printed_name("attack", name) for name in ("dhta", "p2p", "strange")] == ["Bai", "P2P", "strange"]
    assert layout.printed_name("defense", "atrdh+retpur") == "ATRDH+RetPur"


def test_a_reference_is_a_pattern_with_or_without_a_label(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ncolumns: [variant]\nmetrics: [{name: map, label: mAP}]\n"
        "curve: {option: t_p, reference: [{label: clean, attack: none}, {attack: {not: none}}]}\n"
    )
    curve = read_layout("mine.yaml", tmp_path).curve
    assert curve is not None
    assert [(reference.label, reference.rows) for reference in curve.reference] == [
        ("clean", {"attack": AxisCondition(values=("none",))}),
        ("", {"attack": AxisCondition(values=("none",), negated=True)}),
    ]


def test_a_negated_condition_holds_for_all_other_values() -> None:
    assert AxisCondition(values=("a",)).holds("a")
    assert not AxisCondition(values=("a",), negated=True).holds("a")
    assert AxisCondition(values=("a",), negated=True).holds("b")


@pytest.mark.parametrize("written", ["32", '"32"', "[16, '32']"])
def test_a_number_in_a_pattern_may_be_quoted(tmp_path: Path, row: Callable[..., Row], written: str) -> None:
    equal, unequal = (read(tmp_path, f"select: [{{bits: {value}}}]\n") for value in (written, f"{{not: {written}}}"))
    rows = [row("none", "none", 0.5, bits=bits) for bits in (32, 64)]
    assert [equal.shows(each) for each in rows] == [True, False]
    assert [unequal.shows(each) for each in rows] == [False, True]


def read(tmp_path: Path, more: str = "", metric: str = "", name: str = "map") -> Layout:
    text = f"title: Mine\ncolumns: [bits]\nmetrics: [{{name: {name}, label: mAP{metric}}}]\n{more}"
    (tmp_path / "mine.yaml").write_text(text)
    return read_layout("mine.yaml", tmp_path)


def test_a_block_has_better_at_and_select(tmp_path: Path) -> None:
    default = read(tmp_path).metrics[0]
    assert (default.better, default.at, default.select, default.heading) == (None, None, (), "mAP")
    block = read(
        tmp_path, metric=", better: lower, at: 0.25, select: [{attack: [hag, sdha], bits: {not: 16}}]"
    ).metrics[0]
    assert (block.better, block.at) == ("lower", 0.25)
    assert block.select == (
        {"attack": AxisCondition(values=("hag", "sdha")), "bits": AxisCondition(values=(16,), negated=True)},
    )


@pytest.mark.parametrize(
    ("name", "unit", "heading"),
    [
        ("map", "percent", "mAP"),
        ("purified_rmse", "gray", "mAP (gray levels)"),
        ("attack_seconds", "seconds", "mAP (s)"),
        ("defense_seconds", "seconds", "mAP (s)"),
        ("peak_memory", "mebibytes", "mAP (MiB)"),
    ],
)
def test_a_heading_has_the_unit_unless_it_is_percent(tmp_path: Path, name: str, unit: str, heading: str) -> None:
    assert read(tmp_path, name=name, metric=f", unit: {unit}").metrics[0].heading == heading


def test_defenses_compete_by_default(tmp_path: Path) -> None:
    assert read(tmp_path).contest == Contest(axis="defense", without=("none",), variants=False)
    assert read(tmp_path, "contest: null\n").contest is None
    assert read(tmp_path, "contest: {axis: attack, without: [none, hag], variants: true}\n").contest == Contest(
        axis="attack", without=("none", "hag"), variants=True
    )


def test_names_are_compound_and_blocks_are_metrics_by_default(tmp_path: Path) -> None:
    default = read(tmp_path)
    assert (default.compound, default.blocks) == (True, "")
    changed = read(tmp_path, "compound: false\nblocks: defense\n")
    assert (changed.compound, changed.blocks) == (False, "defense")


def test_a_cell_is_shown_if_it_matches_a_pattern(tmp_path: Path, row: Callable[..., Row]) -> None:
    layout = read(tmp_path, "select: [{attack: none, defense: none}, {attack: {not: none}}]\n")
    rows = [row(attack, defense, 0.5) for attack in ("none", "p2p") for defense in ("none", "ddpm")]
    assert [layout.shows(each) for each in rows] == [True, False, True, True]
    assert all(read(tmp_path).shows(each) for each in rows)
    assert layout.has_results_in(rows)
    assert not layout.has_results_in(rows[1:2])


def test_a_layout_has_no_results_if_no_shown_cell_has_any_of_its_metrics(
    tmp_path: Path, row: Callable[..., Row]
) -> None:
    layout = read(tmp_path, "select: [{attack: p2p}]\n", metric="}, {name: ssim, label: s")
    done, other = row("p2p", "none", 0.5), row("dhta", "none", 0.5)
    assert layout.has_results_in([done])
    assert not layout.has_results_in([other])
    without = replace(done, metrics={"t_map": done.metrics["t_map"]})
    assert not layout.has_results_in([without, other])
    assert layout.has_results_in([replace(without, metrics={"ssim": done.metrics["map"]}), other])
    assert layout.has_results_in([replace(without, status="missing")])


def test_a_layout_of_costs_has_results_in_cells_with_costs(tmp_path: Path, row: Callable[..., Row]) -> None:
    layout = read(tmp_path, metric=", unit: seconds", name="attack_seconds")
    assert layout.has_results_in([replace(row("p2p", "none", 0.5), cost={"attack_seconds_per_query": 0.5})])


def test_a_paired_layout_has_results_only_with_both_sides(tmp_path: Path, row: Callable[..., Row]) -> None:
    layout = read(tmp_path, "paired: {axis: defense, first: retpur, second: ddpm}\n")
    rows = [row("p2p", defense, 0.5) for defense in ("retpur", "ddpm")]
    assert [layout.has_results_in(each) for each in (rows, rows[:1], rows[1:], [])] == [True, False, False, False]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("select: [{defense: [none, retpurr]}]", "unknown defense: got 'retpurr', .*; nearest: retpur"),
        ("order: {hasher: [dpsh, dhp]}", "unknown hasher: got 'dhp', .*; nearest: dsh, dph"),
        ("contest: {without: [nothing]}", "unknown defense: got 'nothing'"),
        ("select: [{defense: atrdh+retpurr}]", "unknown defense: got 'retpurr'"),
    ],
)
def test_an_unknown_component_is_an_error(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"title: t\ncolumns: [bits]\nmetrics: [{{name: map, label: m}}]\n{line}\n")
    known = {"defense": ["mine"], "hasher": ["dpsh"]}
    with pytest.raises(LayoutError, match=message):
        check_names(read_layout("mine.yaml", tmp_path), "mine.yaml", known)


def test_installed_components_and_those_with_printed_names_are_known(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "title: t\ncolumns: [bits]\nmetrics: [{name: map, label: m}]\nselect: [{defense: [mine+retpur], bits: 16}]\n"
    )
    layout = read_layout("mine.yaml", tmp_path)
    check_names(layout, "mine.yaml", {"defense": ["mine"]})
    with pytest.raises(LayoutError, match="unknown defense: got 'mine'"):
        check_names(layout, "mine.yaml", {"defense": []})


def test_the_queries_of_an_attack_are_no_percentage(tmp_path: Path) -> None:
    assert read(tmp_path, name="attack_queries", metric=", unit: queries").metrics[0].heading == "mAP (queries)"
    with pytest.raises(LayoutError, match="wrong unit for attack_queries: got 'percent', expected queries"):
        read(tmp_path, name="attack_queries")
    with pytest.raises(LayoutError, match="wrong unit for map: got 'queries', expected percent or gray"):
        read(tmp_path, metric=", unit: queries")
