"""What an attacker is told."""

import pytest
import torch

from retbench.contracts import HashNetwork, Knowledge
from retbench.testing.toys import ToyDataset


def test_knowledge_hands_out_what_was_asked_for_and_nothing_else() -> None:
    codes = torch.ones(2, 4, dtype=torch.int8)
    knowledge = Knowledge(HashNetwork(), ToyDataset().facts(), grants={"database_codes": codes})
    assert knowledge.grant("database_codes") is codes
    with pytest.raises(LookupError, match=r"knowledge that was not asked for: got training_codes.*`needs`"):
        knowledge.grant("training_codes")
    with pytest.raises(LookupError, match=r"knowledge that was not asked for: got training, expected it in `needs`"):
        _ = knowledge.training
