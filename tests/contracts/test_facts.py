"""The facts of a cell are shared by all components and cannot be changed."""

from dataclasses import replace

import pytest

from retbench.contracts import Facts
from retbench.contracts.facts import Split


def test_sizes_cannot_be_changed_by_a_component_or_through_the_dataset() -> None:
    sizes: dict[Split, int] = {"train": 1, "query": 2, "database": 3}
    facts = Facts("toy", (8, 8), ("red",), sizes)
    sizes["query"] = 9
    assert facts.sizes == {"train": 1, "query": 2, "database": 3}
    for each in (facts, replace(facts, bits=8)):
        with pytest.raises(TypeError, match="does not support item assignment"):
            each.sizes["query"] = 9  # type: ignore[index]  # the type is a read-only mapping
    assert replace(facts, bits=8) == Facts("toy", (8, 8), ("red",), facts.sizes, bits=8)
    assert hash(facts) == hash(replace(facts))
