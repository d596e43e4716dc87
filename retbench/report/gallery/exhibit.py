"""The gallery as data: answers to single queries before an attack, under attack, and behind a defense."""

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

MAX_SIDE = 64
"""Maximum width and height of an image in pixels."""
MAX_BYTES = 1 << 16
"""Maximum size of an image's file; uncompressed pixels take 64 x 64 x 3 bytes of it."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _read_precision(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    return math.nan if value is None else read(value)


def _read_image(value: Any) -> bytes:
    """Return the bytes behind base64; raise ValueError unless they are a complete, small PNG."""
    if not isinstance(value, str) or len(value) > 2 * MAX_BYTES:
        raise ValueError(f"expected base64 of at most {MAX_BYTES} bytes")
    try:
        png = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected base64") from None
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    if not png.startswith(SIGNATURE) or png[12:16] != b"IHDR":
        raise ValueError("expected a PNG")
    if len(png) > MAX_BYTES or not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(
            f"expected at most {MAX_SIDE} x {MAX_SIDE} pixels in {MAX_BYTES} bytes, "
            f"got {width} x {height} in {len(png)}"
        )
    _decode(png)
    return png


def _decode(png: bytes) -> None:
    """Raise ValueError if a PNG cannot be decoded."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with Image.open(BytesIO(png), formats=["PNG"]) as image:
                image.load()
        except Exception:  # decoders raise many kinds of exceptions for damaged bytes
            raise ValueError("expected a complete PNG") from None


ImageIndex = Annotated[int, Field(ge=0)]
"""The index of an image in a gallery's images."""
Precision = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), WrapValidator(_read_precision)]
"""An average precision; NaN (null in a record) if its definition leaves the query out."""
ChangeKind = Literal["median change", "largest change"]


class Hit(NamedTuple):
    """An answer.

    Attributes:
        image: the index of its image in the gallery.
        distance: its Hamming distance to the query.
        relevant: whether it shares a class with the query.
        wanted: whether it shares a class with the attacker's target.
    """

    image: ImageIndex
    distance: Annotated[int, Field(ge=0)]
    relevant: bool
    wanted: bool


class Ranking(NamedTuple):
    """The nearest answers to one version of a query, nearest first.

    Attributes:
        label: of the version.
        map: average precision of the query by its own labels.
        t_map: average precision by the target's labels.
        hits: the answers.
    """

    label: str
    map: Precision
    t_map: Precision
    hits: Annotated[tuple[Hit, ...], Field(max_length=100)]


class Exhibit(NamedTuple):
    """One query of one cell.

    Attributes:
        dataset, hasher, attack, defense: as printed, with swept options; the defense is empty if there is none.
        query: its id.
        which: why it is shown: `median change` or `largest change` among the queries.
        change: in average precision, under attack less clean: by the target's labels for a targeted attack, by the
            query's own labels for an untargeted one.
        classes, target: names of the query's and the target's classes; an untargeted attack has no target.
        amplified: the factor of the perturbation in its image, which is centered at middle gray.
        clean, perturbation, attacked, purified: indices of images in the gallery; no purified one if the defense has
            no purifier, or was attacked by other images.
        rankings: before the attack, under attack, and behind the defense if there is one.
    """

    dataset: str
    hasher: str
    attack: str
    defense: str
    query: str
    which: ChangeKind
    change: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
    classes: str
    target: str
    amplified: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
    clean: ImageIndex
    perturbation: ImageIndex
    attacked: ImageIndex
    purified: ImageIndex | None
    rankings: Annotated[tuple[Ranking, ...], Field(min_length=2, max_length=3)]

    @property
    def query_images(self) -> dict[str, int | None]:
        """The indices of the query's own images, by field."""
        return {name: getattr(self, name) for name in ("clean", "perturbation", "attacked", "purified")}


class Gallery(NamedTuple):
    """Exhibits, and their distinct images as PNG; both may be empty."""

    exhibits: tuple[Exhibit, ...]
    images: tuple[Annotated[bytes, PlainValidator(_read_image)], ...]


def gallery_record(gallery: Gallery) -> dict[str, Json]:
    """Return a gallery as JSON: fields by name, images in base64, null for an average precision that is NaN."""
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
    """Return the gallery of a record from an untrusted source: the inverse of `gallery_record`.

    Raises:
        UserError: a field is missing, unknown, of a wrong type or out of range, an image is not a PNG of at most
            64 x 64 pixels and 64 KiB, or an index has no image; the message names the field.
    """
    try:
        gallery = TypeAdapter(Gallery).validate_json(json.dumps(record), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = ".".join(("gallery", *map(str, first["loc"])))
        raise UserError(f"{location}: {first['msg'].lower()}: got {_shorten(repr(first['input']))}") from None
    for location, index in _image_indices(gallery):
        if index is not None and index >= len(gallery.images):
            count = len(gallery.images)
            raise UserError(f"gallery.{location}: no such image: got index {index}, expected an index below {count}")
    return gallery


def _image_indices(gallery: Gallery) -> Iterator[tuple[str, int | None]]:
    """Yield every image index of a gallery, with the name of its field."""
    for at, exhibit in enumerate(gallery.exhibits):
        yield from ((f"exhibits.{at}.{name}", index) for name, index in exhibit.query_images.items())
        for row, ranking in enumerate(exhibit.rankings):
            for column, hit in enumerate(ranking.hits):
                yield f"exhibits.{at}.rankings.{row}.hits.{column}.image", hit.image


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
