"""A manifest: one image a row, with its labels and, where they are given, its splits; CSV or JSON lines.

path,labels,split                 path,sky,sea                 {"path": "a.jpg", "labels": ["sky"], "split": "query"}
a.jpg,sky;sea,query               a.jpg,1,1                    {"path": "b.jpg", "labels": ["sea", "sky"]}
b.jpg,sea,train;database          b.jpg,0,1                    {"path": "c.jpg", "labels": [0, 1]}
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from retbench import SPLITS, Split, UserError
from retbench_datasets.formats.split import image_id
from retbench_datasets.formats.text_file import read_lines

NAMED_SPLITS: dict[str, Split] = {**{split: split for split in SPLITS}, "test": "query"}
Classes = tuple[str, ...]


class Entry(NamedTuple):
    """One row of a manifest.

    Attributes:
        line: where it is written, from 1.
        name: the picture's path below the folder.
        labels: names of its classes.
        splits: the splits that it is in; empty where the manifest gives none.
    """

    line: int
    name: str
    labels: frozenset[str]
    splits: tuple[Split, ...]


class Manifest(NamedTuple):
    """The rows of a manifest and its classes: those known before, else its columns, else every name that occurs."""

    entries: tuple[Entry, ...]
    classes: Classes


def read_manifest(path: Path, known: Classes | None) -> Manifest:
    """Returns the rows of `manifest.csv` or `manifest.jsonl`; `known` are the classes of `classes.txt`, if it is there.

    Raises:
        UserError: a row lacks something, has a wrong value, repeats a picture or, unlike the first row, has a split or
            none; names the line.
    """
    columns: Classes = ()
    if path.suffix == ".csv":
        columns, entries = _read_csv(path)
    else:
        entries = tuple(_read_json_lines(path, known))
    used = frozenset(columns).union(*(entry.labels for entry in entries))
    classes = known or columns or tuple(sorted(used))
    _check_entries(path, entries, frozenset(classes))
    if strange := sorted(used - {*classes}):
        raise UserError(f"{path}:1: unknown class: got {strange[0]!r}, expected one of classes.txt")
    return Manifest(entries, classes)


def _check_entries(path: Path, entries: tuple[Entry, ...], classes: frozenset[str]) -> None:
    seen: dict[str, int] = {}
    for entry in entries:
        place = f"{path}:{entry.line}"
        if strange := entry.labels - classes:
            raise UserError(f"{place}: unknown class: got {min(strange)!r}, expected one of classes.txt")
        if entry.name in seen:
            raise UserError(f"{place}: a picture is listed twice: got {entry.name}, as on line {seen[entry.name]}")
        if bool(entry.splits) != bool(entries[0].splits):
            raise UserError(f"{place}: either every row names a split or none: got {entry.splits or 'none'}")
        seen[entry.name] = entry.line


def _read_csv(path: Path) -> tuple[Classes, tuple[Entry, ...]]:
    last = len(read_lines(path))  # finds an unreadable file and an empty line, which the csv module would pass over
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        header = list(reader.fieldnames or ())
        columns = tuple(name for name in header if name not in ("path", "labels", "split"))
        if "path" not in header or bool(columns) == ("labels" in header) or len({*header}) != len(header):
            expected = "path, maybe split, and either labels or one column a class"
            raise UserError(f"{path}:1: wrong columns: got {', '.join(header)}, expected {expected}, each once")
        try:
            entries = tuple(_csv_entry(row, columns, f"{path}:{reader.line_num}", reader.line_num) for row in reader)
        except csv.Error as error:
            raise UserError(f"{path}:{min(reader.line_num + 1, last)}: it is not CSV: {error}") from None
    if not entries:
        raise UserError(f"{path}: there are no pictures: got a header only")
    return columns, entries


def _csv_entry(row: dict[Any, Any], columns: Classes, place: str, line: int) -> Entry:
    if None in row or None in row.values():
        raise UserError(f"{place}: wrong number of columns: expected those of the header")
    marked = [name for name in columns if _is_one(row[name].strip(), place)]
    labels = marked if columns else _separate(row["labels"])
    splits = _splits(_separate(row.get("split", "")), place)
    return Entry(line, image_id(row["path"].strip(), place), frozenset(labels), splits)


def _read_json_lines(path: Path, known: Classes | None) -> Iterator[Entry]:
    for line, text in enumerate(read_lines(path), start=1):
        place = f"{path}:{line}"
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"{place}: it is not JSON: {error}") from None
        if not isinstance(row, dict) or not {"path", "labels"} <= {*row} <= {"path", "labels", "split"}:
            raise UserError(f'{place}: got {text}, expected {{"path": ..., "labels": [...]}} and maybe "split"')
        if not isinstance(row["path"], str) or not isinstance(row["labels"], list):
            raise UserError(f"{place}: path must be a text and labels a list: got {text}")
        split = row.get("split", [])
        splits = _splits(split if isinstance(split, list) else _separate(str(split)), place)
        labels = _json_labels(row["labels"], known, place)
        yield Entry(line, image_id(row["path"], place), labels, splits)


def _json_labels(labels: list[Any], known: Classes | None, place: str) -> frozenset[str]:
    if all(isinstance(label, str) for label in labels):
        return frozenset(labels)
    if known is None:
        raise UserError(f"{place}: labels must be names unless classes.txt names the columns: got {labels}")
    if len(labels) != len(known):
        raise UserError(f"{place}: wrong number of labels: got {len(labels)}, expected {len(known)}, as in classes.txt")
    return frozenset(name for name, mark in zip(known, labels, strict=True) if _is_one(json.dumps(mark), place))


def _separate(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _is_one(text: str, place: str) -> bool:
    if text not in ("0", "1"):
        raise UserError(f"{place}: a label must be 0 or 1: got {text!r}")
    return text == "1"


def _splits(names: list[Any], place: str) -> tuple[Split, ...]:
    if wrong := [name for name in names if name not in [*NAMED_SPLITS]]:  # JSON may hold what has no hash
        raise UserError(f"{place}: unknown split: got {wrong[0]!r}, expected one of {', '.join(NAMED_SPLITS)}")
    return tuple(NAMED_SPLITS[name] for name in names)
