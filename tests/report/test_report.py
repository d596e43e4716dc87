"""The tables of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from retbench.errors import LayoutError, UserError
from retbench.report import Layout, Report, make_tables, pivot, read_layout
from retbench.report.tables.table import PublishedComparison, PublishedValue
from retbench.results import Evidence, Row, StepRecord

Rows = Callable[..., Row]
Gather = Callable[..., Evidence]
METRICS = ({"name": "map", "label": "MAP"},)
PLAIN = Layout(title="Plain", columns=("hasher",), metrics=METRICS)
ABSENT = Layout(title="Absent", columns=("hasher",), metrics=METRICS, select=[{"attack": "p2p"}])
CURVED = Layout(
    title="Curved", columns=("hasher",), rows=("attack", "variant"), metrics=METRICS, curve={"option": "t_p"}
)
GUIDANCE = read_layout("guidance-effect", Path())


def test_tables_are_ordered_by_layout_and_page(row: Rows, evidence: Gather) -> None:
    collected = evidence([row("p2p", "none", 0.5, bits=bits) for bits in (16, 32)])
    tables = make_tables(collected, [ABSENT, PLAIN])
    assert [table.title for table in tables] == [
        f"{name} (bits {bits})" for name in ("Absent", "Plain") for bits in (16, 32)
    ]
    assert tables == (*pivot(collected, ABSENT), *pivot(collected, PLAIN))


def test_a_narrowed_suite_leaves_out_layouts_without_results(row: Rows, evidence: Gather) -> None:
    collected = evidence([row("dhta", "none", 0.5)])
    assert [table.title for table in make_tables(collected, [PLAIN, ABSENT, CURVED], narrowed=True)] == ["Plain"]
    for narrowed, layouts in ((False, [PLAIN, ABSENT]), (True, [ABSENT])):
        with pytest.raises(LayoutError, match="selects none of the 1 rows"):
            make_tables(collected, layouts, narrowed=narrowed)


def test_a_narrowed_suite_leaves_out_a_curve_with_results_for_its_references_only(row: Rows, evidence: Gather) -> None:
    referred = CURVED.model_copy(update={"curve": {"option": "t_p", "reference": [{"attack": "dhta"}]}})
    referred = Layout(**referred.model_dump(exclude={"curve", "select"}), curve=referred.curve)
    collected = [row("dhta", "none", 0.5)]
    assert [table.title for table in make_tables(evidence(collected), [PLAIN, referred], narrowed=True)] == ["Plain"]
    swept = [*collected, row("dhta", "none", 0.5, "t_p=5")]
    tables = make_tables(evidence(swept), [PLAIN, referred], narrowed=True)
    assert [bool(table.curve) for table in tables if table.title == "Curved"] == [True]


def test_a_paired_layout_without_a_pair_gives_no_table(scored: Rows, evidence: Gather) -> None:
    collected = evidence([scored("dhta", "retpur", [0.5]), scored("p2p", "ddpm", [0.5])])
    assert [table.title for table in make_tables(collected, [GUIDANCE, PLAIN])] == ["Plain"]


def test_a_paired_layout_without_one_side_is_an_error_unless_the_suite_is_narrowed(
    scored: Rows, evidence: Gather
) -> None:
    collected = evidence([scored("dhta", "retpur", [0.5])])
    assert [table.title for table in make_tables(collected, [GUIDANCE, PLAIN], narrowed=True)] == ["Plain"]
    with pytest.raises(LayoutError, match="paired: no cell has this defense: got 'ddpm', expected one of retpur"):
        make_tables(collected, [GUIDANCE, PLAIN])


def test_a_narrowed_suite_leaves_out_layouts_whose_metrics_only_other_cells_have(row: Rows, evidence: Gather) -> None:
    changed = Layout(title="Change", columns=("hasher",), metrics=({"name": "perceptibility", "label": "change"},))
    collected = evidence([row("none", "none", 0.5)])
    assert [table.title for table in make_tables(collected, [PLAIN, changed], narrowed=True)] == ["Plain"]
    with pytest.raises(LayoutError, match="no row has this metric: got 'perceptibility'"):
        make_tables(collected, [PLAIN, changed])


def test_uniform_refuses_every_table_that_mixes_versions(
    row: Rows, evidence: Gather, step: Callable[..., StepRecord]
) -> None:
    rows = [replace(row(attack, "none", 0.5), steps=(attack,)) for attack in ("p2p", "dhta")]
    collected = evidence(rows, {"p2p": step(), "dhta": step(torch="2.1")})
    assert len(make_tables(collected, [ABSENT], uniform=True)) == 1
    with pytest.raises(UserError, match="report --uniform: Plain: it mixes versions"):
        make_tables(collected, [ABSENT, PLAIN], uniform=True)


def test_every_number_is_compared_with_published_ones(row: Rows, evidence: Gather) -> None:
    compared = []

    def compare(row: Row, metric: str, interval: object) -> PublishedComparison | None:
        compared.append((row.attack, metric))
        return PublishedComparison(PublishedValue((50.0,), None, "not comparable", "Paper"), ())

    collected = evidence([row(attack, "none", 0.5) for attack in ("p2p", "dhta")])
    tables = make_tables(collected, [PLAIN, ABSENT], comparator=compare)
    assert compared == [("p2p", "map"), ("dhta", "map"), ("p2p", "map")]
    assert all(value.published for table in tables for line in table.rows for value in line.values)


def test_a_report_has_no_pictures_by_default() -> None:
    report = Report("suite", "A suite.", ())
    assert (report.pictures, report.gallery, report.provenance) == ((), None, ())
