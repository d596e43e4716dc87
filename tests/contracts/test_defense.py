"""The states of parts inside the state of their owner."""

import torch

from retbench.contracts import part_state


def test_the_state_of_a_part_has_its_names_without_the_role() -> None:
    names = ["net/conv.weight", "net/head/bias", "net", "network/bias", "own", "other/net/bias"]
    state = {name: torch.full((1,), float(index)) for index, name in enumerate(names)}
    assert part_state(state, "net") == {"conv.weight": state["net/conv.weight"], "head/bias": state["net/head/bias"]}


def test_an_unknown_role_has_an_empty_state() -> None:
    assert part_state({"net/bias": torch.ones(1)}, "teacher") == {}
