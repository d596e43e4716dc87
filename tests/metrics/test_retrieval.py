"""The inputs of all measures are checked, with messages that name the argument and the expected value."""

from typing import Any

import pytest
import torch

from retbench.metrics import average_precision, precision_at, precision_recall

CODES, LABELS = torch.zeros(2, 1, dtype=torch.uint8), torch.eye(2, dtype=torch.uint8)
VALID: dict[str, Any] = {
    "query_codes": CODES,
    "database_codes": CODES,
    "query_labels": LABELS,
    "database_labels": LABELS,
    "bits": 6,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_codes": CODES.to(torch.int8)}, "query_codes: wrong dtype: got torch.int8, expected torch.uint8"),
        ({"database_codes": CODES[0]}, "database_labels: wrong number of rows: got 2, expected 1"),
        ({"query_codes": torch.zeros(2, 1, 1, dtype=torch.uint8)}, "query_codes: wrong shape"),
        ({"bits": 9}, "query_codes: wrong packed width: got 1 bytes, expected 2 for 9 bits"),
        ({"bits": 0}, "wrong number of bits: got 0"),
        ({"database_codes": CODES + 1}, "database_codes: longer than the stated length: got bits set beyond bit 6"),
        ({"query_labels": LABELS[:1]}, "query_labels: wrong number of rows: got 1, expected 2"),
        ({"query_labels": LABELS * 2}, "query_labels: not multi-hot: got the value 2, expected 0 or 1"),
        ({"query_labels": LABELS[:, :1]}, "database_labels: wrong number of classes: got 2, expected 1"),
        ({"query_labels": LABELS[:, :0]}, "query_labels: no classes"),
        ({"definition": "map"}, "unknown definition: got 'map', expected one of full, top-k"),
        ({"ties": "random"}, "unknown tie rule: got 'random', expected one of stable"),
        ({"depth": 5}, "depth: not used by definition 'full': got 5, expected None"),
        ({"definition": "top-k"}, "depth: needed by definition 'top-k': got None, expected at least 1"),
        ({"definition": "top-k", "depth": 0}, "got 0, expected at least 1"),
    ],
)
def test_arguments_that_do_not_match_raise(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^average_precision: .*{message}"):
        average_precision(**(VALID | change))


def test_the_message_names_the_function_that_was_called() -> None:
    with pytest.raises(ValueError, match=r"^precision_at: query_codes: wrong packed width"):
        precision_at(**(VALID | {"bits": 9}), depths=[1])
    with pytest.raises(ValueError, match=r"^precision_recall: query_codes: wrong packed width"):
        precision_recall(**(VALID | {"bits": 9}), recalls=torch.ones(1))


def test_labels_may_be_views_of_a_larger_matrix() -> None:
    wide = torch.eye(8, dtype=torch.uint8)
    views = VALID | {"query_labels": wide[::4, ::4], "database_labels": wide[::4, ::4]}
    copies = VALID | {"query_labels": wide[::4, ::4].clone(), "database_labels": wide[::4, ::4].clone()}
    assert torch.equal(average_precision(**views), average_precision(**copies))
