"""Manifests of images in CSV and JSON lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from retbench_datasets.formats.manifest import ManifestRow, read_manifest

from retbench import UserError


def write_manifest(folder: Path, text: str, suffix: str = "csv") -> Path:
    path = folder / f"manifest.{suffix}"
    path.write_text(text)
    return path


def test_csv_with_named_labels_and_splits(tmp_path: Path) -> None:
    text = 'path,labels,split\na.jpg,sky;sea,test\n"b, c.jpg", sea ,train;database\nd.jpg,,database\n'
    rows, classes = read_manifest(write_manifest(tmp_path, text), None)
    assert classes == ("sea", "sky")
    assert rows == (
        ManifestRow(2, "a.jpg", frozenset({"sky", "sea"}), ("query",)),
        ManifestRow(3, "b, c.jpg", frozenset({"sea"}), ("train", "database")),
        ManifestRow(4, "d.jpg", frozenset(), ("database",)),
    )


def test_csv_with_one_column_per_class(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, "sky,path,sea\n1,a.jpg,1\n0,b.jpg,1\n")
    rows, classes = read_manifest(path, None)
    assert classes == ("sky", "sea")
    assert [row.labels for row in rows] == [{"sky", "sea"}, {"sea"}]
    assert [row.splits for row in rows] == [(), ()]
    assert read_manifest(path, ("land", "sea", "sky")).classes == ("land", "sea", "sky")


def test_json_lines_with_names_or_numbers(tmp_path: Path) -> None:
    path = write_manifest(
        tmp_path,
        '{"path": "a.jpg", "labels": ["sky"], "split": "query"}\n'
        '{"path": "b.jpg", "labels": [1, 1], "split": ["train", "database"]}\n'
        '{"path": "c.jpg", "labels": [], "split": "database"}\n',
        "jsonl",
    )
    rows, classes = read_manifest(path, ("sky", "sea"))
    assert classes == ("sky", "sea")
    assert [row.labels for row in rows] == [{"sky"}, {"sky", "sea"}, set()]
    assert [row.splits for row in rows] == [("query",), ("train", "database"), ("database",)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,labels\na.jpg,sky\n", "1: wrong columns: got file, labels, expected path"),
        ("path\na.jpg\n", "1: wrong columns: got path"),
        ("path,labels,sky\na.jpg,sky,1\n", "1: wrong columns: got path, labels, sky"),
        ("path,sky,sky\na.jpg,1,1\n", "1: wrong columns: got path, sky, sky"),
        ("path,labels\n", " there are no images"),
        ("", "1: an empty file"),
        ("path,labels\na.jpg,sky\n\nb.jpg,sky\n", "3: an empty line"),
        ("path,labels\na.jpg,sky,sea\n", "2: wrong number of columns"),
        ("path,labels\na.jpg\n", "2: wrong number of columns"),
        ("path,sky\na.jpg,1\nb.jpg,2\n", "3: a label must be 0 or 1: got '2'"),
        ("path,labels\na.jpg,sky\na.jpg,sea\n", "3: an image is listed twice: got a.jpg, as on line 2"),
        ("path,labels\n/a.jpg,sky\n", "2: wrong image path: got '/a.jpg'"),
        ("path,labels,split\na.jpg,sky,dev\n", "2: unknown split: got 'dev', expected one of train, query, database"),
        (
            "path,labels,split\na.jpg,sky,train\nb.jpg,sky,\n",
            "3: got a row without a split, expected a split in every row or in none",
        ),
        ('path,labels\n"a.jpg"x,sky\n', "2: it is not CSV"),
    ],
)
def test_errors_in_csv_are_reported_with_their_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError, match=rf"manifest\.csv:{problem}"):
        read_manifest(write_manifest(tmp_path, text), None)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "it is not JSON"),
        ("[1]", r"got \[1\], expected \{"),
        ('{"path": "b.jpg"}', "got .*, expected"),
        ('{"path": "b.jpg", "labels": [], "size": 3}', "got .*, expected"),
        ('{"path": 3, "labels": []}', "wrong type: got .*, expected path to be a string and labels a list"),
        ('{"path": "b.jpg", "labels": "sky"}', "wrong type: got .*, expected path to be a string and labels a list"),
        ('{"path": "b.jpg", "labels": [0, 2]}', "a label must be 0 or 1: got '2'"),
        ('{"path": "b.jpg", "labels": [0, true]}', "a label must be 0 or 1: got 'true'"),
        ('{"path": "b.jpg", "labels": [0]}', "wrong number of labels: got 1, expected 2, as in classes.txt"),
        ('{"path": "b.jpg", "labels": ["land"]}', "unknown class: got 'land', expected one of classes.txt"),
        ('{"path": "b.jpg", "labels": [], "split": [["train"]]}', "unknown split"),
    ],
)
def test_errors_in_json_lines_are_reported_with_their_line(tmp_path: Path, line: str, problem: str) -> None:
    path = write_manifest(tmp_path, f'{{"path": "a.jpg", "labels": ["sky"]}}\n{line}\n', "jsonl")
    with pytest.raises(UserError, match=rf"manifest\.jsonl:2: {problem}"):
        read_manifest(path, ("sky", "sea"))


def test_numeric_labels_need_a_classes_file(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, '{"path": "a.jpg", "labels": [0, 1]}\n', "jsonl")
    with pytest.raises(UserError, match=r"jsonl:1: got labels .*, expected class names; 0 and 1 need a classes.txt"):
        read_manifest(path, None)


def test_columns_missing_in_the_classes_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"csv:1: unknown class: got 'sea'"):
        read_manifest(write_manifest(tmp_path, "path,sky,sea\na.jpg,1,0\n"), ("sky", "land"))
