"""Completes a folder's lists from the labels of the original download."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.list_files import STEMS, listed_splits, read_listing, write_listing
from retbench_datasets.listings import SPLITS, Listing, Split

Labels = dict[str, NDArray[np.uint8]]
Draw = Callable[[Labels, str, int], list[str]]
"""Picks names: from the labels of the candidates, for a split, so many. See `split_draws`."""
Origin = Literal["drawn", "rebuilt"]

TOLERATED = 0.01
"""Share of a published list's rows that may differ from the label files: more, and the columns are in another order."""


class Originals(NamedTuple):
    """Every labelled picture of the original download.

    Attributes:
        names: paths below the dataset's folder.
        labels: uint8 (N, C), multi-hot, in the published order of the classes.
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]


class Built(NamedTuple):
    """The splits that a folder lacked.

    Attributes:
        listings: names of the new splits, by split.
        origins: how each came about.
        labels: uint8 (C,) by name.
        remarks: what a reader should know of the lists that were there.
    """

    listings: dict[Split, list[str]]
    origins: dict[Split, Origin]
    labels: Labels
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
    return Built({split: names[split] for split in SPLITS if split not in kept}, origins, labels, remarks)


def write_splits(root: Path, built: Built) -> Iterator[str]:
    """Yields a line for each split, after its two files were written."""
    for split, names in built.listings.items():
        write_listing(root, split, names, np.stack([built.labels[name] for name in names]))
        stem = STEMS[split]
        yield f"{root}: {built.origins[split]}: {stem}_img.txt and {stem}_label.txt, {len(names)} rows"


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
