"""Exhibits as a figure: the versions of each query on the left, the answers to them on the right."""

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

from retbench.report.figures.canvas import DPI, DrawnFigure, draw_figure
from retbench.report.figures.picture import Picture
from retbench.report.figures.style import COLORS
from retbench.report.filename import slug, unique_stem
from retbench.report.gallery.exhibit import Exhibit, Gallery, Hit, Ranking

# Lengths are in dots, DPI per inch: images of 32 pixels are shown at two and four times their size, and stay sharp.
MARGIN = 20
QUERY_SIDE, ANSWER_SIDE = 128, 64
"""Side of an image of the query, and of an answer."""
QUERY_PITCH_X, QUERY_PITCH_Y, ANSWER_PITCH = 144, 158, 78
"""Distances between images of the query, horizontally and vertically, and between answers."""
LABELS_X = MARGIN + QUERY_PITCH_X + QUERY_SIDE + 26
"""Left edge of the labels of the rankings."""
ANSWERS_X = LABELS_X + 184
"""Left edge of the answers."""
HEADER, RANKING, FOOT, LEGEND, TITLE_LINE = 66, 105, 14, 44, 28
"""Heights of an exhibit's header, of a ranking, of the space below the last one, of the legend, of a title line."""
LETTER = 10
"""Width of a letter, estimated generously."""
FRAME = 3
"""Width of a frame."""
MAX_EXHIBITS = 3
"""The maximum number of exhibits in a picture; the HTML page of a report has all of them."""

GREEN, RED, GRAY = COLORS[2], COLORS[1], "#b0b0b0"
DARK_TEXT, PALE_TEXT = "#202020", "#606060"
RELEVANT, WANTED = "\N{CHECK MARK}", "\N{CIRCLED PLUS}"


def make_gallery_pictures(gallery: Gallery, name: str) -> tuple[Picture, ...]:
    """Return one picture for each dataset of a gallery, with up to three exhibits; none for an empty gallery.

    The first exhibit of each attack comes first. If a dataset has more exhibits, the title gives their number.

    Args:
        gallery: the exhibits and their images.
        name: the start of the pictures' stems.
    """
    taken: set[str] = set()
    pictures = []
    for dataset in dict.fromkeys(exhibit.dataset for exhibit in gallery.exhibits):
        exhibits = [exhibit for exhibit in gallery.exhibits if exhibit.dataset == dataset]
        shown = _select(exhibits)
        count = f" ({len(shown)} of {len(exhibits)})" if len(shown) < len(exhibits) else ""
        title = f"Answers to single queries of {dataset}{count}"
        drawn = draw_exhibits(gallery, shown, title)
        stem = unique_stem(f"{slug(name)}-gallery-{slug(dataset)}", taken)
        pictures.append(Picture(stem, title, f"{title}. {' '.join(map(_describe, shown))}", drawn.png, drawn.pdf))
    return tuple(pictures)


def _select(exhibits: Sequence[Exhibit]) -> list[Exhibit]:
    """Return up to `MAX_EXHIBITS` exhibits in their order: the first of each attack, then others."""
    first = {exhibit.attack: index for index, exhibit in reversed(list(enumerate(exhibits)))}
    preferred = sorted(range(len(exhibits)), key=lambda index: first[exhibits[index].attack] != index)
    return [exhibits[index] for index in sorted(preferred[:MAX_EXHIBITS])]


def _describe(exhibit: Exhibit) -> str:
    """Return a description of an exhibit, for readers who cannot see it."""
    metric = "T-AP" if exhibit.target else "AP"
    values = ((ranking.label, ranking.t_map if exhibit.target else ranking.map) for ranking in exhibit.rankings)
    precisions = ", ".join(f"{label} {_percent(value)}" for label, value in values)
    return (
        f"{exhibit.attack} on {exhibit.hasher}, query {exhibit.query} ({exhibit.which} of all queries): "
        f"{metric} {precisions}."
    )


def draw_exhibits(gallery: Gallery, exhibits: Sequence[Exhibit], title: str) -> DrawnFigure:
    """Return exhibits of a gallery as PNG and PDF, one below the other; equal bytes each time.

    Each shows the clean query, its amplified perturbation, the attacked and the purified query; and the answers before
    the attack, under attack and behind the defense, nearest first, with their Hamming distances. An answer that shares
    a class with the query has a green frame and a tick, one that shares a class with the attacker's target a red frame
    and a circled plus, one that does both has both, all others a thin gray frame. Without exhibits, title and legend
    are drawn.
    """
    figure = _GalleryFigure(gallery, tuple(exhibits), title)
    return draw_figure(figure.width / DPI, figure.height / DPI, figure.draw)


class _GalleryFigure(NamedTuple):
    """The content of the figure; sizes are in dots."""

    gallery: Gallery
    exhibits: tuple[Exhibit, ...]
    title: str

    @property
    def width(self) -> int:
        """The width, with room for ten answers, or for more if a ranking has more."""
        most = max((len(ranking.hits) for exhibit in self.exhibits for ranking in exhibit.rankings), default=0)
        return ANSWERS_X + ANSWER_PITCH * max(10, most) - (ANSWER_PITCH - ANSWER_SIDE) + MARGIN

    @property
    def title_lines(self) -> list[str]:
        """The lines of the title."""
        return wrap(self.title, (self.width - 2 * MARGIN) // (LETTER + 2))

    @property
    def top(self) -> int:
        """The upper edge of the first exhibit."""
        return TITLE_LINE * len(self.title_lines) + FOOT

    @property
    def exhibit_height(self) -> int:
        """The height of an exhibit."""
        return HEADER + 3 * RANKING + FOOT

    @property
    def height(self) -> int:
        """The height of the figure."""
        return self.top + self.exhibit_height * len(self.exhibits) + LEGEND

    def draw(self, figure: Figure) -> None:
        """Draw the title, each exhibit on separate axes, and the legend."""
        figure.set_layout_engine("none")
        axes = self._axes(figure, 0, self.top)
        for at, line in enumerate(self.title_lines):
            y = FOOT + TITLE_LINE * (at + 0.5)
            axes.text(self.width / 2, y, line, ha="center", va="center", fontsize=11, color=DARK_TEXT)
        for at, exhibit in enumerate(self.exhibits):
            axes = self._axes(figure, self.top + at * self.exhibit_height, self.exhibit_height)
            _ExhibitDrawing(axes, self.gallery, self.width).draw(exhibit)
        targeted = any(exhibit.target for exhibit in self.exhibits)
        _draw_legend(self._axes(figure, self.height - LEGEND, LEGEND), targeted)

    def _axes(self, figure: Figure, top: int, height: int) -> Axes:
        """Return axes over the whole width from `top` down; their unit is a dot, and y points down."""
        axes = figure.add_axes((0, 1 - (top + height) / self.height, 1, height / self.height))
        axes.set_axis_off()
        axes.set_xlim(0, self.width)
        axes.set_ylim(height, 0)
        axes.set_autoscale_on(False)
        return axes


class _ExhibitDrawing(NamedTuple):
    """Draws one exhibit on axes whose unit is a dot."""

    axes: Axes
    gallery: Gallery
    width: int

    def draw(self, exhibit: Exhibit) -> None:
        """Draw the header, the versions of the query and the rankings."""
        self.axes.plot([MARGIN, self.width - MARGIN], [1, 1], color="#d0d0d0", linewidth=0.8)
        self._draw_header(exhibit)
        captions = (
            "clean query",
            f"perturbation \N{MULTIPLICATION SIGN}{exhibit.amplified:g}",
            "attacked query",
            "purified query",
        )
        for at, (caption, index) in enumerate(zip(captions, exhibit.query_images.values(), strict=True)):
            if index is not None:
                x, y = MARGIN + at % 2 * QUERY_PITCH_X, HEADER + at // 2 * QUERY_PITCH_Y
                self._draw_image(index, x, y, QUERY_SIDE)
                center, below = x + QUERY_SIDE / 2, y + QUERY_SIDE + 12
                self.axes.text(center, below, caption, ha="center", va="center", size=7.5, color=PALE_TEXT)
        for at, ranking in enumerate(exhibit.rankings):
            self._draw_ranking(ranking, HEADER + at * RANKING, bool(exhibit.target))

    def _draw_header(self, exhibit: Exhibit) -> None:
        """Draw attack, hasher, defense and change in the first line, the classes of query and target in the second."""
        metric = "T-AP" if exhibit.target else "AP"
        cell = f"{exhibit.attack} on {exhibit.hasher}" + (f", behind {exhibit.defense}" if exhibit.defense else "")
        change = f"query {exhibit.query}: {metric} {_signed(100 * exhibit.change)} points ({exhibit.which})"
        classes = f"query classes: {exhibit.classes or 'none'}"
        target = f"target classes: {exhibit.target}" if exhibit.target else ""
        half = (self.width - 2 * MARGIN) // (2 * LETTER) - 1
        for y, left, right, weight in ((20, cell, change, "bold"), (44, classes, target, "normal")):
            letters = half if right else 2 * half
            text = _shorten(left, letters)
            self.axes.text(MARGIN, y, text, ha="left", va="center", size=8.5, weight=weight, color=DARK_TEXT)
            x = self.width - MARGIN
            self.axes.text(x, y, _shorten(right, letters), ha="right", va="center", size=8.5, color=PALE_TEXT)

    def _draw_ranking(self, ranking: Ranking, top: int, targeted: bool) -> None:
        precisions = [f"AP {_percent(ranking.map)}", *([f"T-AP {_percent(ranking.t_map)}"] if targeted else [])]
        letters = (ANSWERS_X - LABELS_X) // LETTER
        label = wrap(ranking.label, letters, max_lines=2, placeholder=" \N{HORIZONTAL ELLIPSIS}")
        for at, line in enumerate(label):
            self.axes.text(LABELS_X, top + 10 + 19 * at, line, va="center", size=8, weight="bold", color=DARK_TEXT)
        for at, line in enumerate(precisions, start=len(label)):
            self.axes.text(LABELS_X, top + 10 + 19 * at, line, va="center", size=8, color=PALE_TEXT)
        for at, hit in enumerate(ranking.hits):
            self._draw_answer(hit, ANSWERS_X + at * ANSWER_PITCH, top)

    def _draw_answer(self, hit: Hit, x: int, y: int) -> None:
        """Draw an answer, its distance, and a frame and a mark for query and target if it shares a class with them."""
        marks = [(GREEN, RELEVANT)] * hit.relevant + [(RED, WANTED)] * hit.wanted
        frames = [(FRAME * at, color) for at, (color, _) in enumerate(marks, start=1)] or [(1, GRAY)]
        for width, color in reversed(frames):  # the image and the inner frame cover the outer one
            side = ANSWER_SIDE + 2 * width
            self.axes.add_patch(Rectangle((x - width, y - width), side, side, facecolor=color, linewidth=0))
        self._draw_image(hit.image, x, y, ANSWER_SIDE)
        middle, below = x + ANSWER_SIDE / 2, y + ANSWER_SIDE + 15
        self.axes.text(middle + 2, below, str(hit.distance), ha="left", va="center", size=7.5, color=PALE_TEXT)
        for at, (color, mark) in enumerate(reversed(marks)):
            self.axes.text(middle - 4 - 14 * at, below, mark, ha="right", va="center", size=7.5, color=color)

    def _draw_image(self, index: int, x: int, y: int, side: int) -> None:
        """Draw an image centered in a square, as large as it fits."""
        pixels = _pixels(self.gallery.images[index])
        height, width = (side * length / max(pixels.shape[:2]) for length in pixels.shape[:2])
        left, top = x + (side - width) / 2, y + (side - height) / 2
        extent = (left, left + width, top + height, top)
        self.axes.imshow(pixels, extent=extent, interpolation="nearest", aspect="auto", zorder=2)


def _draw_legend(axes: Axes, targeted: bool) -> None:
    entries = [
        (RELEVANT, GREEN, "green frame: shares a class with the query"),
        *([(WANTED, RED, "red frame: shares a class with the attacker's target")] if targeted else []),
        ("3", PALE_TEXT, "Hamming distance to the query"),
    ]
    x = MARGIN
    for mark, color, meaning in entries:
        axes.text(x, LEGEND / 2, mark, va="center", size=8.5, color=color)
        axes.text(x + 22, LEGEND / 2, meaning, va="center", size=8, color=PALE_TEXT)
        x += 40 + 9 * len(meaning)


def _pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def _percent(value: float) -> str:
    return "\N{EN DASH}" if math.isnan(value) else f"{100 * value:.1f} %"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _shorten(text: str, letters: int) -> str:
    """Return a text on one line, cut and ended by an ellipsis if it has more than so many letters."""
    line = " ".join(text.split())
    return line if len(line) <= letters else f"{line[: letters - 1].rstrip(' ,')}\N{HORIZONTAL ELLIPSIS}"
