"""The style: contrast of its colors."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import product

import pytest

STYLE = (files("retbench.report.render.html") / "style.css").read_text("utf-8")
COLORS = {name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", STYLE)}
PAIRS = [
    *product(("ink", "soft", "accent"), ("paper", "sheet", "hover")),
    *product(("good", "bad"), ("paper", "sheet", "hover")),
    *product(("ink", "soft"), ("mute-paper",)),
    ("good", "good-paper"),
    ("bad", "bad-paper"),
]


def luminance(color: str) -> float:
    """Return the relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_greatest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "paper"), PAIRS)
def test_text_has_enough_contrast(ink: str, paper: str, theme: int) -> None:
    assert contrast(COLORS[ink][theme], COLORS[paper][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("frame", ["relevant", "wanted"])
def test_a_frame_has_enough_contrast(frame: str, theme: int) -> None:
    assert contrast(COLORS[frame][theme], COLORS["paper"][theme]) >= 3


def test_the_style_loads_no_other_file() -> None:
    assert not re.findall(r"@import|url\(|https?:", STYLE)
