"""File names made from titles and names."""

from __future__ import annotations

import pytest

from retbench.report.filename import slug, unique_stem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Purification strength (dataset digits)", "purification-strength-dataset-digits"),
        ("fit_attack 1.5", "fit_attack-1.5"),
        ("../a/b", "a-b"),
        ("\u00e9\u4e2d", "unnamed"),
        ("x" * 200, "x" * 80),
    ],
)
def test_a_slug_is_a_valid_file_name(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_a_taken_stem_gets_a_number() -> None:
    taken: set[str] = set()
    assert [unique_stem("a", taken) for _ in range(3)] == ["a", "a-2", "a-3"]
    assert unique_stem("a-2", taken) == "a-2-2"
