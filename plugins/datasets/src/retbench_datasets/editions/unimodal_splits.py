"""The splits of a unimodal edition: missing lists are built from the labels of the original download."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import SPLITS, Split, UserError
from retbench_datasets.formats.image_label_lists import complete_splits, format_lists, list_paths, read_split
from retbench_datasets.formats.label_matrix import LabeledImages
from retbench_datasets.formats.listed_images import ListedImages
from retbench_datasets.formats.text_file import write_text

Labels = dict[str, NDArray[np.uint8]]
Draw = Callable[[Labels, str, int], list[str]]
"""Draws names for a split. Arguments: labels of the candidates, split, number of names; see `hash_sampling`."""
SplitOrigin = Literal["drawn", "rebuilt"]

MISMATCH_TOLERANCE = 0.01
"""Share of a published list's rows that may differ from the label files; a larger share means a wrong column order."""


class BuiltSplits(NamedTuple):
    """The splits that were missing in a folder.

    Attributes:
        texts: contents of the two files of each new split: images, labels.
        origins: how each of them was made.
        remarks: what a reader should know about the existing lists.
    """

    texts: dict[Split, tuple[str, str]]
    origins: dict[Split, SplitOrigin]
    remarks: list[str]


def build_splits(root: Path, images: LabeledImages, sizes: Mapping[Split, int], draw: Draw) -> BuiltSplits:
    """Return the splits that the folder lacks, made to fit its existing lists.

    Queries and training rows are drawn, the training rows from the database; the database is everything but the
    queries, in the order of `images`.

    Raises:
        UserError: an existing list is malformed or contradicts the labels of `images`, or no image is left for a split.
    """
    existing = {split: read_split(root, split, images.labels.shape[1]) for split in complete_splits(root)}
    labels: Labels = dict(zip(images.names, images.labels, strict=True))
    remarks = [line for listed in existing.values() for line in _compare_labels(listed, labels)]
    for listed in existing.values():
        labels.update(zip(listed.names, listed.labels, strict=True))
    names: dict[Split, list[str]] = {split: list(listed.names) for split, listed in existing.items()}
    if "query" not in names:
        taken = {*names.get("train", ()), *names.get("database", ())}
        candidates = {name: labels[name] for name in images.names if name not in taken}
        names["query"] = draw(candidates, "query", sizes["query"])
    if "database" not in names:
        queries = set(names["query"])
        names["database"] = [name for name in images.names if name not in queries]
    if "train" not in names:
        names["train"] = draw({name: labels[name] for name in names["database"]}, "train", sizes["train"])
    for split in SPLITS:
        if not names[split]:
            raise UserError(f"{root}: no image is left for the {split} split: got {len(images.names)} labeled images")
    origins: dict[Split, SplitOrigin] = dict.fromkeys(SPLITS, "drawn")
    if "query" in existing:
        origins["database"] = "rebuilt"
    texts = {
        split: format_lists(names[split], np.stack([labels[name] for name in names[split]]))
        for split in SPLITS
        if split not in existing
    }
    return BuiltSplits(texts, {split: origins[split] for split in texts}, remarks)


def write_lists(root: Path, built: BuiltSplits) -> Iterator[str]:
    """Write the two files of each split, each atomically, and yield a line per split."""
    for split, texts in built.texts.items():
        images, table = list_paths(root, split)
        for path, text in zip((images, table), texts, strict=True):
            write_text(path, text)
        rows = texts[0].count("\n")
        yield f"{root}: {built.origins[split]}: {images.name} and {table.name}, {rows} rows"


def _compare_labels(listed: ListedImages, labels: Labels) -> Iterator[str]:
    """Yield the share of a list's rows that differ from the label files; raise UserError beyond the tolerance."""
    rows = [
        row
        for row, name in enumerate(listed.names)
        if name not in labels or not np.array_equal(labels[name], listed.labels[row])
    ]
    if not rows:
        return
    first = f"{listed.locate(rows[0])}: {listed.names[rows[0]]}"
    if len(rows) > MISMATCH_TOLERANCE * len(listed.names):
        raise UserError(
            f"{first}: the list contradicts the label files: got {len(rows)} of {len(listed.names)} different rows, "
            f"expected at most {MISMATCH_TOLERANCE:.0%}; is it a list of this dataset?"
        )
    yield f"{first}: {len(rows)} of {len(listed.names)} rows differ from the label files; the list's labels are kept"
