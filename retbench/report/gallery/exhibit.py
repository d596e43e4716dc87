"""The retrieval gallery as data: the answers to single queries before an attack, under it, and behind a defense."""

from __future__ import annotations

import base64
import binascii
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, PlainValidator, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from retbench.canon import Json
from retbench.errors import UserError

SIDE = 64
"""Pixels that a picture has at most on a side."""
MOST_BYTES = 1 << 16
"""Bytes that a picture's file has at most; 64 x 64 x 3 of them are pixels, if it is not compressed at all."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _read_share(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    return math.nan if value is None else read(value)


def _read_picture(value: Any) -> bytes:
    """Return the bytes behind base64; raises ValueError unless they are a whole and small PNG."""
    if not isinstance(value, str) or len(value) > 2 * MOST_BYTES:
        raise ValueError(f"expected base64 of at most {MOST_BYTES} bytes")
    try:
        png = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected base64") from None
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    if not png.startswith(SIGNATURE) or png[12:16] != b"IHDR":
        raise ValueError("expected a PNG")
    if len(png) > MOST_BYTES or not (0 < width <= SIDE and 0 < height <= SIDE):
        raise ValueError(
            f"expected at most {SIDE} x {SIDE} pixels in {MOST_BYTES} bytes, got {width} x {height} in {len(png)}"
        )
    _decode(png)
    return png


def _decode(png: bytes) -> None:
    """Raise ValueError for what cannot be drawn."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with Image.open(BytesIO(png), formats=["PNG"]) as image:
                image.load()
        except Exception:  # a decoder has many exceptions for bytes that make no sense
            raise ValueError("expected a PNG that is whole") from None


Place = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), WrapValidator(_read_share)]
"""An average precision, NaN (null in a record) where its definition leaves the query out."""
Which = Literal["median change", "largest change"]


class Hit(NamedTuple):
    """An answer: its picture's place in the gallery, its Hamming distance, and whose classes it shares.

    `relevant` shares a class with the query, `wanted` with the attacker's target.
    """

    image: Place
    distance: Annotated[int, Field(ge=0)]
    relevant: bool
    wanted: bool


class Ranking(NamedTuple):
    """The nearest answers to one version of a query, with its average precision by its own and the target's labels."""

    label: str
    map: Share
    t_map: Share
    hits: Annotated[tuple[Hit, ...], Field(max_length=100)]


class Exhibit(NamedTuple):
    """One query of one cell.

    Attributes:
        dataset, hasher, attack, defense: as printed, with what is swept; the defense is empty where there is none.
        query: its id.
        which: `median change` or `largest change`.
        change: of the average precision it was chosen by, under attack less clean, signed: that by the target's labels
            for a targeted attack, by the query's own for an untargeted one.
        classes, target: names of the query's and the target's classes; an untargeted attack has no target.
        amplified: what the perturbation is multiplied by in its picture, around a middle gray.
        clean, perturbation, attacked, purified: places of pictures in the gallery; no purified one where the defense
            has no purifier, or was attacked by other images.
        rankings: before the attack, under attack, behind the defense.
    """

    dataset: str
    hasher: str
    attack: str
    defense: str
    query: str
    which: Which
    change: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
    classes: str
    target: str
    amplified: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
    clean: Place
    perturbation: Place
    attacked: Place
    purified: Place | None
    rankings: Annotated[tuple[Ranking, ...], Field(min_length=2, max_length=3)]

    @property
    def pictures(self) -> dict[str, int | None]:
        """The places of the query's own pictures, by what they show."""
        return {name: getattr(self, name) for name in ("clean", "perturbation", "attacked", "purified")}


class Gallery(NamedTuple):
    """Exhibits, and their pictures as PNG, each once; a gallery may be empty."""

    exhibits: tuple[Exhibit, ...]
    images: tuple[Annotated[bytes, PlainValidator(_read_picture)], ...]


def gallery_record(gallery: Gallery) -> dict[str, Json]:
    """Return a gallery as JSON: fields by name, pictures in base64, null for an average precision that is NaN."""
    images = [base64.b64encode(image).decode() for image in gallery.images]
    return {"exhibits": [_exhibit_record(exhibit) for exhibit in gallery.exhibits], "images": images}


def _exhibit_record(exhibit: Exhibit) -> Json:
    rankings: list[Json] = []
    for ranking in exhibit.rankings:
        values = {name: None if math.isnan(value) else value for name, value in _precisions(ranking).items()}
        rankings.append({"label": ranking.label, **values, "hits": [hit._asdict() for hit in ranking.hits]})
    return {**exhibit._asdict(), "rankings": rankings}


def _precisions(ranking: Ranking) -> dict[str, float]:
    return {"map": ranking.map, "t_map": ranking.t_map}


def read_gallery(record: Mapping[str, Json]) -> Gallery:
    """Return the gallery of a record that may come from anywhere: the inverse of `gallery_record`.

    Raises:
        UserError: a field is missing, unknown, of a wrong type or out of range, a picture is not a PNG of at most
            64 x 64 pixels and 64 KiB, or a place names no picture; the message names the field.
    """
    try:
        gallery = TypeAdapter(Gallery).validate_json(json.dumps(record), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(("gallery", *map(str, first["loc"])))
        raise UserError(f"{where}: {first['msg'].lower()}: got {_shorten(repr(first['input']))}") from None
    for where, place in _places(gallery):
        if place is not None and place >= len(gallery.images):
            raise UserError(f"gallery.{where}: no such picture: got {place}, expected one of {len(gallery.images)}")
    return gallery


def _places(gallery: Gallery) -> Iterator[tuple[str, int | None]]:
    """Yield every place of a picture, with the field that names it."""
    for at, exhibit in enumerate(gallery.exhibits):
        yield from ((f"exhibits.{at}.{name}", place) for name, place in exhibit.pictures.items())
        for row, ranking in enumerate(exhibit.rankings):
            for column, hit in enumerate(ranking.hits):
                yield f"exhibits.{at}.rankings.{row}.hits.{column}.image", hit.image


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
