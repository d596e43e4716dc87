"""The examples in docs/suites.md are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from retbench.document import parse_document
from retbench.report.published.claims import ledger_of
from retbench.report.tables.layout import layout_of

PAGE = Path(__file__).parents[2] / "docs" / "suites.md"


@pytest.fixture
def examples() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_documented_layout_is_valid(examples: list[str]) -> None:
    (text,) = (example for example in examples if example.startswith("title:"))
    layout = layout_of(parse_document(text, PAGE.name))
    assert [block.name for block in layout.metrics] == ["map", "t_map", "defense_seconds", "attack_queries"]


def test_the_documented_ledger_is_valid(examples: list[str]) -> None:
    (text,) = (example for example in examples if example.startswith("claims:"))
    ledger = ledger_of(parse_document(text, PAGE.name))
    assert [(claim.printed, claim.axes["hasher"], claim.value, len(claim.notes)) for claim in ledger.claims] == [
        ("clean", "dpsh", 81.06, 0),
        ("clean", "dph", 77.07, 0),
        ("DHTA", "dpsh", 61.09, 1),
        ("DHTA", "dph", 61.03, 1),
    ]
