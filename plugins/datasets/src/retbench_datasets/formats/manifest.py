"""A manifest: one image per row, with its labels and optionally its splits; CSV or JSON lines.

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
from retbench_datasets.formats.listed_images import image_id
from retbench_datasets.formats.text_file import read_lines

SPLIT_NAMES: dict[str, Split] = {**{split: split for split in SPLITS}, "test": "query"}
Classes = tuple[str, ...]


class ManifestRow(NamedTuple):
    """One row of a manifest.

    Attributes:
        line: its line in the file, from 1.
        name: the image path below the folder.
        labels: names of its classes.
        splits: its splits; empty if the manifest has none.
    """

    line: int
    name: str
    labels: frozenset[str]
    splits: tuple[Split, ...]


class Manifest(NamedTuple):
    """The rows of a manifest and its classes: those of `classes.txt`, or its columns, or all names in use."""

    rows: tuple[ManifestRow, ...]
    classes: Classes


def read_manifest(path: Path, known_classes: Classes | None) -> Manifest:
    """Read `manifest.csv` or `manifest.jsonl`.

    Args:
        path: the file.
        known_classes: the classes in `classes.txt`; None if there is no such file.

    Raises:
        UserError: a row lacks a value, has a wrong value, repeats an image, or has a split while the first row has
            none (or the reverse); names the line.
    """
    columns: Classes = ()
    if path.suffix == ".csv":
        columns, rows = _read_csv(path)
    else:
        rows = tuple(_read_json_lines(path, known_classes))
    used = frozenset(columns).union(*(row.labels for row in rows))
    classes = known_classes or columns or tuple(sorted(used))
    _check_rows(path, rows, frozenset(classes))
    if unknown := sorted(used - {*classes}):
        raise UserError(f"{path}:1: unknown class: got {unknown[0]!r}, expected one of classes.txt")
    return Manifest(rows, classes)


def _check_rows(path: Path, rows: tuple[ManifestRow, ...], classes: frozenset[str]) -> None:
    line_of: dict[str, int] = {}
    for row in rows:
        location = f"{path}:{row.line}"
        if unknown := row.labels - classes:
            raise UserError(f"{location}: unknown class: got {min(unknown)!r}, expected one of classes.txt")
        if row.name in line_of:
            raise UserError(f"{location}: an image is listed twice: got {row.name}, as on line {line_of[row.name]}")
        if bool(row.splits) != bool(rows[0].splits):
            got = "a row with a split" if row.splits else "a row without a split"
            raise UserError(f"{location}: got {got}, expected a split in every row or in none")
        line_of[row.name] = row.line


def _read_csv(path: Path) -> tuple[Classes, tuple[ManifestRow, ...]]:
    last = len(read_lines(path))  # reports unreadable files and empty lines; the csv module would skip those lines
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        header = list(reader.fieldnames or ())
        columns = tuple(name for name in header if name not in ("path", "labels", "split"))
        if "path" not in header or bool(columns) == ("labels" in header) or len({*header}) != len(header):
            expected = "path, optionally split, and either labels or one column per class, each once"
            raise UserError(f"{path}:1: wrong columns: got {', '.join(header)}, expected {expected}")
        try:
            rows = tuple(_parse_csv_row(row, columns, f"{path}:{reader.line_num}", reader.line_num) for row in reader)
        except csv.Error as error:
            raise UserError(f"{path}:{min(reader.line_num + 1, last)}: it is not CSV: {error}") from None
    if not rows:
        raise UserError(f"{path}: there are no images: got a header only")
    return columns, rows


def _parse_csv_row(row: dict[Any, Any], columns: Classes, location: str, line: int) -> ManifestRow:
    if None in row or None in row.values():
        raise UserError(f"{location}: wrong number of columns: expected those of the header")
    marked = [name for name in columns if _parse_flag(row[name].strip(), location)]
    labels = marked if columns else _split_names(row["labels"])
    splits = _parse_splits(_split_names(row.get("split", "")), location)
    return ManifestRow(line, image_id(row["path"].strip(), location), frozenset(labels), splits)


def _read_json_lines(path: Path, known_classes: Classes | None) -> Iterator[ManifestRow]:
    for line, text in enumerate(read_lines(path), start=1):
        location = f"{path}:{line}"
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"{location}: it is not JSON: {error}") from None
        if not isinstance(row, dict) or not {"path", "labels"} <= {*row} <= {"path", "labels", "split"}:
            raise UserError(f'{location}: got {text}, expected {{"path": ..., "labels": [...]}} and optionally "split"')
        if not isinstance(row["path"], str) or not isinstance(row["labels"], list):
            raise UserError(f"{location}: wrong type: got {text}, expected path to be a string and labels a list")
        split = row.get("split", [])
        splits = _parse_splits(split if isinstance(split, list) else _split_names(str(split)), location)
        labels = _parse_json_labels(row["labels"], known_classes, location)
        yield ManifestRow(line, image_id(row["path"], location), labels, splits)


def _parse_json_labels(labels: list[Any], known_classes: Classes | None, location: str) -> frozenset[str]:
    if all(isinstance(label, str) for label in labels):
        return frozenset(labels)
    if known_classes is None:
        raise UserError(f"{location}: got labels {labels}, expected class names; 0 and 1 need a classes.txt")
    if len(labels) != len(known_classes):
        raise UserError(
            f"{location}: wrong number of labels: got {len(labels)}, expected {len(known_classes)}, as in classes.txt"
        )
    flags = zip(known_classes, labels, strict=True)
    return frozenset(name for name, flag in flags if _parse_flag(json.dumps(flag), location))


def _split_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(";") if name.strip()]


def _parse_flag(text: str, location: str) -> bool:
    if text not in ("0", "1"):
        raise UserError(f"{location}: a label must be 0 or 1: got {text!r}")
    return text == "1"


def _parse_splits(names: list[Any], location: str) -> tuple[Split, ...]:
    if wrong := [name for name in names if name not in [*SPLIT_NAMES]]:  # a list: JSON values may be unhashable
        raise UserError(f"{location}: unknown split: got {wrong[0]!r}, expected one of {', '.join(SPLIT_NAMES)}")
    return tuple(SPLIT_NAMES[name] for name in names)
