"""The contract suite: what every component must do, checked by running it as the core would."""

from __future__ import annotations

from dataclasses import replace

from retbench.contracts import Attack, AttackPart, Component, Dataset, Hardening, Hasher, Part, Purifier
from retbench.contracts.component import NAME
from retbench.testing.attack_contract import check_attack
from retbench.testing.dataset_contract import check_dataset
from retbench.testing.defense_contract import check_hardening, check_purifier
from retbench.testing.hasher_contract import check_hasher
from retbench.testing.part_contract import check_part
from retbench.testing.rig import require
from retbench.testing.toys import ToyDataset

BITS = 16


def check_component(component: Component, dataset: Dataset | None = None) -> None:
    """Raise ContractBreach for the first thing that a component does against its contract.

    Args:
        component: with options that make it cheap; its fit runs, and a hasher's or a part's runs twice.
        dataset: what to try it on; by default flat-colored 32-pixel pictures of `ToyDataset`.
    """
    check_identity(component)
    if isinstance(component, Dataset):
        check_dataset(component)
        return
    dataset = dataset or ToyDataset(side=32)
    facts = replace(dataset.facts(), bits=BITS, task="i2i", threat="oblivious")
    require(component, (why := component.supports(facts)) is None, f"it does not support the dataset given: {why}")
    if isinstance(component, Hasher):
        check_hasher(component, dataset, facts)
    elif isinstance(component, Attack):
        check_attack(component, dataset, facts)
    elif isinstance(component, Purifier):
        check_purifier(component, dataset, facts)
    elif isinstance(component, Hardening):
        check_hardening(component, dataset, facts)
    elif isinstance(component, Part | AttackPart):
        check_part(component, dataset, facts)


def check_identity(component: Component) -> None:
    """Raise ContractBreach unless name, source, documentation and options are as the contract has them."""
    cls = type(component)
    require(component, NAME.fullmatch(cls.name) is not None, f"name must be lower-case with dashes: got {cls.name!r}")
    require(component, bool(cls.source), "source must name the paper or the origin it follows")
    require(component, bool(cls.__doc__), "it has no docstring")
    for option, field in cls.model_fields.items():
        require(component, bool(field.description), f"option {option} has no description")
    twin = cls.create(component.model_dump())
    require(component, twin == component and hash(twin) == hash(component), "equal options make equal components")
