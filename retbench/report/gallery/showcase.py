"""Exhibits as a figure: the versions of each query at the left, what each of them found at the right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from textwrap import wrap
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from retbench.report.figures.canvas import DPI, Drawn, paint
from retbench.report.figures.look import COLORS
from retbench.report.figures.picture import Picture
from retbench.report.filename import fresh_stem, slug
from retbench.report.gallery.exhibit import Exhibit, Gallery, Hit, Ranking

# Lengths are dots, DPI to the inch: pictures of 32 pixels are shown at two and four times their size, and stay sharp.
MARGIN = 20
LARGE, SMALL = 128, 64
"""Sides of a version of the query, and of an answer."""
ACROSS, DOWN, PITCH = 144, 158, 78
"""From one version of the query to the next, beside it and below it, and from one answer to the next."""
LABELS = MARGIN + ACROSS + LARGE + 26
"""Where the labels of the rankings start."""
ANSWERS = LABELS + 184
"""Where the answers start."""
HEADER, STRIP, FOOT, LEGEND, TITLE = 66, 105, 14, 44, 28
"""Heights of an exhibit's header, of a ranking, of what is below the last one, of the legend, of a line of title."""
LETTER = 10
"""Dots that a letter is wide; a generous mean."""
FRAME = 3
"""Dots that a frame is wide."""
EXHIBITS = 6
"""As many a picture has, which is a page; the report's HTML page has them all."""

GREEN, RED, GRAY = COLORS[2], COLORS[1], "#b0b0b0"
INK, PALE = "#202020", "#606060"
RELEVANT, WANTED = "\N{CHECK MARK}", "\N{CIRCLED PLUS}"


def make_showcases(gallery: Gallery, name: str) -> tuple[Picture, ...]:
    """Return a picture of a gallery for each dataset: its first six exhibits; none of an empty gallery.

    Its title has their number where there are more.

    Args:
        gallery: the exhibits and their pictures.
        name: what the pictures' stems begin with.
    """
    taken: set[str] = set()
    pictures = []
    for dataset in dict.fromkeys(exhibit.dataset for exhibit in gallery.exhibits):
        exhibits = [exhibit for exhibit in gallery.exhibits if exhibit.dataset == dataset]
        which = exhibits[:EXHIBITS]
        rest = f" (first {EXHIBITS} of {len(exhibits)})" if len(exhibits) > EXHIBITS else ""
        title = f"What single queries of {dataset} found{rest}"
        drawn = draw_showcase(gallery, which, title)
        stem = fresh_stem(f"{slug(name)}-gallery-{slug(dataset)}", taken)
        pictures.append(Picture(stem, title, f"{title}. {' '.join(map(_describe, which))}", drawn.png, drawn.pdf))
    return tuple(pictures)


def _describe(exhibit: Exhibit) -> str:
    """Return in words what an exhibit shows."""
    of = "T-AP" if exhibit.target else "AP"
    values = ((ranking.label, ranking.t_map if exhibit.target else ranking.map) for ranking in exhibit.rankings)
    found = ", ".join(f"{label} {_percent(value)}" for label, value in values)
    return f"{exhibit.attack} on {exhibit.hasher}, query {exhibit.query} ({exhibit.which}): {of} {found}."


def draw_showcase(gallery: Gallery, which: Sequence[Exhibit], title: str) -> Drawn:
    """Return exhibits of a gallery as PNG and PDF, one below the other; equal bytes each time.

    Each shows the query clean, its amplified perturbation, the query attacked and purified; and the answers to it
    before the attack, under it and behind the defense, nearest first, with their Hamming distances. An answer that
    shares a class with the query has a green frame and a tick, one that the attacker wants a red frame and a cross in
    a circle, one that is both has both, one that is neither a thin gray frame. Without exhibits there are the title
    and the legend.
    """
    scene = _Scene(gallery, tuple(which), title)
    return paint(scene.width / DPI, scene.height / DPI, scene.paint)


class _Scene(NamedTuple):
    """What is painted; its sizes are dots."""

    gallery: Gallery
    exhibits: tuple[Exhibit, ...]
    title: str

    @property
    def width(self) -> int:
        """Has room for ten answers, and for more where there are more."""
        most = max((len(ranking.hits) for exhibit in self.exhibits for ranking in exhibit.rankings), default=0)
        return ANSWERS + PITCH * max(10, most) - (PITCH - SMALL) + MARGIN

    @property
    def lines(self) -> list[str]:
        """The lines of the title."""
        return wrap(self.title, (self.width - 2 * MARGIN) // (LETTER + 2))

    @property
    def top(self) -> int:
        """Where the first exhibit starts."""
        return TITLE * len(self.lines) + FOOT

    @property
    def row(self) -> int:
        """The height of an exhibit."""
        return HEADER + 3 * STRIP + FOOT

    @property
    def height(self) -> int:
        """That of the whole figure."""
        return self.top + self.row * len(self.exhibits) + LEGEND

    def paint(self, figure: Figure) -> None:
        """Paint the title, each exhibit on axes of its own, and the legend."""
        figure.set_layout_engine("none")
        axes = self._axes(figure, 0, self.top)
        for at, line in enumerate(self.lines):
            axes.text(self.width / 2, FOOT + TITLE * (at + 0.5), line, ha="center", va="center", fontsize=11, color=INK)
        for at, exhibit in enumerate(self.exhibits):
            axes = self._axes(figure, self.top + at * self.row, self.row)
            _Painter(axes, self.gallery, self.width).paint(exhibit)
        targeted = any(exhibit.target for exhibit in self.exhibits)
        _paint_legend(self._axes(figure, self.height - LEGEND, LEGEND), targeted)

    def _axes(self, figure: Figure, top: int, height: int) -> Axes:
        """Return axes over the whole width from `top` down; their unit is a dot, and y points down."""
        axes = figure.add_axes((0, 1 - (top + height) / self.height, 1, height / self.height))
        axes.set_axis_off()
        axes.set_xlim(0, self.width)
        axes.set_ylim(height, 0)
        axes.set_autoscale_on(False)
        return axes


class _Painter(NamedTuple):
    """Paints one exhibit on axes whose unit is a dot."""

    axes: Axes
    gallery: Gallery
    width: int

    def paint(self, exhibit: Exhibit) -> None:
        """Paint the header, the versions of the query and the rankings."""
        self.axes.plot([MARGIN, self.width - MARGIN], [1, 1], color="#d0d0d0", linewidth=0.8)
        self._header(exhibit)
        captions = (
            "clean query",
            f"perturbation \N{MULTIPLICATION SIGN}{exhibit.amplified:g}",
            "attacked query",
            "purified query",
        )
        for at, (caption, place) in enumerate(zip(captions, exhibit.pictures.values(), strict=True)):
            if place is not None:
                x, y = MARGIN + at % 2 * ACROSS, HEADER + at // 2 * DOWN
                self._picture(place, x, y, LARGE)
                self.axes.text(x + LARGE / 2, y + LARGE + 12, caption, ha="center", va="center", size=7.5, color=PALE)
        for at, ranking in enumerate(exhibit.rankings):
            self._ranking(ranking, HEADER + at * STRIP, bool(exhibit.target))

    def _header(self, exhibit: Exhibit) -> None:
        """Paint what was attacked and how it ended, then what the query shows and what the attacker wants."""
        measure = "T-AP" if exhibit.target else "AP"
        cell = f"{exhibit.attack} on {exhibit.hasher}" + (f", behind {exhibit.defense}" if exhibit.defense else "")
        change = f"query {exhibit.query}: {exhibit.which} of {measure}, {_signed(100 * exhibit.change)} points"
        shown = f"shows {exhibit.classes or 'no class'}"
        wanted = f"the attacker wants {exhibit.target}" if exhibit.target else ""
        half = (self.width - 2 * MARGIN) // (2 * LETTER) - 1
        for y, left, right, weight in ((20, cell, change, "bold"), (44, shown, wanted, "normal")):
            room = half if right else 2 * half
            self.axes.text(MARGIN, y, _cut(left, room), ha="left", va="center", size=8.5, weight=weight, color=INK)
            x = self.width - MARGIN
            self.axes.text(x, y, _cut(right, room), ha="right", va="center", size=8.5, color=PALE)

    def _ranking(self, ranking: Ranking, top: int, targeted: bool) -> None:
        precisions = [f"AP {_percent(ranking.map)}", *([f"T-AP {_percent(ranking.t_map)}"] if targeted else [])]
        room = (ANSWERS - LABELS) // LETTER
        label = wrap(ranking.label, room, max_lines=2, placeholder=" \N{HORIZONTAL ELLIPSIS}")
        for at, line in enumerate(label):
            self.axes.text(LABELS, top + 10 + 19 * at, line, va="center", size=8, weight="bold", color=INK)
        for at, line in enumerate(precisions, start=len(label)):
            self.axes.text(LABELS, top + 10 + 19 * at, line, va="center", size=8, color=PALE)
        for at, hit in enumerate(ranking.hits):
            self._hit(hit, ANSWERS + at * PITCH, top)

    def _hit(self, hit: Hit, x: int, y: int) -> None:
        """Paint an answer, its distance, and a frame and a mark for each whose classes it shares, one in the other."""
        marks = [(GREEN, RELEVANT)] * hit.relevant + [(RED, WANTED)] * hit.wanted
        frames = [(FRAME * at, color) for at, (color, _) in enumerate(marks, start=1)] or [(1, GRAY)]
        for wide, color in reversed(frames):  # the picture and the inner frame cover the outer one
            side = SMALL + 2 * wide
            self.axes.add_patch(Rectangle((x - wide, y - wide), side, side, facecolor=color, linewidth=0))
        self._picture(hit.image, x, y, SMALL)
        middle, below = x + SMALL / 2, y + SMALL + 15
        self.axes.text(middle + 2, below, str(hit.distance), ha="left", va="center", size=7.5, color=PALE)
        for at, (color, mark) in enumerate(reversed(marks)):
            self.axes.text(middle - 4 - 14 * at, below, mark, ha="right", va="center", size=7.5, color=color)

    def _picture(self, place: int, x: int, y: int, side: int) -> None:
        """Paint a picture in the middle of a square, as large as it fits."""
        pixels = _pixels(self.gallery.images[place])
        height, width = (side * length / max(pixels.shape[:2]) for length in pixels.shape[:2])
        left, top = x + (side - width) / 2, y + (side - height) / 2
        extent = (left, left + width, top + height, top)
        self.axes.imshow(pixels, extent=extent, interpolation="nearest", aspect="auto", zorder=2)


def _paint_legend(axes: Axes, targeted: bool) -> None:
    entries = [
        (RELEVANT, GREEN, "green frame: shares a class with the query"),
        *([(WANTED, RED, "red frame: shares a class with the attacker's target")] if targeted else []),
        ("3", PALE, "Hamming distance to the query"),
    ]
    x = MARGIN
    for mark, color, meaning in entries:
        axes.text(x, LEGEND / 2, mark, va="center", size=8.5, color=color)
        axes.text(x + 22, LEGEND / 2, meaning, va="center", size=8, color=PALE)
        x += 40 + 9 * len(meaning)


def _pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def _percent(value: float) -> str:
    return "\N{EN DASH}" if math.isnan(value) else f"{100 * value:.1f} %"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _cut(text: str, room: int) -> str:
    """Return a text on one line, or its start and an ellipsis where it has more letters than there is room for."""
    line = " ".join(text.split())
    return line if len(line) <= room else f"{line[: room - 1].rstrip(' ,')}\N{HORIZONTAL ELLIPSIS}"
