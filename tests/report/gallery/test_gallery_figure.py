"""Exhibits as figures: the positions and colors of their parts."""

from __future__ import annotations

import io
import math
import re
from functools import cache

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from retbench.report.gallery.exhibit import Exhibit, Gallery, Hit, Ranking
from retbench.report.gallery.gallery_figure import (
    ANSWER_PITCH,
    ANSWER_SIDE,
    ANSWERS_X,
    FOOT,
    FRAME,
    GREEN,
    HEADER,
    MARGIN,
    QUERY_PITCH_X,
    QUERY_PITCH_Y,
    QUERY_SIDE,
    RANKING,
    RED,
    TITLE_LINE,
    draw_exhibits,
    make_gallery_pictures,
)
from tests.report.pixels import pixels, without_pdf

TOP = FOOT + TITLE_LINE + HEADER
"""Upper edge of the images of the first exhibit, under a title of one line."""
EXHIBIT_HEIGHT = HEADER + 3 * RANKING + FOOT
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


def draw(*exhibits: Exhibit, title: str = "Answers") -> NDArray[np.uint8]:
    return draw_gallery(GALLERY, exhibits, title)


@cache
def draw_gallery(gallery: Gallery, exhibits: tuple[Exhibit, ...], title: str) -> NDArray[np.uint8]:
    with without_pdf():
        return pixels(draw_exhibits(gallery, exhibits, title).png)


def magnified(index: int, side: int) -> NDArray[np.uint8]:
    return PIXELS[index].repeat(side // 32, axis=0).repeat(side // 32, axis=1)


def cut(drawn: NDArray[np.uint8], x: int, y: int, side: int) -> NDArray[np.uint8]:
    return drawn[y : y + side, x : x + side]


def rgb(color: str) -> list[int]:
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_images_of_a_query_are_drawn_pixel_by_pixel(at: int) -> None:
    drawn, top = draw(*[EXHIBIT] * 3), TOP + at * EXHIBIT_HEIGHT
    for index in range(4):
        x, y = MARGIN + index % 2 * QUERY_PITCH_X, top + index // 2 * QUERY_PITCH_Y
        assert np.array_equal(cut(drawn, x, y, QUERY_SIDE), magnified(index, QUERY_SIDE))


def test_the_answers_of_a_ranking_are_in_one_row() -> None:
    drawn = draw(EXHIBIT)
    for row, ranking in enumerate(EXHIBIT.rankings):
        for column, hit in enumerate(ranking.hits):
            shown = cut(drawn, ANSWERS_X + column * ANSWER_PITCH, TOP + row * RANKING, ANSWER_SIDE)
            assert np.array_equal(shown, magnified(hit.image, ANSWER_SIDE))


def test_frames_show_whether_an_answer_shares_a_class_with_query_or_target() -> None:
    drawn, y = draw(EXHIBIT), TOP + ANSWER_SIDE // 2
    outside = [
        drawn[y, ANSWERS_X + at * ANSWER_PITCH - 2 * FRAME : ANSWERS_X + at * ANSWER_PITCH].tolist() for at in range(4)
    ]
    white, green, red = [255] * 3, rgb(GREEN), rgb(RED)
    gray = outside[0].pop()
    assert len(set(gray)) == 1
    assert outside == [
        [white] * 5,
        [white] * 3 + [green] * 3,
        [white] * 3 + [red] * 3,
        [red] * 3 + [green] * 3,
    ]


def test_marks_distinguish_answers_without_color() -> None:
    drawn, dark = draw(EXHIBIT).astype(int), []
    for at in range(4):
        left = ANSWERS_X + at * ANSWER_PITCH
        below = drawn[TOP + ANSWER_SIDE + 8 : TOP + ANSWER_SIDE + 24, left : left + ANSWER_SIDE // 2 - 2]
        dark.append((below < 250).any(axis=2))
    none, tick, plus, both = dark
    assert not none.any()
    assert tick.any()
    assert plus.any()
    assert not np.array_equal(tick, plus)
    assert both.sum() > max(tick.sum(), plus.sum())


@pytest.mark.parametrize(("target", "explained"), [("blue", True), ("", False)])
def test_the_legend_explains_red_frames_only_for_targeted_attacks(target: str, explained: bool) -> None:
    foot = draw(EXHIBIT._replace(target=target))[TOP - HEADER + EXHIBIT_HEIGHT :]
    assert (foot == rgb(GREEN)).all(axis=2).any()
    assert (foot == rgb(RED)).all(axis=2).any() == explained


def test_missing_images_and_rankings_are_left_white() -> None:
    undefended = EXHIBIT._replace(purified=None, defense="", rankings=EXHIBIT.rankings[:2])
    drawn = draw(undefended)
    assert (cut(drawn, MARGIN + QUERY_PITCH_X, TOP + QUERY_PITCH_Y, QUERY_SIDE) == 255).all()
    assert (drawn[TOP + 2 * RANKING : TOP + 3 * RANKING, MARGIN + QUERY_PITCH_X + QUERY_SIDE :] == 255).all()


def test_an_image_that_is_not_square_keeps_its_shape() -> None:
    gallery = Gallery((EXHIBIT,), (png(PIXELS[0][:16]), *GALLERY.images[1:]))
    shown = cut(draw_gallery(gallery, (EXHIBIT,), "x"), MARGIN, TOP, QUERY_SIDE)
    assert np.array_equal(shown[QUERY_SIDE // 4 : 3 * QUERY_SIDE // 4], magnified(0, QUERY_SIDE)[: QUERY_SIDE // 2])
    assert (shown[: QUERY_SIDE // 4] == 255).all()


def test_the_height_of_a_figure_depends_on_exhibits_and_title_lines() -> None:
    one, two = draw(EXHIBIT), draw(EXHIBIT, EXHIBIT)
    assert two.shape == (one.shape[0] + EXHIBIT_HEIGHT, one.shape[1], 3)
    assert draw(EXHIBIT, title="word " * 30).shape == (one.shape[0] + TITLE_LINE, one.shape[1], 3)
    assert draw().shape[0] == one.shape[0] - EXHIBIT_HEIGHT


def test_more_than_ten_answers_make_a_wider_figure() -> None:
    many = EXHIBIT._replace(rankings=(EXHIBIT.rankings[0]._replace(hits=HITS * 3), *EXHIBIT.rankings[1:]))
    assert draw(many).shape[1] == draw(EXHIBIT).shape[1] + 2 * ANSWER_PITCH


def test_long_names_are_shortened_and_do_not_overlap_images() -> None:
    long = "class \n" * 200
    drawn = draw(EXHIBIT._replace(classes=long, target=long, attack=long, query=long))
    assert np.array_equal(cut(drawn, MARGIN, TOP, QUERY_SIDE), magnified(0, QUERY_SIDE))
    assert (drawn[:, -MARGIN + 2 * FRAME :] == 255).all()


def test_two_drawings_have_equal_bytes_under_any_matplotlib_settings() -> None:
    before = draw_exhibits(GALLERY, [EXHIBIT], "x")
    with matplotlib.rc_context({"font.size": 20, "image.interpolation": "bilinear"}):
        assert draw_exhibits(GALLERY, [EXHIBIT], "x") == before
    assert before.pdf.startswith(b"%PDF")


def test_each_dataset_has_a_picture_of_its_first_three_exhibits() -> None:
    other = EXHIBIT._replace(dataset="Other data", query="q-9", target="")
    gallery = GALLERY._replace(exhibits=(EXHIBIT, other, *[EXHIBIT] * 6))
    with without_pdf():
        pictures = make_gallery_pictures(gallery, "My suite")
    titles = ["Answers to single queries of toy (3 of 7)", "Answers to single queries of Other data"]
    assert [picture.title for picture in pictures] == titles
    assert [picture.alt.split(". ")[0] for picture in pictures] == titles
    assert [picture.stem for picture in pictures] == [
        "my-suite-gallery-toy",
        "my-suite-gallery-other-data",
    ]
    for picture, shown in zip(pictures, ((EXHIBIT,) * 3, (other,)), strict=True):
        assert np.array_equal(pixels(picture.png), draw_gallery(gallery, shown, picture.title))
    change = "(median change of all queries)"
    assert f"query q-1 {change}: T-AP before the attack 25.0 %, under attack \u2013, behind" in pictures[0].alt
    assert f"query q-9 {change}: AP before the attack 100.0 %, under attack 50.0 %, behind" in pictures[1].alt


def test_a_picture_has_the_first_exhibit_of_each_attack_before_others() -> None:
    attacks = ("P2P", "P2P", "DHTA", "DHTA", "ProS-GAN")
    exhibits = tuple(EXHIBIT._replace(attack=attack, query=f"q-{index}") for index, attack in enumerate(attacks))
    for count, shown in ((5, ["q-0", "q-2", "q-4"]), (4, ["q-0", "q-1", "q-2"]), (2, ["q-0", "q-1"])):
        with without_pdf():
            (picture,) = make_gallery_pictures(GALLERY._replace(exhibits=exhibits[:count]), "My suite")
        assert re.findall(r"query (q-\d)", picture.alt) == shown


def test_an_empty_gallery_has_no_pictures() -> None:
    assert make_gallery_pictures(Gallery((), ()), "x") == ()
