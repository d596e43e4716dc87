"""Knowledge is limited to the declared needs."""

import pytest
import torch

from retbench.contracts import HashNetwork, Knowledge
from retbench.testing.toys import ToyDataset


def test_only_declared_needs_are_granted() -> None:
    codes = torch.ones(2, 4, dtype=torch.int8)
    knowledge = Knowledge(HashNetwork(), ToyDataset().facts(), grants={"database_codes": codes})
    assert knowledge.grant("database_codes") is codes
    with pytest.raises(LookupError, match=r"undeclared need: got training_codes.*`needs`; add it there"):
        knowledge.grant("training_codes")
    with pytest.raises(LookupError, match=r"undeclared need: got training, expected a name in the attack's `needs`"):
        _ = knowledge.training
