"""Records of galleries: round trip, and validation of untrusted records."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retbench.errors import UserError
from retbench.report.gallery.exhibit import Exhibit, Gallery, Hit, Ranking, gallery_record, read_gallery

Mutation = Callable[[Any], Any]


def png(width: int = 4, height: int = 3, shade: int = 0, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 0, 0)).save(buffer, format=form)
    return buffer.getvalue()


def noise(side: int) -> bytes:
    """Return a PNG that does not compress."""
    buffer = io.BytesIO()
    Image.effect_noise((side, side), 100).convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()


HITS = (Hit(0, 0, True, False), Hit(2, 3, False, True))
RANKINGS = (Ranking("before", 1.0, 0.25, HITS), Ranking("under", 0.5, math.nan, HITS[:1]), Ranking("behind", 0, 1, ()))
SHOWN = Exhibit(
    "toy", "dpsh", "p2p", "retpur", "q-1", "median change", -0.5, "red", "blue", 10.0, 0, 1, 2, None, RANKINGS
)
GALLERY = Gallery((SHOWN, SHOWN._replace(purified=1, which="largest change")), (png(), noise(64), png(64, 1)))


def to_json(gallery: Gallery) -> Any:
    return json.loads(json.dumps(gallery_record(gallery), allow_nan=False))


def test_a_gallery_is_read_back_from_its_record() -> None:
    gallery = read_gallery(to_json(GALLERY))
    assert repr(gallery) == repr(GALLERY._replace(exhibits=gallery.exhibits))
    assert [e._replace(rankings=()) for e in gallery.exhibits] == [e._replace(rankings=()) for e in GALLERY.exhibits]
    before, under, behind = gallery.exhibits[0].rankings
    assert (before, behind) == (RANKINGS[0], RANKINGS[2])
    assert math.isnan(under.t_map)
    assert under._replace(t_map=0) == RANKINGS[1]._replace(t_map=0)


def test_an_empty_gallery_is_read_back() -> None:
    assert read_gallery(to_json(Gallery((), ()))) == Gallery((), ())


def test_a_record_has_field_names_and_null_for_nan() -> None:
    record = to_json(GALLERY)
    assert record["exhibits"][0]["rankings"][1] == {
        "label": "under",
        "map": 0.5,
        "t_map": None,
        "hits": [{"image": 0, "distance": 0, "relevant": True, "wanted": False}],
    }
    assert base64.b64decode(record["images"][1]) == GALLERY.images[1]


def put(*path: str | int, to: Any) -> Mutation:
    """Return a function that sets a field of a record."""

    def mutate(record: Any) -> Any:
        inner = record
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to
        return record

    return mutate


def drop(*path: str | int) -> Mutation:
    def mutate(record: Any) -> Any:
        inner = record
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]
        return record

    return mutate


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


FIRST = ("exhibits", 0)
HIT = (*FIRST, "rankings", 0, "hits", 1)
REFUSED: list[tuple[Mutation, str]] = [
    (lambda record: [], r"gallery\.0: field required"),
    (lambda record: "gallery", "gallery: "),
    (drop("images"), r"gallery\.images: field required"),
    (put("more", to=1), r"gallery\.more: "),
    (put("exhibits", to={}), r"gallery\.exhibits: .*got \{\}"),
    (put("exhibits", 1, to=3), r"gallery\.exhibits\.1: .*got 3"),
    (drop(*FIRST, "query"), r"gallery\.exhibits\.0\.query: field required"),
    (put(*FIRST, "script", to="x"), r"gallery\.exhibits\.0\.script: "),
    (put(*FIRST, "dataset", to=7), r"gallery\.exhibits\.0\.dataset: .*string: got 7"),
    (put(*FIRST, "classes", to=["red"]), r"gallery\.exhibits\.0\.classes: "),
    (
        put(*FIRST, "which", to="best"),
        r"gallery\.exhibits\.0\.which: .*'median change' or 'largest change': got 'best'",
    ),
    (put(*FIRST, "change", to=1.5), r"gallery\.exhibits\.0\.change: .*less than or equal to 1: got 1\.5"),
    (put(*FIRST, "change", to=None), r"gallery\.exhibits\.0\.change: "),
    (put(*FIRST, "change", to=math.nan), r"gallery\.exhibits\.0\.change: .*finite"),
    (put(*FIRST, "amplified", to=0), r"gallery\.exhibits\.0\.amplified: .*greater than 0"),
    (put(*FIRST, "amplified", to=math.inf), r"gallery\.exhibits\.0\.amplified: "),
    (put(*FIRST, "clean", to=3), r"gallery\.exhibits\.0\.clean: no such image: got index 3, expected an index below 3"),
    (put(*FIRST, "perturbation", to=-1), r"gallery\.exhibits\.0\.perturbation: .*greater than or equal to 0: got -1"),
    (put(*FIRST, "attacked", to=None), r"gallery\.exhibits\.0\.attacked: "),
    (put(*FIRST, "attacked", to=True), r"gallery\.exhibits\.0\.attacked: "),
    (put("exhibits", 1, "purified", to=9), r"gallery\.exhibits\.1\.purified: no such image: got index 9"),
    (put(*FIRST, "purified", to=0.0), r"gallery\.exhibits\.0\.purified: "),
    (put(*FIRST, "rankings", to=[]), r"gallery\.exhibits\.0\.rankings: .*at least 2"),
    (put(*FIRST, "rankings", 0, "map", to=1.01), r"gallery\.exhibits\.0\.rankings\.0\.map: .*got 1\.01"),
    (put(*FIRST, "rankings", 0, "t_map", to="1"), r"gallery\.exhibits\.0\.rankings\.0\.t_map: .*got '1'"),
    (put(*FIRST, "rankings", 0, "label", to=None), r"gallery\.exhibits\.0\.rankings\.0\.label: "),
    (put(*FIRST, "rankings", 0, "hits", to=[0]), r"gallery\.exhibits\.0\.rankings\.0\.hits\.0: "),
    (put(*HIT, "image", to=5), r"gallery\.exhibits\.0\.rankings\.0\.hits\.1\.image: no such image: got index 5"),
    (put(*HIT, "image", to="2"), r"gallery\.exhibits\.0\.rankings\.0\.hits\.1\.image: "),
    (put(*HIT, "distance", to=-1), r"gallery\.exhibits\.0\.rankings\.0\.hits\.1\.distance: "),
    (put(*HIT, "relevant", to=1), r"gallery\.exhibits\.0\.rankings\.0\.hits\.1\.relevant: .*boolean"),
    (put("images", 2, to=5), r"gallery\.images\.2: .*expected base64"),
    (put("images", 2, to="not base64!"), r"gallery\.images\.2: .*expected base64: got 'not base64!'"),
    (put("images", 2, to=""), r"gallery\.images\.2: .*expected a png"),
    (put("images", 2, to=encode(b"<svg onload='alert(1)'/>" * 3)), r"gallery\.images\.2: .*expected a png"),
    (put("images", 2, to=encode(png(form="GIF"))), r"gallery\.images\.2: .*expected a png"),
    (put("images", 2, to=encode(png(65, 2))), r"gallery\.images\.2: .*at most 64 x 64 .*got 65 x 2 in"),
    (put("images", 2, to=encode(png(2, 65))), r"gallery\.images\.2: .*at most 64 x 64 .*got 2 x 65 in"),
    (put("images", 2, to=encode(png() + bytes(1 << 16))), r"gallery\.images\.2: .*at most 64 x 64 pixels in 65536"),
    (put("images", 2, to="A" * (1 << 18)), r"gallery\.images\.2: .*at most 65536 bytes: got 'AAAA[A]*\.\.\.$"),
    (put("images", 2, to=encode(png(64, 64)[:-30])), r"gallery\.images\.2: .*complete"),
    (put("images", to=[]), r"gallery\.exhibits\.0\.clean: no such image: got index 0, expected an index below 0"),
]


@pytest.mark.parametrize(("mutate", "message"), REFUSED, ids=[message.replace("\\", "") for _, message in REFUSED])
def test_an_invalid_record_is_an_error_that_names_the_field(mutate: Mutation, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_gallery(mutate(to_json(GALLERY)))


@given(st.data())
def test_a_damaged_image_is_refused_or_can_be_decoded(data: st.DataObject) -> None:
    whole = bytearray(png(9, 7, 200))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        (image,) = read_gallery({"exhibits": [], "images": [encode(broken)]}).images
    except UserError:
        return
    with Image.open(io.BytesIO(image)) as picture:
        assert max(picture.size) <= 64
        picture.load()
