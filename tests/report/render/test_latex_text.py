"""Texts as LaTeX, read back by a parser of the allowed source."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retbench.report.render.cell import one_line
from retbench.report.render.latex import AVAILABLE, SPELLING, tex

PIECE = re.compile(
    r"(?P<command>\\[A-Za-z]+\{\})|(?P<sign>\\[{}$&#_%])|(?P<group>\{[\[\]*]?\})|(?P<maths>\$[^$]+\$)|(?P<quotes>``|'')"
    r"|(?P<plain>[^\\{}$&#^_~%\[\]*<>|`\"])"
)
NAMES = st.one_of(
    st.text(), st.text('\\{}$&#^_~%<>|"`[]*-,.!? aé\u2020\u2013\u03b5'), st.text(sorted({*SPELLING} | AVAILABLE))
)


def pieces(spelled: str) -> list[str]:
    """Return the characters that a LaTeX source prints; fail on any source that is not allowed."""
    read = {spelling: sign for sign, spelling in SPELLING.items() if len(spelling) > 1} | {
        "''": '"',
        "``": '"',
        "{}": "",
    }
    characters, at = [], 0
    while at < len(spelled):
        piece = PIECE.match(spelled, at)
        assert piece, f"at {at}: {spelled[at:]!r}"
        characters.append(read.get(piece[0], piece[0]))
        at = piece.end()
    return characters


def test_every_special_character_is_escaped() -> None:
    assert tex(r"\ { } $ & # ^ _ ~ % < > |") == (
        r"\textbackslash{} \{ \} \$ \& \# \textasciicircum{} \_ \textasciitilde{} \% "
        r"\textless{} \textgreater{} \textbar{}"
    )


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("skipped \u2020, \u2021", r"skipped \dag{}, \ddag{}"),
        ("1\u20132 \u2014 \u2212\u03b5 \u2264 \u03a9", r"1\textendash{}2 \textemdash{} $-$$\epsilon$ $\le$ $\Omega$"),
        ('"original" asks "', "``original'' asks ''"),
        ("a--b,,c---", "a-{}-b,{},c-{}-{}-"),
        ("[x]*", "{[}x{]}{*}"),
        ("e\u0301 \u00fc \u0159", "\u00e9 \u00fc \u0159"),
        ("\u65e5\u672c \U0001f389 a\u0335", "?? ? a?"),
        ("two\nlines\x00", "two lines"),
    ],
)
def test_characters_have_their_latex_source(text: str, spelled: str) -> None:
    assert tex(text) == spelled


@given(NAMES)
def test_no_text_is_read_as_a_command(text: str) -> None:
    read = "".join(pieces(tex(text)))  # fails on an unexpected command
    assert len(read) <= len(unicodedata.normalize("NFC", one_line(text)))


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="'")))
def test_ascii_is_printed_unchanged(text: str) -> None:
    """Apostrophes are left out: LaTeX itself reads two of them as a closing quotation mark."""
    assert "".join(pieces(tex(text))) == one_line(text)


@given(NAMES)
def test_only_characters_of_the_fonts_remain(text: str) -> None:
    assert {*tex(text)} <= AVAILABLE
