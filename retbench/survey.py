"""A dataset in numbers, and its defects: repeated ids, rows without a label, contradictions, broken images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from retbench.contracts import Dataset, Split
from retbench.contracts.facts import SPLITS
from retbench.errors import UserError
from retbench.metrics import chance_level, relevant_counts

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = get_args(Level)
OTHERS: tuple[Split, ...] = ("train", "database")
REPEATED: Mapping[Split, tuple[Level, str]] = {
    "query": ("error", "query ids must be unique"),
    "database": ("warning", "an image counts twice in every ranking"),
    "train": ("note", "an image weighs more in training"),
}
"""How bad it is that an id repeats within a split, and why."""
BATCH = 64
"""Images decoded at once."""
TEXTS = 4096
"""Texts read at once."""


class Finding(NamedTuple):
    """A defect or a surprising fact of a dataset.

    An `error` makes numbers wrong, a `warning` makes them unlike those of others, a `note` explains them.
    """

    level: Level
    text: str


class SplitSurvey(NamedTuple):
    """One split in numbers.

    Attributes:
        rows: how many.
        distinct_ids: how many images, if an id may repeat.
        distinct_labels: how many different label vectors.
        unlabeled: rows without any label.
        mean_labels: labels a row; NaN without rows.
        class_counts: rows of each class.
    """

    rows: int
    distinct_ids: int
    distinct_labels: int
    unlabeled: int
    mean_labels: float
    class_counts: tuple[int, ...]


class Survey(NamedTuple):
    """A dataset in numbers.

    Attributes:
        classes: their names.
        splits: each split's numbers.
        chance: MAP of a random ranking, for the queries' own labels, 0 to 1.
        target_chance: T-MAP of a random ranking, for targets drawn uniformly from the distinct label vectors.
        findings: what is wrong or surprising, the worst first.
    """

    classes: tuple[str, ...]
    splits: Mapping[Split, SplitSurvey]
    chance: float
    target_chance: float
    findings: tuple[Finding, ...]


def survey(dataset: Dataset) -> Survey:
    """Return the numbers and defects in the ids and labels of a dataset; no image is read.

    Raises UserError where the dataset cannot be read.
    """
    facts = dataset.facts()
    ids = {split: dataset.ids(split) for split in SPLITS}
    labels = {split: dataset.labels(split) for split in SPLITS}
    splits = {split: survey_split(ids[split], labels[split]) for split in SPLITS}
    findings = [Finding("warning", text) for text in dataset.caveats(facts)]
    findings += [*_find_shared_ids(ids), *_find_contradictions(ids, labels)]
    findings += [*_find_empty_classes(facts.classes, splits), *_find_unanswered(labels)]
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    candidates = torch.unique(labels["database"], dim=0)
    chance = chance_level(labels["query"], labels["database"])
    return Survey(facts.classes, splits, chance, chance_level(candidates, labels["database"]), tuple(findings))


def survey_split(ids: Sequence[str], labels: Tensor) -> SplitSurvey:
    """Return the numbers of one split, of any length.

    Args:
        ids: one a row.
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
    """Return how many images `read_images` reads: those of all splits, each id once."""
    return len({name for split in SPLITS for name in dataset.ids(split)})


def read_images(dataset: Dataset, advance: Callable[[int], object] = lambda count: None) -> Iterator[Finding]:
    """Yield an error for each image that cannot be read, in the words of the dataset; every id is read once.

    Args:
        dataset: only its UserErrors are taken for broken images, anything else is a bug of its own.
        advance: called after each batch with the number of its images.
    """
    seen: set[str] = set()
    for split in SPLITS:
        first_rows = {name: row for row, name in reversed([*enumerate(dataset.ids(split))]) if name not in seen}
        seen.update(first_rows)
        rows = sorted(first_rows.values())
        for start in range(0, len(rows), BATCH):
            yield from _read_rows(dataset, split, rows[start : start + BATCH])
            advance(len(rows[start : start + BATCH]))


def read_texts(dataset: Dataset) -> Iterator[Finding]:
    """Yield an error for the first text of each split that cannot be read; nothing for a dataset without texts."""
    if not dataset.facts().text_width:
        return
    for split in SPLITS:
        try:
            for start in range(0, len(dataset.ids(split)), TEXTS):
                dataset.texts(split, range(start, min(start + TEXTS, len(dataset.ids(split)))))
        except UserError as error:
            yield Finding("error", str(error))


def _read_rows(dataset: Dataset, split: Split, rows: list[int]) -> Iterator[Finding]:
    """Yield the broken images among some rows: a batch that fails is halved until the image is alone."""
    try:
        dataset.images(split, rows)
    except UserError as error:
        if len(rows) == 1:
            yield Finding("error", str(error))
            return
        half = len(rows) // 2
        yield from _read_rows(dataset, split, rows[:half])
        yield from _read_rows(dataset, split, rows[half:])


def _find_shared_ids(ids: Mapping[Split, Sequence[str]]) -> Iterator[Finding]:
    for split, (level, effect) in REPEATED.items():
        if repeated := [name for name, times in Counter(ids[split]).items() if times > 1]:
            rows = f"{len(ids[split])} rows hold {len(set(ids[split]))} images"
            yield Finding(level, f"{split}: {rows}: {effect}; the first repeated one is {repeated[0]}")
    queries, database = set(ids["query"]), set(ids["database"])
    for split in OTHERS:
        if shared := [name for name in dict.fromkeys(ids[split]) if name in queries]:
            yield Finding("error", f"{split}: it holds {len(shared)} of the queries; the first is {shared[0]}")
    if strange := [name for name in dict.fromkeys(ids["train"]) if name not in database]:
        yield Finding("note", f"train: {len(strange)} images are not in the database; the first is {strange[0]}")


def _find_contradictions(ids: Mapping[Split, Sequence[str]], labels: Mapping[Split, Tensor]) -> Iterator[Finding]:
    known: dict[str, tuple[bytes, Split]] = {}
    for split in SPLITS:
        for name, row in zip(ids[split], labels[split].numpy(), strict=True):
            before, where = known.setdefault(name, (row.tobytes(), split))
            if before != row.tobytes():
                yield Finding("error", f"{split}: {name} has other labels than in {where}, the first of such images")
                return


def _find_empty_classes(classes: Sequence[str], splits: Mapping[Split, SplitSurvey]) -> Iterator[Finding]:
    for split, numbers in splits.items():
        if empty := [name for name, count in zip(classes, numbers.class_counts, strict=True) if not count]:
            yield Finding("warning", f"{split}: no row shows {', '.join(empty)}")


def _find_unanswered(labels: Mapping[Split, Tensor]) -> Iterator[Finding]:
    for split in OTHERS:
        if bare := int((labels[split].sum(1) == 0).sum()):
            yield Finding("note", f"{split}: {bare} rows have no label: they match nothing")
    answered = relevant_counts(labels["query"], labels["database"]) > 0
    if lost := int((~answered).sum()):
        bare = int((labels["query"].sum(1) == 0).sum())
        ceiling = float(answered.double().mean())
        yield Finding(
            "note",
            f"query: {lost} rows match no database item, {bare} of them without a label: where they count as 0, "
            f"no system exceeds a MAP of {ceiling:.4f}",
        )
