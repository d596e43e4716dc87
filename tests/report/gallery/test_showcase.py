"""Exhibits as figures: what is on them, at which place, in which color."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from retbench.report.gallery.exhibit import Exhibit, Gallery, Hit, Ranking
from retbench.report.gallery.showcase import (
    ACROSS,
    ANSWERS,
    DOWN,
    FOOT,
    FRAME,
    GREEN,
    HEADER,
    LARGE,
    MARGIN,
    PITCH,
    RED,
    SMALL,
    STRIP,
    TITLE,
    draw_showcase,
    make_showcases,
)

TOP = FOOT + TITLE + HEADER
"""Where the pictures of the first exhibit start, under a title of one line."""
ROW = HEADER + 3 * STRIP + FOOT
RANDOM = np.random.default_rng(0)
PIXELS = [RANDOM.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(6)]


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


HITS = (Hit(4, 0, False, False), Hit(5, 1, True, False), Hit(4, 1, False, True), Hit(5, 31, True, True))
EXHIBIT = Exhibit(
    dataset="toy",
    hasher="DPSH, 32 bits",
    attack="P2P",
    defense="RetPur",
    query="q-1",
    which="median change",
    change=-0.5,
    classes="red",
    target="blue, green",
    amplified=10.0,
    clean=0,
    perturbation=1,
    attacked=2,
    purified=3,
    rankings=(
        Ranking("before the attack", 1.0, 0.25, HITS),
        Ranking("under attack", 0.5, math.nan, HITS[:1]),
        Ranking("behind RetPur", 0.5, 0.5, ()),
    ),
)
GALLERY = Gallery((EXHIBIT,), tuple(map(png, PIXELS)))


def draw(*exhibits: Exhibit, title: str = "What they found") -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(draw_showcase(GALLERY, exhibits, title).png)) as image:
        return np.asarray(image.convert("RGB"))


def magnified(place: int, side: int) -> NDArray[np.uint8]:
    return PIXELS[place].repeat(side // 32, axis=0).repeat(side // 32, axis=1)


def cut(drawn: NDArray[np.uint8], x: int, y: int, side: int) -> NDArray[np.uint8]:
    return drawn[y : y + side, x : x + side]


def rgb(color: str) -> list[int]:
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_versions_of_a_query_are_shown_pixel_by_pixel(at: int) -> None:
    drawn, top = draw(*[EXHIBIT] * 3), TOP + at * ROW
    for place in range(4):
        x, y = MARGIN + place % 2 * ACROSS, top + place // 2 * DOWN
        assert np.array_equal(cut(drawn, x, y, LARGE), magnified(place, LARGE))


def test_the_answers_stand_beside_each_other_in_strips() -> None:
    drawn = draw(EXHIBIT)
    for row, ranking in enumerate(EXHIBIT.rankings):
        for column, hit in enumerate(ranking.hits):
            shown = cut(drawn, ANSWERS + column * PITCH, TOP + row * STRIP, SMALL)
            assert np.array_equal(shown, magnified(hit.image, SMALL))


def test_frames_say_whose_classes_an_answer_shares() -> None:
    drawn, y = draw(EXHIBIT), TOP + SMALL // 2
    outside = [drawn[y, ANSWERS + at * PITCH - 2 * FRAME : ANSWERS + at * PITCH].tolist() for at in range(4)]
    white, green, red = [255] * 3, rgb(GREEN), rgb(RED)
    gray = outside[0].pop()
    assert len(set(gray)) == 1
    assert outside == [
        [white] * 5,
        [white] * 3 + [green] * 3,
        [white] * 3 + [red] * 3,
        [red] * 3 + [green] * 3,
    ]


def test_marks_say_it_without_color() -> None:
    drawn, dark = draw(EXHIBIT).astype(int), []
    for at in range(4):
        left = ANSWERS + at * PITCH
        below = drawn[TOP + SMALL + 8 : TOP + SMALL + 24, left : left + SMALL // 2 - 2]
        dark.append((below < 250).any(axis=2))
    nothing, tick, cross, both = dark
    assert not nothing.any()
    assert tick.any()
    assert cross.any()
    assert not np.array_equal(tick, cross)
    assert both.sum() > max(tick.sum(), cross.sum())


@pytest.mark.parametrize(("target", "explained"), [("blue", True), ("", False)])
def test_the_legend_explains_a_red_frame_only_where_an_attack_has_a_target(target: str, explained: bool) -> None:
    foot = draw(EXHIBIT._replace(target=target))[TOP - HEADER + ROW :]
    assert (foot == rgb(GREEN)).all(axis=2).any()
    assert (foot == rgb(RED)).all(axis=2).any() == explained


def test_what_there_is_not_is_left_white() -> None:
    bare = EXHIBIT._replace(purified=None, defense="", rankings=EXHIBIT.rankings[:2])
    drawn = draw(bare)
    assert (cut(drawn, MARGIN + ACROSS, TOP + DOWN, LARGE) == 255).all()
    assert (drawn[TOP + 2 * STRIP : TOP + 3 * STRIP, MARGIN + ACROSS + LARGE :] == 255).all()


def test_a_picture_that_is_not_square_keeps_its_shape() -> None:
    gallery = Gallery((EXHIBIT,), (png(PIXELS[0][:16]), *GALLERY.images[1:]))
    with Image.open(io.BytesIO(draw_showcase(gallery, [EXHIBIT], "x").png)) as image:
        drawn = np.asarray(image.convert("RGB"))
    shown = cut(drawn, MARGIN, TOP, LARGE)
    assert np.array_equal(shown[LARGE // 4 : 3 * LARGE // 4], magnified(0, LARGE)[: LARGE // 2])
    assert (shown[: LARGE // 4] == 255).all()


def test_a_figure_grows_by_a_row_for_each_exhibit_and_by_a_line_for_a_long_title() -> None:
    one, two = draw(EXHIBIT), draw(EXHIBIT, EXHIBIT)
    assert two.shape == (one.shape[0] + ROW, one.shape[1], 3)
    assert draw(EXHIBIT, title="word " * 30).shape == (one.shape[0] + TITLE, one.shape[1], 3)
    assert draw().shape[0] == one.shape[0] - ROW


def test_more_than_ten_answers_make_it_wider() -> None:
    many = EXHIBIT._replace(rankings=(EXHIBIT.rankings[0]._replace(hits=HITS * 3), *EXHIBIT.rankings[1:]))
    assert draw(many).shape[1] == draw(EXHIBIT).shape[1] + 2 * PITCH


def test_long_names_are_cut_and_leave_the_pictures_alone() -> None:
    long = "class \n" * 200
    drawn = draw(EXHIBIT._replace(classes=long, target=long, attack=long, query=long))
    assert np.array_equal(cut(drawn, MARGIN, TOP, LARGE), magnified(0, LARGE))
    assert (drawn[:, -MARGIN + 2 * FRAME :] == 255).all()


def test_a_figure_drawn_twice_is_the_same_bytes_whatever_the_users_settings_say() -> None:
    before = draw_showcase(GALLERY, [EXHIBIT], "x")
    with matplotlib.rc_context({"font.size": 20, "image.interpolation": "bilinear"}):
        assert draw_showcase(GALLERY, [EXHIBIT], "x") == before
    assert before.pdf.startswith(b"%PDF")


def test_each_data_set_has_a_picture_of_its_first_six_exhibits() -> None:
    other = EXHIBIT._replace(dataset="Other data", query="q-9", target="")
    gallery = GALLERY._replace(exhibits=(EXHIBIT, other, *[EXHIBIT] * 6))
    pictures = make_showcases(gallery, "My suite")
    titles = ["What single queries of toy found (first 6 of 7)", "What single queries of Other data found"]
    assert [picture.title for picture in pictures] == titles
    assert [picture.alt.split(". ")[0] for picture in pictures] == titles
    assert [picture.stem for picture in pictures] == [
        "my-suite-gallery-toy",
        "my-suite-gallery-other-data",
    ]
    assert [picture.png for picture in pictures] == [
        draw_showcase(gallery, which, picture.title).png
        for which, picture in zip(([EXHIBIT] * 6, [other]), pictures, strict=True)
    ]
    assert "query q-1 (median change): T-AP before the attack 25.0 %, under attack –, behind" in pictures[0].alt  # noqa: RUF001  the dash stands for no number
    assert "query q-9 (median change): AP before the attack 100.0 %, under attack 50.0 %, behind" in pictures[1].alt


def test_an_empty_gallery_has_no_pictures() -> None:
    assert make_showcases(Gallery((), ()), "x") == ()


def test_drawing_leaves_pyplot_alone() -> None:
    script = "import sys, retbench.report.gallery.showcase; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_making_a_gallery_needs_no_matplotlib() -> None:
    script = "import sys, retbench.report.gallery.gallery; sys.exit(bool({'matplotlib', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
