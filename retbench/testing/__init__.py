"""Help plugin authors test: contract checks, toy components of every kind, and plugins installed by a test."""

from retbench.testing.contract import check_component
from retbench.testing.plugin_folder import write_plugin
from retbench.testing.toys import (
    TOYS,
    ToyAttack,
    ToyDataset,
    ToyDecisionAttack,
    ToyHardening,
    ToyHasher,
    ToyPart,
    ToyPurifier,
    ToyScoreAttack,
)

__all__ = [
    "TOYS",
    "ToyAttack",
    "ToyDataset",
    "ToyDecisionAttack",
    "ToyHardening",
    "ToyHasher",
    "ToyPart",
    "ToyPurifier",
    "ToyScoreAttack",
    "check_component",
    "write_plugin",
]
