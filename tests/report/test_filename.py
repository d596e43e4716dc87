"""File names of what is shown."""

from __future__ import annotations

import pytest

from retbench.report.filename import fresh_stem, slug


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Purification strength (dataset digits)", "purification-strength-dataset-digits"),
        ("fit_attack 1.5", "fit_attack-1.5"),
        ("../a/b", "a-b"),
        ("\u00e9\u4e2d", "unnamed"),
        ("x" * 200, "x" * 80),
    ],
)
def test_a_slug_is_safe_in_any_file_system(text: str, named: str) -> None:
    assert slug(text) == named


def test_a_taken_name_gets_a_number() -> None:
    taken: set[str] = set()
    assert [fresh_stem("a", taken) for _ in range(3)] == ["a", "a-2", "a-3"]
    assert fresh_stem("a-2", taken) == "a-2-2"
