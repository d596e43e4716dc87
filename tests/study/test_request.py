"""What is asked for, as Python gives it and as the command line writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retbench.document import parse_assignment
from retbench.errors import UserError
from retbench.study.request import read_files, read_sets


def test_one_text_is_one_change() -> None:
    assert read_sets("shard=4") == read_sets(["shard=4"]) == ("shard=4",)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (np.int64(16), 16),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([16, 32]), [16, 32]),
        ([np.int32(16), 32], [16, 32]),
        ({"steps": np.int64(5)}, {"steps": 5}),
        ({16}, [16]),
        (Path("weights.pt"), "weights.pt"),
        (None, None),
    ],
)
def test_a_value_is_read_as_the_one_that_was_given(value: Any, read: Any) -> None:
    (text,) = read_sets({"matrix.bits": value})
    assert parse_assignment(text, "path=value") == ("matrix.bits", read)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"shard": object}, "set: shard: expected text, a number, a list or a mapping, got <class 'object'>"),
        ({"shard": {(1, 2): 3}}, "set: shard: expected text, a number, a list or a mapping, got {(1, 2): 3}"),
        (4, "set: expected path=value, a list of such texts, or a mapping, got 4"),
        ([4], "set: expected path=value, got 4"),
    ],
)
def test_what_is_no_change_is_refused_in_one_line(sets: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_sets(sets)
    assert str(caught.value) == message


@pytest.mark.parametrize("files", ["mine.py", Path("mine.py"), ["mine.py"], (Path("mine.py"),)])
def test_one_file_needs_no_list(files: Any) -> None:
    assert read_files(files) == (str(Path("mine.py").resolve()),)
    assert read_files(()) == ()
