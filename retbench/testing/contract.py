"""The contract checks of all components, which run a component in the same way as the core does."""

from __future__ import annotations

import json
from dataclasses import replace

from retbench.canon import canonical
from retbench.contracts import Attack, AttackPart, Component, Dataset, Facts, Hardening, Hasher, Part, Purifier
from retbench.contracts.definition import definition_problem, option_values_problem
from retbench.plan import DeclarationCheck
from retbench.testing.attack_contract import check_attack
from retbench.testing.component_setup import require
from retbench.testing.dataset_contract import check_dataset
from retbench.testing.defense_contract import check_hardening, check_purifier
from retbench.testing.hasher_contract import check_hasher
from retbench.testing.part_contract import check_part
from retbench.testing.toys import ToyDataset

BITS = 16


def check_component(component: Component, dataset: Dataset | None = None) -> None:
    """Check that a component keeps its contract.

    Args:
        component: a component with options that make it fast; it is fitted, a hasher and a part twice.
        dataset: the dataset to run it on; by default `ToyDataset` with images of 32 pixels.

    Raises:
        ContractBreach: the component breaks its contract.
    """
    check_identity(component)
    if isinstance(component, Dataset):
        check_dataset(component)
        check_stateless(component)
        return
    dataset = dataset or ToyDataset(side=32)
    facts = replace(dataset.facts(), bits=BITS, task="i2i", threat="oblivious")
    reason = component.supports(facts)
    require(component, reason is None, f"it does not support the dataset {dataset.name}: {reason}")
    check_declarations(component, facts)
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
    check_stateless(component)


def check_identity(component: Component) -> None:
    """Raise ContractBreach unless class attributes, options and docstrings of a component keep the contract."""
    cls = type(component)
    problem = definition_problem(cls) or option_values_problem(component)
    require(component, problem is None, problem or "")
    require(component, bool(cls.__doc__), "its class must have a docstring: got none")
    for option, field in cls.model_fields.items():
        require(component, bool(field.description), f"option {option} must have a description: got none")
    recorded = json.loads(canonical(component.options_json()))
    copy = cls.create({**dict(component), **recorded})
    require(component, copy == component and hash(copy) == hash(component), "components of equal options must be equal")


def check_declarations(component: Component, facts: Facts) -> None:
    """Raise ContractBreach unless goal, ball, parts, files and recipe of a component keep the contract."""
    check = DeclarationCheck()
    if isinstance(component, Attack):
        check.check_threat(component)
    check.check(component, facts)


def check_stateless(component: Component) -> None:
    """Raise ContractBreach if the methods of a component left state on it, or changed its options."""
    problem = option_values_problem(component)
    require(component, problem is None, problem or "")
