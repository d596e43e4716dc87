"""Tables as LaTeX, formatted as in papers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, zip_longest
from typing import NamedTuple

from retbench.report.filename import slug, unique_stem
from retbench.report.render.cell import (
    CACHED_TEXTS,
    DASH,
    HASHER_HEADERS,
    PrintedCell,
    cost_headers,
    format_costs,
    format_hashers,
    format_value,
    one_line,
)
from retbench.report.tables.table import Emphasis, Table, TableRow

MAX_NARROW_COLUMNS = 6
"""A table with more columns than this spans both columns of a page."""
MAX_LINES = 50
"""A document splits a table with more lines than this, which would be unreadable when shrunk to one page."""
EMPHASIS: dict[Emphasis, str] = {"": "%s", "best": r"\textbf{%s}", "tied": r"\underline{%s}"}
PREAMBLE = r"""
% To use one table in a paper, copy these lines into its preamble and the table's environment into its text:
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{booktabs,graphicx,multirow,textcomp}
% The interval after a number. To omit it, write \renewcommand{\retbenchinterval}[1]{} after these lines.
\newcommand{\retbenchinterval}[1]{ {\scriptsize #1}}
% A line below a number: ties, or the published number.
\newcommand{\retbenchnote}[1]{{\scriptsize #1}}
% Shrink a table that is wider than the text or nearly as high as the page; leave other tables as they are.
\newsavebox{\retbenchbox}
\newcommand{\retbenchfit}[1]{%
  \sbox{\retbenchbox}{#1}%
  \ifdim\wd\retbenchbox>\linewidth
    \sbox{\retbenchbox}{\resizebox{\linewidth}{!}{\usebox{\retbenchbox}}}%
  \fi
  \ifdim\dimexpr\ht\retbenchbox+\dp\retbenchbox\relax>.8\textheight
    \sbox{\retbenchbox}{\resizebox*{!}{.8\textheight}{\usebox{\retbenchbox}}}%
  \fi
  \usebox{\retbenchbox}}
% Footnotes, as wide as the table above them, and at least half as wide as the text.
\newcommand{\retbenchnotes}[1]{\par\smallskip
  \begin{minipage}{\ifdim\wd\retbenchbox<.5\linewidth .5\linewidth\else\wd\retbenchbox\fi}
    \footnotesize\raggedright #1%
  \end{minipage}}
% End of the preamble.
"""


_SMALL = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "mathit{o}", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip  # one per line would hide that it is an alphabet
_CAPITAL = {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"}
_GREEK = {
    **{chr(0x3B1 + at): name for at, name in enumerate(_SMALL)},
    **{chr(0x391 + at): name.title() for at, name in enumerate(_SMALL) if name in _CAPITAL},
}
_SYMBOLS = {
    "\u2264": "le", "\u2265": "ge", "\u2260": "ne", "\u2248": "approx", "\u221e": "infty", "\u2192": "rightarrow",
    "\u2190": "leftarrow", "\u2113": "ell", "\u2208": "in", "\u221a": "surd",
}  # fmt: skip  # pairs are easier to check side by side
SPELLING = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "^": r"\textasciicircum{}",
    "_": r"\_", "~": r"\textasciitilde{}", "%": r"\%", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': "''", "[": "{[}", "]": "{]}", "*": "{*}",
    "\u2020": r"\dag{}", "\u2021": r"\ddag{}", "\u2013": r"\textendash{}", "\u2014": r"\textemdash{}",
    "\u2026": r"\ldots{}", "\u2018": r"\textquoteleft{}", "\u2019": "'", "\u201c": "``", "\u201d": "''",
    "\u2022": r"\textbullet{}", "\u2212": "$-$",
    **{sign: f"$\\{name}$" for sign, name in {**_GREEK, **_SYMBOLS}.items()},
}  # fmt: skip  # pairs are easier to check side by side
"""The LaTeX source of a character; brackets and stars are wrapped because they have a meaning after a line break."""

_MISSING = "\u00ad\u0126\u0127\u0138\u013f\u0140\u0149\u0166\u0167\u017f"
AVAILABLE = {*map(chr, range(0x20, 0x7F)), *map(chr, range(0xA1, 0x180)), *"\u0218\u0219\u021a\u021b"} - {*_MISSING}
"""The characters in LaTeX's T1 and TS1 fonts: Latin letters with accents, and common symbols."""


class ColumnWidth(NamedTuple):
    """The number of characters of the widest value of a column, and of its widest interval."""

    value: int
    interval: int


def latex_table(table: Table, label: str = "") -> str:
    """Return a table as a `table` environment, or `table*` if it is wide; the environment requires `PREAMBLE`.

    Args:
        table: the table.
        label: its label; by default `tab:` and the title as a slug.
    """
    kind = "table*" if len(table.columns) > MAX_NARROW_COLUMNS else "table"
    title = tex(table.title)
    heading = f"\\textbf{{{title}{'' if title.endswith(('.', '?', '!')) else '.'}}} {tex(table.caption)}".rstrip()
    lines = [
        f"\\begin{{{kind}}}[!htbp]",
        "  \\centering",
        f"  \\caption{{{heading}}}",
        f"  \\label{{{label or f'tab:{slug(table.title)}'}}}",
        "  \\par\\medskip",
        "  \\retbenchfit{%",
        *(f"    {line}" for line in _tabular(table)),
        "  }",
        *_notes(table),
        f"\\end{{{kind}}}",
    ]
    return "\n".join(lines)


def as_latex(tables: Sequence[Table], title: str) -> str:
    """Return tables as a complete LaTeX document: each on separate pages, with costs, hashers and provenance.

    A table with many lines is split into parts, each with caption and footnotes.
    """
    taken: set[str] = set()
    pages = [
        (latex_table(part, f"tab:{unique_stem(slug(part.title), taken)}"), _small_tables(part), _provenance(part))
        for table in tables
        for part in _parts(table)
    ]
    body = "\n\n\\clearpage\n\n".join("\n\n".join(part for part in page if part) for page in pages)
    opening = [
        f"% {tex(title)}",
        "\\documentclass[a4paper]{article}",
        PREAMBLE.strip(),
        "\\usepackage[landscape,margin=15mm]{geometry}",
        "\\IfFileExists{lmodern.sty}{\\usepackage{lmodern}}{}",
        "\\begin{document}",
        f"\\begin{{center}}\\Large {tex(title)}\\end{{center}}",
    ]
    return "\n".join([*opening, "", body, "", "\\end{document}", ""])


def _parts(table: Table) -> list[Table]:
    """Return a table in parts of at most `MAX_LINES` lines; costs, hashers and provenance are in the last part."""
    parts: list[list[TableRow]] = [[]]
    height = 0
    for row in table.rows:
        lines = 1 + max(len(_lines_below(format_value(value))) for value in row.values)
        if height + lines > MAX_LINES:
            parts.append([])
            height = 0
        parts[-1].append(row)
        height += lines
    if len(parts) == 1:
        return [table]
    numbered = [
        table._replace(
            title=f"{table.title} (part {at} of {len(parts)})", rows=tuple(rows), costs=(), hashers=(), provenance=()
        )
        for at, rows in enumerate(parts, 1)
    ]
    return [
        *numbered[:-1],
        numbered[-1]._replace(costs=table.costs, hashers=table.hashers, provenance=table.provenance),
    ]


def _tabular(table: Table) -> Iterator[str]:
    stub = 2 if any(row.block for row in table.rows) else 1
    grid = [[format_value(value) for value in row.values] for row in table.rows]
    widths = [_width(column) for column in zip(*grid, strict=True)]
    yield f"\\begin{{tabular}}{{{'l' * stub}{'c' * len(table.columns)}}}"
    yield "  \\toprule"
    yield from (f"  {line}" for line in _headers(table.columns, stub))
    for block, rows in groupby(zip(table.rows, grid, strict=True), key=lambda pair: pair[0].block):
        yield "  \\midrule"
        yield from (f"  {line}" for line in _block(block, list(rows), stub, widths))
    yield "  \\bottomrule"
    yield "\\end{tabular}"


def _headers(columns: Sequence[tuple[str, ...]], stub: int) -> Iterator[str]:
    """Yield a line for each level; adjacent equal outer headers are merged, with a rule below."""
    for level in range(len(columns[0])):
        inner = level == len(columns[0]) - 1
        keys = [(*headers[: level + 1], *([str(at)] if inner else [])) for at, headers in enumerate(columns)]
        runs = [(key[level], len(list(run))) for key, run in groupby(keys)]
        names = [
            tex(name) if length == 1 else f"\\multicolumn{{{length}}}{{c}}{{{tex(name)}}}" for name, length in runs
        ]
        yield " & ".join([*[""] * stub, *names]).lstrip() + r" \\"
        rules = " ".join(_rules(runs, stub + 1))
        if rules and not inner:
            yield rules


def _rules(runs: Sequence[tuple[str, int]], first: int) -> Iterator[str]:
    for name, length in runs:
        if name:
            yield f"\\cmidrule(lr){{{first}-{first + length - 1}}}"
        first += length


def _block(
    block: str, rows: Sequence[tuple[TableRow, list[PrintedCell]]], stub: int, widths: Sequence[ColumnWidth]
) -> list[str]:
    """Return the lines of a block: for each row its numbers, then the lines below them."""
    lines: list[list[str]] = []
    ends: list[str] = []
    for row, cells in rows:
        below = list(zip_longest(*map(_lines_below, cells), fillvalue=""))
        lines.append([tex(row.label), *map(_number, cells, widths)])
        lines += [["", *texts] for texts in below]
        ends += [*[r" \\[-0.6ex]"] * len(below), r" \\\addlinespace[.3em]" if below else r" \\"]
    if stub == 2:
        name = f"\\multirow{{{len(lines)}}}{{*}}{{{tex(block)}}}" if len(lines) > 1 and block else tex(block)
        lines = [[name if at == 0 else "", *line] for at, line in enumerate(lines)]
    return [f"{' & '.join(line).lstrip()}{end}" for line, end in zip(lines, ends, strict=True)]


def _width(cells: Sequence[PrintedCell]) -> ColumnWidth:
    return ColumnWidth(max(len(cell.value) for cell in cells), max(len(cell.interval) for cell in cells))


def _number(cell: PrintedCell, width: ColumnWidth) -> str:
    """Return a cell's number, padded so that the decimal points of a column are aligned."""
    marks = f"\\rlap{{\\textsuperscript{{{tex(','.join(cell.marks))}}}}}" if cell.marks else ""
    if cell.value == DASH:
        return f"--{marks}"
    before, after = width.value - len(cell.value), width.interval - len(cell.interval)
    value = EMPHASIS[cell.emphasis] % _with_minus(cell.value)
    return f"{_padding(before)}{value}\\retbenchinterval{{{_with_minus(cell.interval)}}}{marks}{_padding(after)}"


def _lines_below(cell: PrintedCell) -> list[str]:
    first, rest = cell.published[:1], cell.published[1:]
    lines = [line for line in (cell.ties, *first, ", ".join(rest)) if line]
    return [f"\\retbenchnote{{{_with_minus(line)}}}" for line in lines]


def _with_minus(text: str) -> str:
    """Return a text of numbers with a minus sign, not a hyphen, before negative ones."""
    return re.sub(r"-(?=\d)", "$-$", text)


def _padding(digits: int) -> str:
    return f"\\phantom{{{'0' * digits}}}" if digits else ""


def _notes(table: Table) -> list[str]:
    if not table.footnotes:
        return []
    notes = (f"    \\textsuperscript{{{tex(mark)}}} {tex(text)}\\par" for mark, text in table.footnotes)
    return [r"  \retbenchnotes{%", *notes, "  }"]


def _small_tables(table: Table) -> str:
    """Return the costs of the rows, and the hashers; empty if both are."""
    tables = ((cost_headers(table), format_costs(table)), (HASHER_HEADERS, format_hashers(table)))
    return "\n".join(_small_table(headers, lines) for headers, lines in tables if lines)


def _small_table(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = ([tex(label), *(number.replace(DASH, "--") for number in numbers)] for label, *numbers in lines)
    source = [
        r"\begin{center}\footnotesize",
        f"  \\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}",
        r"    \toprule",
        f"    {' & '.join(map(tex, headers))} \\\\",
        r"    \midrule",
        *(f"    {' & '.join(row)} \\\\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{center}",
    ]
    return "\n".join(source)


def _provenance(table: Table) -> str:
    """Return a paragraph in small type for each line of a table's provenance."""
    lines = [f"\\noindent\\textbf{{{tex(label)}}}: {tex(text)}\\par" for label, text in table.provenance]
    return "\n".join([r"\begingroup\footnotesize\raggedright", *lines, r"\endgroup"]) if lines else ""


@lru_cache(maxsize=CACHED_TEXTS)
def tex(text: str) -> str:
    """Return a text as LaTeX source on one line.

    Straight double quotes are paired. A character that neither the fonts nor `SPELLING` have (an emoji, Chinese)
    becomes a question mark, because it would abort the compilation.
    """
    line = unicodedata.normalize("NFC", one_line(text))
    line = re.sub('"([^"]*)"', "\u201c\\1\u201d", line)
    spelled = "".join(SPELLING.get(sign, sign if sign in AVAILABLE else "?") for sign in line)
    return re.sub(r"(?<=-)(?=-)|(?<=,)(?=,)", "{}", spelled)  # two hyphens would be a dash, two commas a quotation mark
