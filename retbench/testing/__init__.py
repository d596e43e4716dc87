"""For authors of plugins: the contract suite, toy components of every kind, and a way to install a plugin in a test."""

from retbench.testing.contract import check_component
from retbench.testing.plugin_folder import write_plugin
from retbench.testing.toys import TOYS, ToyAttack, ToyDataset, ToyHardening, ToyHasher, ToyPart, ToyPurifier

__all__ = [
    "TOYS",
    "ToyAttack",
    "ToyDataset",
    "ToyHardening",
    "ToyHasher",
    "ToyPart",
    "ToyPurifier",
    "check_component",
    "write_plugin",
]
