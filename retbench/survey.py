"""Survey a dataset: sizes, labels, chance levels, and defects in its ids, labels and images."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from retbench.contracts import Dataset, ImageFile, Split
from retbench.contracts.facts import SPLITS
from retbench.contracts.tensors import read_ids, read_image_files, read_labels
from retbench.errors import UserError
from retbench.metrics import chance_level, relevant_counts

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)
EMPTY_SPLITS: Mapping[Split, str] = {
    "train": "nothing can be trained",
    "query": "nothing is measured",
    "database": "nothing can be retrieved",
}
"""The effect of an empty split."""
NON_QUERY_SPLITS: tuple[Split, ...] = ("train", "database")
REPEATED_IDS: Mapping[Split, tuple[Level, str]] = {
    "query": ("error", "query ids must be unique"),
    "database": ("warning", "an image counts twice in every ranking"),
    "train": ("note", "an image weighs more in training"),
}
"""The level and the effect of repeated ids, by split."""
TOLERATED_COPIES = 0.01
"""The share of rows up to which copies in other splits, or with other labels, are a warning: published datasets contain
some."""
LISTED = 3
"""The number of rows that a finding names."""
IMAGE_BATCH = 64
"""Number of images decoded at once."""
TEXT_BATCH = 4096
"""Number of texts read at once."""


class Finding(NamedTuple):
    """A defect or a notable property of a dataset.

    Attributes:
        level: `error` (results are wrong), `warning` (results are not comparable with others) or `note`.
        text: the finding in one line, which starts with the split.
    """

    level: Level
    text: str


class SplitSurvey(NamedTuple):
    """The statistics of one split.

    Attributes:
        rows: the number of rows.
        distinct_ids: the number of distinct ids, hence of distinct images.
        distinct_labels: the number of distinct label vectors.
        unlabeled: the number of rows without a label.
        mean_labels: the mean number of labels per row; NaN without rows.
        class_counts: the number of rows of each class.
    """

    rows: int
    distinct_ids: int
    distinct_labels: int
    unlabeled: int
    mean_labels: float
    class_counts: tuple[int, ...]


class Survey(NamedTuple):
    """The statistics and the defects of a dataset.

    Attributes:
        classes: the names of the classes.
        splits: the statistics of each split.
        chance: the MAP of a random ranking, 0 to 1.
        target_chance: the T-MAP of a random ranking, for targets drawn uniformly from the distinct label vectors.
        findings: the findings, errors first.
    """

    classes: tuple[str, ...]
    splits: Mapping[Split, SplitSurvey]
    chance: float
    target_chance: float
    findings: tuple[Finding, ...]


def survey(dataset: Dataset) -> Survey:
    """Return the statistics of a dataset, and its defects; no image is decoded.

    Raises:
        UserError: the dataset cannot be read.
    """
    facts = dataset.facts()
    labels = {split: read_labels(dataset, split) for split in SPLITS}
    splits = {split: survey_split(read_ids(dataset, split), labels[split]) for split in SPLITS}
    findings = [*(Finding("warning", text) for text in dataset.caveats(facts)), *find_defects(dataset)]
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    candidates = torch.unique(labels["database"], dim=0)
    chance = chance_level(labels["query"], labels["database"])
    return Survey(facts.classes, splits, chance, chance_level(candidates, labels["database"]), tuple(findings))


def find_defects(dataset: Dataset) -> list[Finding]:
    """Return the defects in a dataset's ids, labels, classes and image files, errors first; no image is decoded.

    A plan asks this of every dataset: after an error its cells fail, and warnings are printed under every table.

    Raises:
        UserError: the dataset cannot be read.
        ContractBreach: the dataset returned something else than its contract allows.
    """
    classes = dataset.facts().classes
    ids = {split: read_ids(dataset, split) for split in SPLITS}
    labels = {split: read_labels(dataset, split) for split in SPLITS}
    findings = [*_find_empty_splits(ids), *_find_shared_ids(ids), *_find_contradictions(ids, labels)]
    if files := _read_files(dataset):
        findings += [*_find_shared_files(ids, files), *_find_relabeled_files(ids, labels, files)]
    findings += [*_find_equal_names(classes), *_find_empty_classes(classes, labels), *_find_unmatched(labels)]
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def survey_split(ids: Sequence[str], labels: Tensor) -> SplitSurvey:
    """Return the statistics of one split, which may be empty.

    Args:
        ids: the id of each row.
        labels: uint8 (N, C), multi-hot.
    """
    per_row = labels.sum(1)
    return SplitSurvey(
        rows=len(ids),
        distinct_ids=len(set(ids)),
        distinct_labels=len(torch.unique(labels, dim=0)),
        unlabeled=int((per_row == 0).sum()),
        mean_labels=float(per_row.double().mean()),
        class_counts=tuple(labels.sum(0).tolist()),
    )


def count_images(dataset: Dataset) -> int:
    """Return the number of images that `read_images` reads: the distinct ids of all splits."""
    return len({name for split in SPLITS for name in dataset.ids(split)})


def read_images(dataset: Dataset, advance: Callable[[int], object] = lambda count: None) -> Iterator[Finding]:
    """Yield an error, with the message of the dataset, for each image that cannot be read; every id is read once.

    Args:
        dataset: the dataset; a UserError means an unreadable image, other exceptions are raised.
        advance: called after each batch with the number of its images.
    """
    read: set[str] = set()
    for split in SPLITS:
        first_rows = {name: row for row, name in reversed([*enumerate(dataset.ids(split))]) if name not in read}
        read.update(first_rows)
        rows = sorted(first_rows.values())
        for start in range(0, len(rows), IMAGE_BATCH):
            yield from _read_rows(dataset, split, rows[start : start + IMAGE_BATCH])
            advance(len(rows[start : start + IMAGE_BATCH]))


def read_texts(dataset: Dataset) -> Iterator[Finding]:
    """Yield an error for the first unreadable text of each split; nothing for a dataset without texts."""
    if not dataset.facts().text_width:
        return
    for split in SPLITS:
        try:
            for start in range(0, len(dataset.ids(split)), TEXT_BATCH):
                dataset.texts(split, range(start, min(start + TEXT_BATCH, len(dataset.ids(split)))))
        except UserError as error:
            yield Finding("error", str(error))


def list_first(names: Sequence[str]) -> str:
    """Return the first names, separated by commas, with an ellipsis if there are more."""
    return ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")


def _read_rows(dataset: Dataset, split: Split, rows: list[int]) -> Iterator[Finding]:
    """Yield an error for each unreadable image among some rows, found by halving every batch that fails."""
    try:
        dataset.images(split, rows)
    except UserError as error:
        if len(rows) == 1:
            yield Finding("error", str(error))
            return
        half = len(rows) // 2
        yield from _read_rows(dataset, split, rows[:half])
        yield from _read_rows(dataset, split, rows[half:])


def _read_files(dataset: Dataset) -> dict[Split, Sequence[ImageFile]] | None:
    """Return the files of each split; None if those of a split are unknown."""
    files: dict[Split, Sequence[ImageFile]] = {}
    for split in SPLITS:
        if (found := read_image_files(dataset, split)) is None:
            return None
        files[split] = found
    return files


def _find_empty_splits(ids: Mapping[Split, Sequence[str]]) -> Iterator[Finding]:
    for split, effect in EMPTY_SPLITS.items():
        if not ids[split]:
            yield Finding("error", f"{split}: no rows, so that {effect}")


def _find_shared_ids(ids: Mapping[Split, Sequence[str]]) -> Iterator[Finding]:
    for split, (level, effect) in REPEATED_IDS.items():
        if repeated := [name for name, times in Counter(ids[split]).items() if times > 1]:
            counts = f"{len(ids[split])} rows have {len(set(ids[split]))} distinct ids"
            yield Finding(level, f"{split}: {counts}: {effect}; repeated: {list_first(repeated)}")
    queries, database = set(ids["query"]), set(ids["database"])
    for split in NON_QUERY_SPLITS:
        if shared := [name for name in dict.fromkeys(ids[split]) if name in queries]:
            yield Finding("error", f"{split}: contains {len(shared)} of the queries: {list_first(shared)}")
    if missing := [name for name in dict.fromkeys(ids["train"]) if name not in database]:
        yield Finding("note", f"train: {len(missing)} images are not in the database: {list_first(missing)}")


def _find_contradictions(ids: Mapping[Split, Sequence[str]], labels: Mapping[Split, Tensor]) -> Iterator[Finding]:
    known: dict[str, tuple[bytes, Split]] = {}
    for split in SPLITS:
        for name, row in zip(ids[split], labels[split].numpy(), strict=True):
            first_labels, first_split = known.setdefault(name, (row.tobytes(), split))
            if first_labels != row.tobytes():
                yield Finding("error", f"{split}: {name} is the first image with other labels than in {first_split}")
                return


def _find_shared_files(
    ids: Mapping[Split, Sequence[str]], files: Mapping[Split, Sequence[ImageFile]]
) -> Iterator[Finding]:
    """Yield the queries whose file, under another id, or whose bytes, in another file, are in another split."""
    queries = list(zip(files["query"], ids["query"], strict=True))
    for split in NON_QUERY_SPLITS:
        by_file = {image.file: name for image, name in zip(files[split], ids[split], strict=True)}
        by_content = {image.content: name for image, name in zip(files[split], ids[split], strict=True)}
        same = [f"{name} as {by_file[image.file]}" for image, name in queries if by_file.get(image.file, name) != name]
        copies = [
            f"{name} as {by_content[image.content]}"
            for image, name in queries
            if image.content and image.file not in by_file and by_content.get(image.content, name) != name
        ]
        if same:
            yield Finding("error", f"{split}: contains the files of {len(same)} queries: {list_first(same)}")
        if copies:
            level = _judge_copies(len(copies), len(queries))
            yield Finding(level, f"{split}: contains copies of {len(copies)} queries: {list_first(copies)}")


def _find_relabeled_files(
    ids: Mapping[Split, Sequence[str]],
    labels: Mapping[Split, Tensor],
    files: Mapping[Split, Sequence[ImageFile]],
) -> Iterator[Finding]:
    """Yield the images of one file, and those of equal bytes, that have other labels under another id."""
    by_file: dict[str, tuple[str, bytes]] = {}
    by_content: dict[str | None, tuple[str, bytes, str]] = {}
    linked, copied = dict[str, str](), dict[str, str]()
    for split in SPLITS:
        for name, image, row in zip(ids[split], files[split], labels[split].numpy(), strict=True):
            vector = row.tobytes()
            first, known = by_file.setdefault(image.file, (name, vector))
            if known != vector and first != name:
                linked[name] = first
            first, known, file = by_content.setdefault(image.content, (name, vector, image.file))
            if image.content and known != vector and file != image.file:
                copied[name] = first
    for kind, pairs in (("file", linked), ("bytes", copied)):
        if pairs:
            listed = list_first([f"{name} and {first}" for name, first in pairs.items()])
            problem = f"{len(pairs)} images have the {kind} of another image, and other labels: {listed}"
            yield Finding(_judge_copies(len(pairs), len(by_file)), f"classes: {problem}")


def _judge_copies(copies: int, images: int) -> Level:
    return "error" if copies > TOLERATED_COPIES * images else "warning"


def _find_equal_names(classes: Sequence[str]) -> Iterator[Finding]:
    """Yield the first two classes whose names differ only by case or Unicode form."""
    names: dict[str, str] = {}
    for name in classes:
        first = names.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if first is not name:
            yield Finding("error", f"classes: {first!r} and {name!r} differ only by case or Unicode form: merge them")
            return


def _find_empty_classes(classes: Sequence[str], labels: Mapping[Split, Tensor]) -> Iterator[Finding]:
    for split, vectors in labels.items():
        counts = vectors.sum(0).tolist()
        if len(vectors) and (empty := [name for name, count in zip(classes, counts, strict=True) if not count]):
            yield Finding("warning", f"{split}: no row has the class {', '.join(empty)}")


def _find_unmatched(labels: Mapping[Split, Tensor]) -> Iterator[Finding]:
    for split in NON_QUERY_SPLITS:
        if unlabeled := int((labels[split].sum(1) == 0).sum()):
            yield Finding("note", f"{split}: {unlabeled} rows have no label and match nothing")
    if not len(labels["query"]) or not len(labels["database"]):
        return
    counts = relevant_counts(labels["query"], labels["database"])
    matched = counts > 0
    if not matched.any():
        yield Finding("error", "query: no query has a relevant database item, so MAP is undefined; are labels missing?")
    elif bool((counts == len(labels["database"])).all()):
        problem = "every database item is relevant to every query, so MAP is 1 for any ranking"
        yield Finding("error", f"query: {problem}; it needs images of other classes")
    elif unmatched := int((~matched).sum()):
        unlabeled = int((labels["query"].sum(1) == 0).sum())
        ceiling = float(matched.double().mean())
        yield Finding(
            "warning",
            f"query: {unmatched} rows match no database item, {unlabeled} of them without a label: if they count as 0, "
            f"no system can exceed a MAP of {ceiling:.4f}",
        )
