"""Rows as lines over a swept option: coordinates, order, labels, references, cells left out, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from retbench.errors import LayoutError
from retbench.metrics import Interval
from retbench.report import Layout, pivot
from retbench.report.tables.curve import Curve
from retbench.results import Evidence, Row

Rows = Callable[..., Row]
Gather = Callable[..., Evidence]
Draw = Callable[..., Curve]
REFERENCE = [
    {"label": "clean", "attack": "none", "defense": "none"},
    {"label": "attacked", "attack": {"not": "none"}, "defense": "none"},
]


def layout(**changes: Any) -> Layout:
    curve = {"option": "t_p", "label": "purify step", "reference": REFERENCE}
    fields = {
        "title": "Strength",
        "columns": ("dataset", "hasher"),
        "rows": ("attack", "defense", "variant"),
        "metrics": [{"name": "map", "label": "MAP"}],
        "curve": curve,
        **changes,
    }
    return Layout(**fields)


def swept(row: Rows, values: dict[float, float], **axes: str | int) -> list[Row]:
    return [row("dhta", "retpur", number, f"t_p={x}", **axes) for x, number in values.items()]


@pytest.fixture
def curve_of(evidence: Gather) -> Callable[..., Curve]:
    """Return the curve of the only table of some rows, under a layout with some changes."""

    def draw(rows: list[Row], **changes: Any) -> Curve:
        (table,) = pivot(evidence(rows), layout(**changes))
        assert table.curve is not None
        return table.curve

    return draw


def test_a_line_has_the_intervals_of_its_rows_ordered_by_x(row: Rows, curve_of: Draw) -> None:
    rows = swept(row, {15: 0.5, 5: 0.4, 90: 0.7, 45.5: 0.6})
    curve = curve_of(rows)
    (line,) = curve.panels[0].lines
    assert (curve.title, curve.x_label, line.label) == ("Strength", "purify step", "RetPur-DHTA")
    assert [point.x for point in line.points] == [5, 15, 45.5, 90]
    by_x = {float(r.variant.removeprefix("t_p=")): r.metrics["map"] for r in rows}
    assert all(point.interval == by_x[point.x] for point in line.points)


def test_a_number_without_an_interval_is_a_point_too(row: Rows, curve_of: Draw) -> None:
    rows = swept(row, {5: 0.4, 15: 0.5})
    rows[0] = replace(rows[0], metrics={"map": Interval(0.4, math.nan, math.nan)})
    (line,) = curve_of(rows).panels[0].lines
    first, second = (point.interval for point in line.points)
    assert (first.value, math.isnan(first.low), math.isnan(first.high)) == (0.4, True, True)
    assert second == rows[1].metrics["map"]


def test_each_metric_is_a_panel_with_its_unit(row: Rows, curve_of: Draw) -> None:
    metrics = [{"name": "map", "label": "MAP"}, {"name": "purified_rmse", "label": "change", "unit": "gray"}]
    curve = curve_of(swept(row, {5: 0.4, 15: 0.5}), metrics=metrics)
    assert [(panel.label, panel.unit) for panel in curve.panels] == [("MAP", "percent"), ("change", "gray")]
    (line,) = curve.panels[1].lines
    assert [point.interval.value for point in line.points] == pytest.approx([0.04, 0.05])


def test_a_curve_does_not_change_the_table(row: Rows, evidence: Gather) -> None:
    rows = [*swept(row, {5: 0.4, 15: 0.5}), row("dhta", "none", 0.2)]
    (drawn,), (plain,) = pivot(evidence(rows), layout()), pivot(evidence(rows), layout(curve=None))
    assert plain.curve is None
    assert drawn._replace(curve=None) == plain


def test_rows_with_different_labels_or_columns_are_different_lines(row: Rows, curve_of: Draw) -> None:
    rows = [
        row(a, "retpur", 0.5, f"t_p={x}", hasher=h) for h in ("dph", "dpsh") for a in ("p2p", "dhta") for x in (1, 2)
    ]
    lines = curve_of(rows, order={"hasher": ("dpsh", "dph")}).panels[0].lines
    assert [line.label for line in lines] == [
        "RetPur-P2P DPSH",
        "RetPur-P2P DPH",
        "RetPur-DHTA DPSH",
        "RetPur-DHTA DPH",
    ]
    assert all(len(line.points) == 2 for line in lines)


def test_lines_are_labeled_by_the_other_options_of_a_variant(row: Rows, curve_of: Draw) -> None:
    rows = [row("dhta", "retpur", 0.5, f"eps={eps},t_p={x}") for eps in (0.1, 0.2) for x in (1, 2)]
    curve = curve_of(rows, names={"variant": {"eps=0.1": "weak"}})
    assert [line.label for line in curve.panels[0].lines] == ["RetPur-DHTA weak", "RetPur-DHTA eps=0.2"]


def test_a_value_with_commas_is_one_value(row: Rows, curve_of: Draw) -> None:
    rows = [row("dhta", "retpur", 0.5, f"layers=[1, 2],t_p={x}") for x in (1, 2)]
    (line,) = curve_of(rows).panels[0].lines
    assert line.label == "RetPur-DHTA layers=[1, 2]"
    assert [point.x for point in line.points] == [1, 2]


@pytest.mark.parametrize("option", ["t_p", "defense.t_p"])
def test_an_option_is_found_with_and_without_its_axis(row: Rows, option: str, curve_of: Draw) -> None:
    rows = [row("dhta", "retpur", 0.5, f"defense.t_p={x}") for x in (1, 2)]
    (line,) = curve_of(rows, curve={"option": option}).panels[0].lines
    assert [point.x for point in line.points] == [1, 2]


def test_an_option_that_two_axes_sweep_must_name_its_axis(row: Rows, curve_of: Draw, evidence: Gather) -> None:
    rows = [row("dhta", "retpur", 0.5, f"attack.t_p={x},defense.t_p=7") for x in (1, 2)]
    with pytest.raises(LayoutError, match=r"got 't_p', expected one of attack\.t_p, defense\.t_p"):
        pivot(evidence(rows), layout())
    (line,) = curve_of(rows, curve={"option": "attack.t_p"}).panels[0].lines
    assert [point.x for point in line.points] == [1, 2]


def test_unswept_rows_that_match_a_reference_pattern_are_references(row: Rows, curve_of: Draw) -> None:
    rows = [*swept(row, {5: 0.4}), row("none", "none", 0.9), row("dhta", "none", 0.2), row("none", "ddpm", 0.8)]
    rows.append(row("dhta", "none", 0.3, "t_p=5"))
    references = curve_of(rows).panels[0].references
    assert [(reference.label, reference.interval) for reference in references] == [
        ("clean", Interval(0.9, 0.8, 0.9500000000000001)),
        ("attacked", rows[2].metrics["map"]),
    ]


def test_references_of_one_pattern_have_different_labels(row: Rows, curve_of: Draw) -> None:
    rows = [*swept(row, {5: 0.4}), row("p2p", "none", 0.2), row("dhta", "none", 0.3)]
    rows += [row("none", "none", 0.9, hasher=hasher) for hasher in ("dpsh", "dph")]
    labels = [reference.label for reference in curve_of(rows).panels[0].references]
    assert labels == ["clean DPSH", "clean DPH", "attacked P2P DPSH", "attacked DHTA DPSH"]


def test_a_reference_without_a_label_has_the_label_of_its_row(row: Rows, curve_of: Draw) -> None:
    rows = [*swept(row, {5: 0.4}), row("dhta", "none", 0.2)]
    curve = curve_of(rows, curve={"option": "t_p", "reference": [{"attack": "dhta", "defense": "none"}]})
    assert [reference.label for reference in curve.panels[0].references] == ["DHTA"]


def test_a_cell_without_a_number_is_left_out_of_its_line(row: Rows, curve_of: Draw) -> None:
    rows = swept(row, {5: 0.4, 15: 0.5, 45: 0.6, 90: 0.7, 200: 0.8})
    rows[1] = replace(rows[1], status="skipped", reason="no weights", metrics={})
    rows[2] = replace(rows[2], status="missing", metrics={})
    rows[3] = replace(rows[3], metrics={"map": Interval(math.nan, math.nan, math.nan)})
    (line,) = curve_of(rows).panels[0].lines
    assert [point.x for point in line.points] == [5, 200]


def test_a_line_without_any_number_is_left_out(row: Rows, curve_of: Draw, evidence: Gather) -> None:
    skipped = [replace(r, attack="p2p", status="skipped", metrics={}) for r in swept(row, {5: 0.4, 15: 0.5})]
    (line,) = curve_of([*skipped, *swept(row, {5: 0.4})]).panels[0].lines
    assert line.label == "RetPur-DHTA"
    (table,) = pivot(evidence([*skipped, row("none", "none", 0.5)]), layout())
    assert table.curve is None


def test_each_page_has_a_curve(row: Rows, evidence: Gather) -> None:
    rows = [r for name in ("digits", "scenes") for r in swept(row, {5: 0.4, 15: 0.5}, dataset=name)]
    tables = pivot(evidence(rows), layout(columns=("hasher",)))
    assert [table.curve.title for table in tables if table.curve] == [
        "Strength (dataset digits)",
        "Strength (dataset scenes)",
    ]


def test_the_error_for_an_option_that_no_row_sweeps_lists_swept_options(row: Rows, evidence: Gather) -> None:
    rows = [row("dhta", "retpur", 0.5, "scale=3,attack.eps=0.1")]
    with pytest.raises(LayoutError, match=r"'Strength': curve: .*got 't_p', expected one of attack\.eps, scale"):
        pivot(evidence(rows), layout())
    with pytest.raises(LayoutError, match="got 't_p', expected a suite that sweeps it"):
        pivot(evidence([row("dhta", "retpur", 0.5)]), layout())


@pytest.mark.parametrize("value", ["ssim", "None", "nan", "True"])
def test_a_value_that_is_not_a_number_is_an_error(row: Rows, value: str, evidence: Gather) -> None:
    with pytest.raises(LayoutError, match=f"a value of t_p .*got '{value}', expected a finite number"):
        pivot(evidence([row("dhta", "retpur", 0.5, f"t_p={value}")]), layout())


def test_without_a_selection_a_curve_shows_swept_rows_and_references(row: Rows) -> None:
    rows = [
        row("none", "none", 0.9),
        row("dhta", "none", 0.4),
        row("dhta", "ddpm", 0.5),
        row("dhta", "retpur", 0.6, variant="t_p=5"),
        row("dhta", "retpur", 0.7, variant="scale=5"),
    ]
    assert [each for each in rows if layout().shows(each)] == [rows[0], rows[1], rows[3]]
