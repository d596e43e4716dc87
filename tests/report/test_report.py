"""Which tables a report has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from retbench.errors import LayoutError, UserError
from retbench.report import Layout, Report, make_tables, pivot, read_layout
from retbench.report.tables.table import Judgment, Published
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


def test_tables_stand_in_the_order_of_their_layouts_and_pages(row: Rows, evidence: Gather) -> None:
    given = evidence([row("p2p", "none", 0.5, bits=bits) for bits in (16, 32)])
    tables = make_tables(given, [ABSENT, PLAIN])
    assert [table.title for table in tables] == [
        f"{name} (bits {bits})" for name in ("Absent", "Plain") for bits in (16, 32)
    ]
    assert tables == (*pivot(given, ABSENT), *pivot(given, PLAIN))


def test_of_a_narrowed_suite_only_the_layouts_that_it_answers_are_laid_out(row: Rows, evidence: Gather) -> None:
    given = evidence([row("dhta", "none", 0.5)])
    assert [table.title for table in make_tables(given, [PLAIN, ABSENT, CURVED], narrowed=True)] == ["Plain"]
    for narrowed, layouts in ((False, [PLAIN, ABSENT]), (True, [ABSENT])):
        with pytest.raises(LayoutError, match="selects none of the 1 rows"):
            make_tables(given, layouts, narrowed=narrowed)


def test_a_curve_that_only_its_references_answer_is_not_laid_out_of_a_narrowed_suite(
    row: Rows, evidence: Gather
) -> None:
    referred = CURVED.model_copy(update={"curve": {"option": "t_p", "reference": [{"attack": "dhta"}]}})
    referred = Layout(**referred.model_dump(exclude={"curve", "select"}), curve=referred.curve)
    given = [row("dhta", "none", 0.5)]
    assert [table.title for table in make_tables(evidence(given), [PLAIN, referred], narrowed=True)] == ["Plain"]
    swept = [*given, row("dhta", "none", 0.5, "t_p=5")]
    tables = make_tables(evidence(swept), [PLAIN, referred], narrowed=True)
    assert [bool(table.curve) for table in tables if table.title == "Curved"] == [True]


def test_a_paired_layout_without_a_pair_gives_no_table(scored: Rows, evidence: Gather) -> None:
    given = evidence([scored("dhta", "retpur", [0.5]), scored("p2p", "ddpm", [0.5])])
    assert [table.title for table in make_tables(given, [GUIDANCE, PLAIN])] == ["Plain"]


def test_a_paired_layout_that_lacks_a_side_is_a_mistake_unless_the_suite_is_narrowed(
    scored: Rows, evidence: Gather
) -> None:
    given = evidence([scored("dhta", "retpur", [0.5])])
    assert [table.title for table in make_tables(given, [GUIDANCE, PLAIN], narrowed=True)] == ["Plain"]
    with pytest.raises(LayoutError, match="paired: no cell has this defense: got 'ddpm', expected one of retpur"):
        make_tables(given, [GUIDANCE, PLAIN])


def test_a_layout_whose_metrics_only_other_cells_have_is_not_laid_out_of_a_narrowed_suite(
    row: Rows, evidence: Gather
) -> None:
    changed = Layout(title="Change", columns=("hasher",), metrics=({"name": "perceptibility", "label": "change"},))
    given = evidence([row("none", "none", 0.5)])
    assert [table.title for table in make_tables(given, [PLAIN, changed], narrowed=True)] == ["Plain"]
    with pytest.raises(LayoutError, match="no row has this metric: got 'perceptibility'"):
        make_tables(given, [PLAIN, changed])


def test_every_table_is_refused_that_mixes_what_must_be_uniform(
    row: Rows, evidence: Gather, step: Callable[..., StepRecord]
) -> None:
    rows = [replace(row(attack, "none", 0.5), steps=(attack,)) for attack in ("p2p", "dhta")]
    given = evidence(rows, {"p2p": step(), "dhta": step(torch="2.1")})
    assert len(make_tables(given, [ABSENT], uniform=True)) == 1
    with pytest.raises(UserError, match="report --uniform: Plain: it mixes versions"):
        make_tables(given, [ABSENT, PLAIN], uniform=True)


def test_a_judge_is_asked_for_every_number(row: Rows, evidence: Gather) -> None:
    asked = []

    def judge(row: Row, metric: str, interval: object) -> Judgment | None:
        asked.append((row.attack, metric))
        return Judgment(Published((50.0,), None, "not comparable", "Paper"), ())

    given = evidence([row(attack, "none", 0.5) for attack in ("p2p", "dhta")])
    tables = make_tables(given, [PLAIN, ABSENT], judge=judge)
    assert asked == [("p2p", "map"), ("dhta", "map"), ("p2p", "map")]
    assert all(value.published for table in tables for line in table.rows for value in line.values)


def test_a_report_has_no_pictures_until_they_are_asked_for() -> None:
    report = Report("suite", "What it is.", ())
    assert (report.pictures, report.gallery, report.provenance) == ((), None, ())
