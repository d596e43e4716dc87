"""Tables as LaTeX: their structure, and compilation of a document with all special cases."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retbench.metrics import Interval
from retbench.report.render.latex import AVAILABLE, PREAMBLE, SPELLING, as_latex, latex_table
from retbench.report.tables.table import CostLine, PublishedValue, Table, TableRow, Value
from retbench.report.tables.unit import Unit
from retbench.results import TieRange

HALF = Interval(0.5, 0.4, 0.6)
SMALL = Interval(0.05, 0.04, 0.06)
ASCII = "".join(map(chr, range(0x21, 0x7F)))
SPECIAL = f"[*] {ASCII} \u2020 \u2021 \u2013 \u00e9\u00fc\u0159 \u65e5\u672c \U0001f389 a--b \u03b5 \u2264 8/255"
NAMES = st.text('\\{}$&#^_~%<>|"`[]*- a\n')


def flat(*names: str, levels: int = 1) -> tuple[tuple[str, ...], ...]:
    return tuple((*["outer"] * (levels - 1), name) for name in names)


def environments(text: str) -> list[str]:
    """Return the environments of a text in the order they end; fail if they are not nested."""
    open_ones: list[str] = []
    closed = []
    for kind, name in re.findall(r"\\(begin|end)\{([^}]*)\}", text):
        if kind == "begin":
            open_ones.append(name)
        else:
            assert open_ones.pop() == name
            closed.append(name)
    assert not open_ones
    return closed


def grid(text: str) -> list[str]:
    """Return the lines of the first tabular that contain cells."""
    inside = text.split("\\begin{tabular}", 1)[1].split("\\end{tabular}", 1)[0]
    return [line.strip() for line in inside.splitlines() if "&" in line]


def width(line: str) -> int:
    """Return the number of columns of a line of a tabular, including those spanned by `multicolumn`."""
    spans = sum(int(span) - 1 for span in re.findall(r"\\multicolumn\{(\d+)\}", line))
    return 1 + len(re.findall(r"(?<!\\)&", line)) + spans


def test_a_table_is_formatted_as_in_a_paper(table: Table) -> None:
    assert latex_table(table).splitlines() == [
        r"\begin{table}[!htbp]",
        r"  \centering",
        r"  \caption{\textbf{Title.} Caption.}",
        r"  \label{tab:title}",
        r"  \par\medskip",
        r"  \retbenchfit{%",
        r"    \begin{tabular}{llcc}",
        r"      \toprule",
        r"      &  & \multicolumn{2}{c}{digits} \\",
        r"      \cmidrule(lr){3-4}",
        r"      &  & DPSH & DPH \\",
        r"      \midrule",
        r"      \multirow{5}{*}{MAP} & original & 50.00\retbenchinterval{[40.00, 60.00]}"
        r" & --\rlap{\textsuperscript{a}} \\[-0.6ex]",
        r"      &  & \retbenchnote{ties 35.00 to 62.50} &  \\\addlinespace[.3em]",
        r"      & RetPur & \textbf{25.00}\retbenchinterval{[20.00, 30.00]}"
        r" & \underline{25.00}\retbenchinterval{[20.00, 30.00]}\rlap{\textsuperscript{b}} \\[-0.6ex]",
        r"      &  & \retbenchnote{published 26.50} & \retbenchnote{published 46.17 to 61.09} \\[-0.6ex]",
        r"      &  & \retbenchnote{difference $-$1.50, agrees} & \retbenchnote{not comparable} \\\addlinespace[.3em]",
        r"      \midrule",
        r"      \multirow{2}{*}{RMS} & RetPur & --\rlap{\textsuperscript{\dag{}}}"
        r" & 25.50\retbenchinterval{[0.00, 51.00]}\phantom{0} \\",
        r"      & DDPM & -- & -- \\",
        r"      \bottomrule",
        r"    \end{tabular}",
        r"  }",
        r"  \retbenchnotes{%",
        r"    \textsuperscript{a} skipped: no weights\par",
        r"    \textsuperscript{b} other targets\par",
        r"    \textsuperscript{\dag{}} failed: out of memory\par",
        r"  }",
        r"\end{table}",
    ]


def test_a_simple_table_has_no_blocks_rules_or_notes() -> None:
    rows = (TableRow("", "SSIM", (Value(HALF), Value(SMALL))), TableRow("", "x", (Value(SMALL), Value(SMALL))))
    text = latex_table(Table("Is it?", flat("a", "b"), rows, (), ""), "tab:mine")
    assert r"\caption{\textbf{Is it?}}" in text
    assert r"\label{tab:mine}" in text
    assert grid(text) == [
        r"& a & b \\",
        r"SSIM & 50.00\retbenchinterval{[40.00, 60.00]} & 5.00\retbenchinterval{[4.00, 6.00]} \\",
        r"x & \phantom{0}5.00\retbenchinterval{[4.00, 6.00]}\phantom{00} & 5.00\retbenchinterval{[4.00, 6.00]} \\",
    ]
    for absent in ("cmidrule", "multirow", "retbenchnotes"):
        assert absent not in text


def test_equal_headers_are_merged_only_under_the_same_outer_header() -> None:
    columns = (("a", "x", "1"), ("a", "x", "1"), ("a", "y", "1"), ("b", "y", "2"), ("", "y", "2"))
    text = latex_table(Table("T", columns, (TableRow("", "r", (Value(HALF),) * 5),), (), ""))
    lines = [line.strip() for line in text.splitlines()]
    top = lines.index(r"\toprule")
    assert lines[top + 1 : top + 6] == [
        r"& \multicolumn{3}{c}{a} & b &  \\",
        r"\cmidrule(lr){2-4} \cmidrule(lr){5-5}",
        r"& \multicolumn{2}{c}{x} & y & y & y \\",
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-4} \cmidrule(lr){5-5} \cmidrule(lr){6-6}",
        r"& 1 & 1 & 1 & 2 & 2 \\",
    ]


@pytest.mark.parametrize(("columns", "kind"), [(6, "table"), (7, "table*")])
def test_a_wide_table_spans_the_page(columns: int, kind: str) -> None:
    row = TableRow("", "r", (Value(HALF),) * columns)
    assert environments(latex_table(Table("T", flat(*map(str, range(columns))), (row,), (), "")))[-1] == kind


def test_a_document_has_one_preamble_and_unique_labels(table: Table) -> None:
    text = as_latex([table, table], "Suite & co")
    assert text.count(PREAMBLE.strip()) == 1
    assert re.findall(r"\\label\{(.*)\}", text) == ["tab:title", "tab:title-2"]
    assert text.count("\\clearpage") == 1
    assert r"\Large Suite \& co" in text
    assert r"    original & 0.0210 to 0.0340 & -- & 1024 & -- \\" in text.splitlines()
    assert r"    digits DPSH & 41.00 & -- & 120 of 1597 & 9.50 \\" in text.splitlines()
    assert r"\noindent\textbf{Device}: two cores\par" in text.splitlines()
    assert environments(text).count("table") == 2


def test_a_document_splits_a_long_table_into_parts(table: Table) -> None:
    rows = tuple(TableRow("MAP", f"r{at}", (Value(HALF, tie_range=TieRange(0, 1)), Value(HALF))) for at in range(60))
    text = as_latex([table._replace(rows=rows)], "Suite")
    assert re.findall(r"\\label\{(.*)\}", text) == [f"tab:title-part-{at}-of-3" for at in (1, 2, 3)]
    assert re.findall(r"& r(\d+) &", text) == [str(at) for at in range(60)]
    assert text.count(r"\multirow{50}{*}{MAP}") == 2
    assert text.count(r"\multirow{20}{*}{MAP}") == 1
    assert text.index("Cost per image") > text.index("& r59 &")
    assert text.count("Cost per image") == text.count("two cores") == 1


@given(st.lists(NAMES, min_size=6, max_size=6))
def test_no_name_breaks_the_structure(names: list[str]) -> None:
    title, block, label, outer, inner, note = names
    values = (Value(HALF, tie_range=TieRange(0.1, 0.9)), Value(None, "a"))
    rows = (TableRow(block, label, values), TableRow("second", "r", values))
    table = Table(title, ((outer, inner), (outer, "x")), rows, (("a", note),), note, provenance=((title, note),))
    text = as_latex([table], title)
    assert environments(text)[-1] == "document"
    assert {width(line) for line in grid(latex_table(table))} == {4}
    body = re.sub(r"\\label\{[^}]*\}", "", text.split("\\begin{document}", 1)[1])  # a label may contain an underscore
    unescaped = re.sub(r"\\.", "", body)  # without escaped signs
    assert unescaped.count("{") == unescaped.count("}")
    assert not re.search(r"[#^~%_]", unescaped.replace("fit{%", "").replace("notes{%", ""))


def special_tables() -> list[Table]:
    """Return tables with 12 columns and 3 header levels, with 2 columns, and with more lines than a page."""
    published = PublishedValue((61.09,), -3.1, "agrees", "RetPur, Table 1")
    range_of = PublishedValue((46.17, 61.09), None, "not comparable", "RetPur, Table 2")
    values = (
        Value(HALF, emphasis="best", tie_range=TieRange(0.1, 0.9), published=published),
        Value(SMALL, emphasis="tied", published=range_of, notes=("a", "b")),
        Value(None, "\u2020"),
        Value(None, "\u20202"),
        Value(None, "missing"),
        Value(Interval(-0.1, -0.2, 0.0), unit=Unit.GRAY),
    )
    columns = tuple((outer, SPECIAL if middle else "", inner) for outer in "XY" for middle in (0, 1) for inner in "abc")
    rows = (
        TableRow(SPECIAL, SPECIAL, values * 2),
        TableRow(SPECIAL, "r", values * 2),
        TableRow("[x]", "*s", values * 2),
    )
    signs = " ".join(sorted({*SPELLING} | AVAILABLE))
    notes = (("a", SPECIAL), ("b", signs), ("\u2020", SPECIAL), ("\u20202", SPECIAL))
    costs = (CostLine(SPECIAL, (0.1, 0.2), None, (1e6, 1e9)),)
    wide = Table(SPECIAL, columns, rows, notes, signs, costs=costs, provenance=((SPECIAL, signs),))
    narrow = Table("Narrow", flat("a", "b"), (TableRow("", "[r]", values[:2]),), notes[:1], "")
    high = Table("High", flat("a", levels=2), tuple(TableRow("", str(at), values[:1]) for at in range(60)), (), "")
    return [wide, narrow, high]


def has_latex() -> bool:
    """Return whether LaTeX is installed with the packages of the preamble."""
    queries = [["kpsewhich", f"{name}.sty"] for name in ("booktabs", "multirow", "geometry", "textcomp")]
    return bool(shutil.which("pdflatex")) and all(
        subprocess.run(query, capture_output=True).stdout for query in queries
    )


@pytest.mark.skipif(not has_latex(), reason="needs pdflatex with booktabs and multirow")
def test_a_document_with_all_special_cases_compiles(tmp_path: Path) -> None:
    (tmp_path / "report.tex").write_text(as_latex(special_tables(), SPECIAL), encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
    log = (tmp_path / "report.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-3000:]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "Missing character" not in log
    assert "Float too large" not in log


@pytest.mark.skipif(not has_latex(), reason="needs pdflatex with booktabs and multirow")
def test_a_single_table_compiles_in_a_paper_without_intervals(tmp_path: Path, table: Table) -> None:
    switch = r"\renewcommand{\retbenchinterval}[1]{}"
    lines = [
        r"\documentclass[twocolumn]{article}",
        PREAMBLE,
        switch,
        r"\begin{document}",
        latex_table(table),
        r"\end{document}",
    ]
    (tmp_path / "paper.tex").write_text("\n".join(lines), encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_number_without_an_interval_is_printed_without_brackets() -> None:
    values = tuple(map(Value, (Interval(0.5, math.nan, math.nan), HALF)))
    line = grid(latex_table(Table("T", flat("x", "y"), (TableRow("", "r", values),), (), "")))[-1]
    without, whole = line.split("&")[-2:]
    assert ("50.00" in without, "[" in without, "nan" in without) == (True, False, False)
    assert "[40.00, 60.00]" in whole
