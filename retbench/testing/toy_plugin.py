"""The toy components as a plugin module, for an entry point that a test writes."""

from retbench.contracts import Attack, Dataset, Defense, Hasher
from retbench.hookspecs import hookimpl
from retbench.testing import toys


@hookimpl
def retbench_datasets() -> list[type[Dataset]]:
    return [toys.ToyDataset]


@hookimpl
def retbench_hashers() -> list[type[Hasher]]:
    return [toys.ToyHasher, toys.ToyCached]


@hookimpl
def retbench_attacks() -> list[type[Attack]]:
    return [toys.ToyAttack, toys.ToyUntargeted, toys.FaultyAttack]


@hookimpl
def retbench_defenses() -> list[type[Defense]]:
    return [toys.ToyPurifier, toys.ToyHardening, toys.FaultyPurifier]
