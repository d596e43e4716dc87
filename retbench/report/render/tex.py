"""Texts as LaTeX: what must be escaped, and what its fonts have."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from retbench.report.render.cell import REMEMBERED, one_line

_SMALL = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "mathit{o}", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip  # one a line would hide that it is an alphabet
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
"""How LaTeX spells a sign; brackets and stars are wrapped because they mean something after a line's end."""

_MISSING = "\u00ad\u0126\u0127\u0138\u013f\u0140\u0149\u0166\u0167\u017f"
DRAWN = {*map(chr, range(0x20, 0x7F)), *map(chr, range(0xA1, 0x180)), *"\u0218\u0219\u021a\u021b"} - {*_MISSING}
"""The signs that LaTeX's T1 and TS1 fonts draw as they are: Latin letters with their accents, and common signs."""


@lru_cache(maxsize=REMEMBERED)
def tex(text: str) -> str:
    """Returns a text on one line as LaTeX prints it.

    Straight double quotes are paired. A sign that neither the fonts nor `SPELLING` have (an emoji, Chinese) becomes a
    question mark, because it would end the compilation.
    """
    told = unicodedata.normalize("NFC", one_line(text))
    told = re.sub('"([^"]*)"', "\u201c\\1\u201d", told)
    spelled = "".join(SPELLING.get(sign, sign if sign in DRAWN else "?") for sign in told)
    return re.sub(r"(?<=-)(?=-)|(?<=,)(?=,)", "{}", spelled)  # two hyphens would be a dash, two commas a quotation mark
