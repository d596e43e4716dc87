"""The splits of a uni-modal edition: those that a folder lacks, built from the labels of the original download."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import SPLITS, Split, UserError
from retbench_datasets.formats.image_label_lists import complete_splits, format_lists, list_paths, read_listing
from retbench_datasets.formats.label_matrix import LabeledImages
from retbench_datasets.formats.split import Listing
from retbench_datasets.formats.text_file import write_text

Labels = dict[str, NDArray[np.uint8]]
Draw = Callable[[Labels, str, int], list[str]]
"""Draws names from the labels of the candidates, for a split, as many as given; see `hash_sampling`."""
Origin = Literal["drawn", "rebuilt"]

TOLERANCE = 0.01
"""Share of a published list's rows that may differ from the label files: more, and the columns are in another order."""


class BuiltSplits(NamedTuple):
    """The splits that a folder lacked.

    Attributes:
        texts: contents of the two files of each new split: pictures, labels.
        origins: how each split came about.
        remarks: what a reader should know of the lists that were there.
    """

    texts: dict[Split, tuple[str, str]]
    origins: dict[Split, Origin]
    remarks: list[str]


def build_splits(root: Path, images: LabeledImages, sizes: Mapping[Split, int], draw: Draw) -> BuiltSplits:
    """Returns the splits that are not in the folder, made to fit those that are.

    Queries and training rows are drawn, the training rows from the database; the database is everything but the
    queries, in the order of `images`.

    Raises:
        UserError: a list that is there is malformed or contradicts the labels of `images`, or no picture is left.
    """
    kept = {split: read_listing(root, split, images.labels.shape[1]) for split in complete_splits(root)}
    labels: Labels = dict(zip(images.names, images.labels, strict=True))
    remarks = [line for listing in kept.values() for line in _compare(listing, labels)]
    for listing in kept.values():
        labels.update(zip(listing.names, listing.labels, strict=True))
    names: dict[Split, list[str]] = {split: list(listing.names) for split, listing in kept.items()}
    if "query" not in names:
        taken = {*names.get("train", ()), *names.get("database", ())}
        free = {name: labels[name] for name in images.names if name not in taken}
        names["query"] = draw(free, "query", sizes["query"])
    if "database" not in names:
        queries = set(names["query"])
        names["database"] = [name for name in images.names if name not in queries]
    if "train" not in names:
        names["train"] = draw({name: labels[name] for name in names["database"]}, "train", sizes["train"])
    for split in SPLITS:
        if not names[split]:
            raise UserError(f"{root}: no picture is left for the {split} split: got {len(images.names)} labeled ones")
    origins: dict[Split, Origin] = dict.fromkeys(SPLITS, "drawn")
    if "query" in kept:
        origins["database"] = "rebuilt"
    texts = {
        split: format_lists(names[split], np.stack([labels[name] for name in names[split]]))
        for split in SPLITS
        if split not in kept
    }
    return BuiltSplits(texts, {split: origins[split] for split in texts}, remarks)


def write_lists(root: Path, built: BuiltSplits) -> Iterator[str]:
    """Yields a line for each split, after its two files were written, each at once or not at all."""
    for split, texts in built.texts.items():
        images, table = list_paths(root, split)
        for path, text in zip((images, table), texts, strict=True):
            write_text(path, text)
        rows = texts[0].count("\n")
        yield f"{root}: {built.origins[split]}: {images.name} and {table.name}, {rows} rows"


def _compare(listing: Listing, labels: Labels) -> Iterator[str]:
    """Yields how far a published list's labels are from the label files'; raises UserError beyond `TOLERANCE`."""
    rows = [
        row
        for row, name in enumerate(listing.names)
        if name not in labels or not np.array_equal(labels[name], listing.labels[row])
    ]
    if not rows:
        return
    first = f"{listing.place(rows[0])}: {listing.names[rows[0]]}"
    if len(rows) > TOLERANCE * len(listing.names):
        raise UserError(
            f"{first}: the list and the label files contradict each other: got {len(rows)} of {len(listing.names)} "
            f"rows unlike, expected at most {TOLERANCE:.0%}; is it a list of this dataset?"
        )
    yield f"{first}: {len(rows)} of {len(listing.names)} rows are unlike the label files; the list's labels are kept"
