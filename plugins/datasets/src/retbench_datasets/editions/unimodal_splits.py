"""Completes a folder's lists from the labels of the original download."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.image_label_lists import (
    list_paths,
    listed_splits,
    listing_texts,
    read_listing,
    write_text,
)
from retbench_datasets.images.image_index import SPLITS, Listing, Split

Labels = dict[str, NDArray[np.uint8]]
Draw = Callable[[Labels, str, int], list[str]]
"""Picks names: from the labels of the candidates, for a split, so many. See `split_draws`."""
Origin = Literal["drawn", "rebuilt"]

TOLERATED = 0.01
"""Share of a published list's rows that may differ from the label files: more, and the columns are in another order."""


class Originals(NamedTuple):
    """The pictures of the original download that may be in a split.

    Attributes:
        names: paths below the dataset's folder.
        labels: uint8 (N, C), multi-hot, in the published order of the classes.
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]


def keep_labelled(names: Sequence[str], labels: NDArray[np.uint8]) -> Originals:
    """Returns the pictures that have a label, in the order given."""
    shown = np.flatnonzero(labels.any(axis=1))
    return Originals(tuple(names[row] for row in shown.tolist()), labels[shown])


class Built(NamedTuple):
    """The splits that a folder lacked.

    Attributes:
        texts: contents of the two files of each new split: pictures, labels.
        origins: how each split came about.
        remarks: what a reader should know of the lists that were there.
    """

    texts: dict[Split, tuple[str, str]]
    origins: dict[Split, Origin]
    remarks: list[str]


def build_splits(root: Path, originals: Originals, sizes: Mapping[Split, int], draw: Draw) -> Built:
    """Returns the splits that are not in the folder, made to fit those that are.

    Queries and training rows are drawn, the training rows from the database; the database is everything but the
    queries, in the order of `originals`.

    Raises:
        UserError: a list that is there is malformed or contradicts the originals, or no picture is left.
    """
    kept = {split: read_listing(root, split, originals.labels.shape[1]) for split in listed_splits(root)}
    labels: Labels = dict(zip(originals.names, originals.labels, strict=True))
    remarks = [line for listing in kept.values() for line in _compare(listing, labels)]
    for listing in kept.values():
        labels.update(zip(listing.names, listing.labels, strict=True))
    names: dict[Split, list[str]] = {split: list(listing.names) for split, listing in kept.items()}
    if "query" not in names:
        taken = {*names.get("train", ()), *names.get("database", ())}
        free = {name: labels[name] for name in originals.names if name not in taken}
        names["query"] = draw(free, "query", sizes["query"])
    if "database" not in names:
        queries = set(names["query"])
        names["database"] = [name for name in originals.names if name not in queries]
    if "train" not in names:
        names["train"] = draw({name: labels[name] for name in names["database"]}, "train", sizes["train"])
    for split in SPLITS:
        if not names[split]:
            raise UserError(
                f"{root}: no picture is left for the {split} split: got {len(originals.names)} labelled ones"
            )
    origins: dict[Split, Origin] = dict.fromkeys(SPLITS, "drawn")
    if "query" in kept:
        origins["database"] = "rebuilt"
    texts = {
        split: listing_texts(names[split], np.stack([labels[name] for name in names[split]]))
        for split in SPLITS
        if split not in kept
    }
    return Built(texts, {split: origins[split] for split in texts}, remarks)


def write_splits(root: Path, built: Built) -> Iterator[str]:
    """Yields a line for each split, after its two files were written, each at once or not at all."""
    for split, texts in built.texts.items():
        images, table = list_paths(root, split)
        for path, text in zip((images, table), texts, strict=True):
            write_text(path, text)
        rows = texts[0].count("\n")
        yield f"{root}: {built.origins[split]}: {images.name} and {table.name}, {rows} rows"


def _compare(listing: Listing, labels: Labels) -> Iterator[str]:
    """Yields how far a published list's labels are from the label files'; raises UserError beyond `TOLERATED`."""
    rows = [
        row
        for row, name in enumerate(listing.names)
        if name not in labels or not np.array_equal(labels[name], listing.labels[row])
    ]
    if not rows:
        return
    first = f"{listing.place(rows[0])}: {listing.names[rows[0]]}"
    if len(rows) > TOLERATED * len(listing.names):
        raise UserError(
            f"{first}: the list and the label files contradict each other: got {len(rows)} of {len(listing.names)} "
            f"rows unlike, expected at most {TOLERATED:.0%}; is it a list of this data set?"
        )
    yield f"{first}: {len(rows)} of {len(listing.names)} rows are unlike the label files; the list's labels are kept"
