"""YAML values by the rules of the core schema, and the place of each value."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retbench.document import parse_document, parse_value, read_document
from retbench.errors import DocumentError, UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("2.", 2.0),
        ("8/255", 8 / 255),
        ("-1.5 / 3", -0.5),
        ("8/0", "8/0"),
        ("1/2/3", "1/2/3"),
        ("7", 7),
        ("+7", 7),
        ("007", 7),
        ("1_000", 1000),
        ("1_", "1_"),
        ("1__0", "1__0"),
        ("_1", "_1"),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("NULL", None),
        ("~", None),
        ("", None),
        ("none", "none"),
        ("2024-01-31", "2024-01-31"),
        ("12:30", "12:30"),
        ("'8/255'", "8/255"),
        ('"1e-3"', "1e-3"),
        ("'true'", "true"),
        ("''", ""),
        ("|\n  1\n", "1\n"),
        ("[1, no, 1/2]", [1, "no", 0.5]),
        ("{a: {b: [~]}}", {"a": {"b": [None]}}),
        ("plain words", "plain words"),
    ],
)
def test_scalars_have_the_type_they_look_like(text: str, value: Any) -> None:
    assert (parse_value(text, "--set"), type(parse_value(text, "--set"))) == (value, type(value))
    assert parse_document(f"a:\n  {text}", "x.yaml").data == {"a": value}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_printed_float_is_read_back(number: float) -> None:
    assert parse_value(repr(number), "--set") == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "x.yaml:4:3: repeated key: got 'c' twice in one mapping"),
        ("a: 1\n1: 2\n1: 3\n", "x.yaml:3:1: repeated key: got 1 twice in one mapping"),
        ("a: {b: 1, 'b': 2}\n", "x.yaml:1:11: repeated key: got 'b' twice in one mapping"),
        ("a:\n  ? [x, y]\n  : 1\n", "x.yaml:2:5: a key must be a word or an integer: got a list"),
        ("a:\n  ? {x: y}\n  : 1\n", "x.yaml:2:5: a key must be a word or an integer: got a mapping"),
        ("true: 1\n", "x.yaml:1:1: a key must be a word or an integer: got 'true'"),
        ("0.5: 1\n", "x.yaml:1:1: a key must be a word or an integer: got '0.5'"),
        ("- a\n- b\n", "x.yaml:1:1: the file must be a mapping: got a list"),
        ("words", "x.yaml:1:1: the file must be a mapping: got 'words'"),
        ("", "x.yaml:1:1: the file must be a mapping: got nothing"),
        ("# nothing\n\n", "x.yaml:1:1: the file must be a mapping: got nothing"),
        (
            "a: [1\nb: 2\n",
            "x.yaml:2:2: not valid YAML: while parsing a flow sequence, expected ',' or ']', but got ':'",
        ),
        ("a: 1\n b: 2\n", "x.yaml:2:3: not valid YAML: mapping values are not allowed here"),
        ("a:\n\t- b\n", "x.yaml:2:1: not valid YAML: while scanning for the next token, found character"),
        ("a: *b\n", "x.yaml:1:4: not valid YAML: found undefined alias 'b'"),
        ("a: &b 1\nc: &b 2\n", "x.yaml:2:4: not valid YAML: found duplicate anchor 'b'; first occurrence, second"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2:1: not valid YAML: expected a single document in the stream, but found"),
        ("a: 1\nb: c\x07d\n", "x.yaml:2:5: not valid YAML: the character #x0007 must be written as an escape"),
        ("a: &b [*b]\n", "x.yaml:1:1: an anchor contains itself, or the nesting is too deep"),
        ("a: " + "[" * 2000, "x.yaml: not valid YAML: nested too deeply"),
    ],
)
def test_an_invalid_text_gives_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, "x.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_error_on_a_bad_command_line_value_names_its_option() -> None:
    with pytest.raises(DocumentError, match=r"^--set a=\[1:1:3: not valid YAML: "):
        parse_value("[1", "--set a=[1")


def test_anchored_values_are_independent_copies() -> None:
    data = parse_document("a: &options {eps: 8/255}\nb: *options\n", "x.yaml").data
    assert data["b"] == {"eps": 8 / 255}
    data["a"]["eps"] = 1
    assert data["b"] == {"eps": 8 / 255}


def test_a_value_is_located_at_its_key_or_list_item() -> None:
    document = parse_document("a:\n  b: [x,\n      {c: 1}]\n", "x.yaml")
    assert document.locate(()) == "x.yaml:1:1"
    assert document.locate(("a",)) == "x.yaml:1:1: a"
    assert document.locate(("a", "b")) == "x.yaml:2:3: a.b"
    assert document.locate(("a", "b", 0)) == "x.yaml:2:7: a.b.0"
    assert document.locate(("a", "b", 1, "c")) == "x.yaml:3:8: a.b.1.c"


def test_an_absent_value_is_located_at_the_nearest_value_around_it() -> None:
    document = parse_document("a:\n  b: [x]\n", "x.yaml")
    assert document.locate(("a", "b", 7, "c")) == "x.yaml:2:3: a.b.7.c"
    assert document.locate(("z",)) == "x.yaml:1:1: z"


def test_mappings_merge_and_other_values_replace() -> None:
    document = parse_document("a: {b: {c: 1, d: 2}, e: [1, 2], f: 1}\n", "x.yaml")
    document.merge({"b": {"c": 3}, "e": [9], "f": {"g": 1}, "h": 4}, ("a",), ("elsewhere",))
    assert document.data == {"a": {"b": {"c": 3, "d": 2}, "e": [9], "f": {"g": 1}, "h": 4}}


def test_a_merged_value_is_located_at_its_source() -> None:
    document = parse_document("a:\n  b: [1,\n      2]\n  c: 1\nnew:\n  b: [7]\n", "x.yaml")
    document.merge(document.data["new"], ("a",), ("new",))
    assert document.locate(("a", "b")) == "x.yaml:6:3: a.b"
    assert document.locate(("a", "b", 0)) == "x.yaml:6:7: a.b.0"
    assert document.locate(("a", "b", 1)) == "x.yaml:6:3: a.b.1"
    assert document.locate(("a", "c")) == "x.yaml:4:3: a.c"


def test_the_error_on_a_file_that_is_not_utf8_names_it(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"suite: caf\xe9\n")
    with pytest.raises(
        UserError, match=rf"{path}: cannot be read: 'utf-8' codec can't decode byte 0xe9 in position 10"
    ):
        read_document(path)


@pytest.mark.parametrize("name", ["missing.yaml", ""])
def test_the_error_on_a_missing_file_names_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{tmp_path / name}: cannot be read: "):
        read_document(tmp_path / name)


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfsuite: trial\n")
    assert read_document(path).data == {"suite": "trial"}
