"""The toy components as a plugin module, for an entry point written by a test."""

from retbench.contracts import Attack, Dataset, Defense, Hasher
from retbench.hookspecs import hookimpl
from retbench.testing import toys


@hookimpl
def retbench_datasets() -> list[type[Dataset]]:
    """Return the toy datasets."""
    return [toys.ToyDataset]


@hookimpl
def retbench_hashers() -> list[type[Hasher]]:
    """Return the toy hashers."""
    return [toys.ToyHasher, toys.ToyCached]


@hookimpl
def retbench_attacks() -> list[type[Attack]]:
    """Return the toy attacks."""
    return [toys.ToyAttack, toys.ToyUntargeted, toys.ToyScoreAttack, toys.ToyDecisionAttack, toys.FaultyAttack]


@hookimpl
def retbench_defenses() -> list[type[Defense]]:
    """Return the toy defenses."""
    return [toys.ToyPurifier, toys.ToyHardening, toys.FaultyPurifier]
