"""Rows as lines over a swept option: coordinates, order, labels, levels, what is left out, mistakes."""

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
    told = {
        "title": "Strength",
        "columns": ("dataset", "hasher"),
        "rows": ("attack", "defense", "variant"),
        "metrics": [{"name": "map", "label": "MAP"}],
        "curve": curve,
        **changes,
    }
    return Layout(**told)


def swept(row: Rows, values: dict[float, float], **axes: str | int) -> list[Row]:
    return [row("dhta", "retpur", number, f"t_p={x}", **axes) for x, number in values.items()]


@pytest.fixture
def curve_of(evidence: Gather) -> Callable[..., Curve]:
    """Return the curve of the only table of some rows, by a layout with some changes."""

    def draw(rows: list[Row], **changes: Any) -> Curve:
        (table,) = pivot(evidence(rows), layout(**changes))
        assert table.curve is not None
        return table.curve

    return draw


def test_a_line_has_the_intervals_of_its_rows_in_the_order_of_their_numbers(row: Rows, curve_of: Draw) -> None:
    rows = swept(row, {15: 0.5, 5: 0.4, 90: 0.7, 45.5: 0.6})
    curve = curve_of(rows)
    (line,) = curve.panels[0].lines
    assert (curve.title, curve.x_label, line.label) == ("Strength", "purify step", "RetPur-DHTA")
    assert [reading.x for reading in line.readings] == [5, 15, 45.5, 90]
    by_x = {float(r.variant.removeprefix("t_p=")): r.metrics["map"] for r in rows}
    assert all(reading.interval == by_x[reading.x] for reading in line.readings)


def test_a_number_of_unknown_uncertainty_is_read_all_the_same(row: Rows, curve_of: Draw) -> None:
    rows = swept(row, {5: 0.4, 15: 0.5})
    rows[0] = replace(rows[0], metrics={"map": Interval(0.4, math.nan, math.nan)})
    (line,) = curve_of(rows).panels[0].lines
    first, second = (reading.interval for reading in line.readings)
    assert (first.value, math.isnan(first.low), math.isnan(first.high)) == (0.4, True, True)
    assert second == rows[1].metrics["map"]


def test_each_metric_is_a_panel_with_its_unit(row: Rows, curve_of: Draw) -> None:
    metrics = [{"name": "map", "label": "MAP"}, {"name": "purified_rmse", "label": "change", "unit": "gray"}]
    curve = curve_of(swept(row, {5: 0.4, 15: 0.5}), metrics=metrics)
    assert [(panel.label, panel.unit) for panel in curve.panels] == [("MAP", "percent"), ("change", "gray")]
    (line,) = curve.panels[1].lines
    assert [reading.interval.value for reading in line.readings] == pytest.approx([0.04, 0.05])


def test_the_table_of_the_same_numbers_is_made_as_always(row: Rows, evidence: Gather) -> None:
    rows = [*swept(row, {5: 0.4, 15: 0.5}), row("dhta", "none", 0.2)]
    (drawn,), (plain,) = pivot(evidence(rows), layout()), pivot(evidence(rows), layout(curve=None))
    assert plain.curve is None
    assert drawn._replace(curve=None) == plain


def test_rows_of_other_labels_and_columns_are_other_lines(row: Rows, curve_of: Draw) -> None:
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
    assert all(len(line.readings) == 2 for line in lines)


def test_what_else_a_variant_sets_tells_lines_apart_by_its_name(row: Rows, curve_of: Draw) -> None:
    rows = [row("dhta", "retpur", 0.5, f"eps={eps},t_p={x}") for eps in (0.1, 0.2) for x in (1, 2)]
    curve = curve_of(rows, names={"variant": {"eps=0.1": "weak"}})
    assert [line.label for line in curve.panels[0].lines] == ["RetPur-DHTA weak", "RetPur-DHTA eps=0.2"]


def test_a_value_with_commas_is_one_value(row: Rows, curve_of: Draw) -> None:
    rows = [row("dhta", "retpur", 0.5, f"layers=[1, 2],t_p={x}") for x in (1, 2)]
    (line,) = curve_of(rows).panels[0].lines
    assert line.label == "RetPur-DHTA layers=[1, 2]"
    assert [reading.x for reading in line.readings] == [1, 2]


@pytest.mark.parametrize("option", ["t_p", "defense.t_p"])
def test_an_option_led_by_its_axis_is_found_with_and_without_it(row: Rows, option: str, curve_of: Draw) -> None:
    rows = [row("dhta", "retpur", 0.5, f"defense.t_p={x}") for x in (1, 2)]
    (line,) = curve_of(rows, curve={"option": option}).panels[0].lines
    assert [reading.x for reading in line.readings] == [1, 2]


def test_an_option_that_two_axes_sweep_must_say_which(row: Rows, curve_of: Draw, evidence: Gather) -> None:
    rows = [row("dhta", "retpur", 0.5, f"attack.t_p={x},defense.t_p=7") for x in (1, 2)]
    with pytest.raises(LayoutError, match=r"got 't_p', expected one of attack\.t_p, defense\.t_p"):
        pivot(evidence(rows), layout())
    (line,) = curve_of(rows, curve={"option": "attack.t_p"}).panels[0].lines
    assert [reading.x for reading in line.readings] == [1, 2]


def test_rows_that_match_a_reference_and_are_not_swept_are_levels(row: Rows, curve_of: Draw) -> None:
    rows = [*swept(row, {5: 0.4}), row("none", "none", 0.9), row("dhta", "none", 0.2), row("none", "ddpm", 0.8)]
    rows.append(row("dhta", "none", 0.3, "t_p=5"))
    levels = curve_of(rows).panels[0].levels
    assert [(level.label, level.interval) for level in levels] == [
        ("clean", Interval(0.9, 0.8, 0.9500000000000001)),
        ("attacked", rows[2].metrics["map"]),
    ]


def test_levels_of_one_reference_are_told_apart(row: Rows, curve_of: Draw) -> None:
    rows = [*swept(row, {5: 0.4}), row("p2p", "none", 0.2), row("dhta", "none", 0.3)]
    rows += [row("none", "none", 0.9, hasher=hasher) for hasher in ("dpsh", "dph")]
    labels = [level.label for level in curve_of(rows).panels[0].levels]
    assert labels == ["clean DPSH", "clean DPH", "attacked P2P DPSH", "attacked DHTA DPSH"]


def test_a_level_without_a_label_has_the_name_of_its_row(row: Rows, curve_of: Draw) -> None:
    rows = [*swept(row, {5: 0.4}), row("dhta", "none", 0.2)]
    curve = curve_of(rows, curve={"option": "t_p", "reference": [{"attack": "dhta", "defense": "none"}]})
    assert [level.label for level in curve.panels[0].levels] == ["DHTA"]


def test_a_cell_without_a_number_is_left_out_of_its_line(row: Rows, curve_of: Draw) -> None:
    rows = swept(row, {5: 0.4, 15: 0.5, 45: 0.6, 90: 0.7, 200: 0.8})
    rows[1] = replace(rows[1], status="skipped", reason="no weights", metrics={})
    rows[2] = replace(rows[2], status="missing", metrics={})
    rows[3] = replace(rows[3], metrics={"map": Interval(math.nan, math.nan, math.nan)})
    (line,) = curve_of(rows).panels[0].lines
    assert [reading.x for reading in line.readings] == [5, 200]


def test_a_line_without_a_number_is_not_drawn(row: Rows, curve_of: Draw, evidence: Gather) -> None:
    skipped = [replace(r, attack="p2p", status="skipped", metrics={}) for r in swept(row, {5: 0.4, 15: 0.5})]
    (line,) = curve_of([*skipped, *swept(row, {5: 0.4})]).panels[0].lines
    assert line.label == "RetPur-DHTA"
    (table,) = pivot(evidence([*skipped, row("none", "none", 0.5)]), layout())
    assert table.curve is None


def test_pages_have_a_picture_each(row: Rows, evidence: Gather) -> None:
    rows = [r for name in ("digits", "scenes") for r in swept(row, {5: 0.4, 15: 0.5}, dataset=name)]
    tables = pivot(evidence(rows), layout(columns=("hasher",)))
    assert [table.curve.title for table in tables if table.curve] == [
        "Strength (dataset digits)",
        "Strength (dataset scenes)",
    ]


def test_an_option_that_no_row_sweeps_names_those_that_are(row: Rows, evidence: Gather) -> None:
    rows = [row("dhta", "retpur", 0.5, "scale=3,attack.eps=0.1")]
    with pytest.raises(LayoutError, match=r"'Strength': curve: .*got 't_p', expected one of attack\.eps, scale"):
        pivot(evidence(rows), layout())
    with pytest.raises(LayoutError, match="got 't_p', expected a suite that sweeps it"):
        pivot(evidence([row("dhta", "retpur", 0.5)]), layout())


@pytest.mark.parametrize("value", ["ssim", "None", "nan", "True"])
def test_a_value_that_is_no_number_is_named(row: Rows, value: str, evidence: Gather) -> None:
    with pytest.raises(LayoutError, match=f"a value of t_p .*got '{value}', expected a number"):
        pivot(evidence([row("dhta", "retpur", 0.5, f"t_p={value}")]), layout())


def test_without_a_selection_a_curve_shows_what_sweeps_its_option_and_what_it_is_compared_with(row: Rows) -> None:
    rows = [
        row("none", "none", 0.9),
        row("dhta", "none", 0.4),
        row("dhta", "ddpm", 0.5),
        row("dhta", "retpur", 0.6, variant="t_p=5"),
        row("dhta", "retpur", 0.7, variant="scale=5"),
    ]
    assert [each for each in rows if layout().shows(each)] == [rows[0], rows[1], rows[3]]
