"""Find out which cells can run, and collect the caveats of those that can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from retbench.canon import Json
from retbench.contracts import Component, Dataset, Facts, Hardening, Purifier, Weights
from retbench.contracts.dataset import identify_dataset
from retbench.contracts.defense import Vote
from retbench.contracts.hasher import Modality
from retbench.errors import ContractBreach, UserError
from retbench.plan.caching import cached_method
from retbench.plan.declarations import call_declared, parts_of
from retbench.stages.check import check_json
from retbench.suite import Cell
from retbench.survey import find_defects

MODALITIES: dict[str, tuple[Modality, Modality]] = {
    "i2i": ("image", "image"),
    "i2t": ("image", "text"),
    "t2i": ("text", "image"),
    "t2t": ("text", "text"),
}
"""The modalities of the queries and of the database, by task."""


class Inspection(NamedTuple):
    """The state of a dataset.

    Attributes:
        missing: the reason that it cannot be read, with the steps to get it; None if it can.
        error: an error in its files, ids, labels or classes, so that its cells fail; None without one.
        caveats: warnings about them, for every table.
    """

    missing: str | None = None
    error: str | None = None
    caveats: tuple[str, ...] = ()


class Screening:
    """Checks that the components of a cell, and their parts, can work together."""

    @cached_method
    def missing(self, dataset: Dataset) -> str | None:
        """Return the reason that a dataset cannot be read, or None."""
        return dataset.missing()

    @cached_method
    def inspect(self, dataset: Dataset) -> Inspection:
        """Return whether a dataset is there and without defects that would make every number meaningless.

        An error of one dataset does not stop the plan of the others.
        """
        try:
            if missing := self.missing(dataset):
                return Inspection(missing=missing)
            identify_dataset(dataset)
            defects = find_defects(dataset)
        except UserError as error:
            return Inspection(error=str(error) or repr(error))
        except ContractBreach as error:
            return Inspection(error=f"invalid: {error}")
        except Exception as error:  # a plugin's code may raise anything
            advice = f"`retbench datasets check {dataset.name}` shows where"
            return Inspection(error=f"{dataset}: {type(error).__name__}: {error}; {advice}")
        if errors := [defect.text for defect in defects if defect.level == "error"]:
            others = f" (errors: {len(errors)})" if len(errors) > 1 else ""
            advice = f"`retbench datasets check {dataset.name}` lists all defects"
            return Inspection(error=f"{dataset}: {errors[0]}{others}; {advice}")
        return Inspection(caveats=tuple(f"{dataset}: {each.text}" for each in defects if each.level == "warning"))

    def skip_reason(self, cell: Cell, facts: Facts) -> str | None:
        """Return the first reason that a cell cannot run, or None."""
        modalities = MODALITIES[cell.task]
        if "text" in modalities and not facts.text_width:
            return f"task {cell.task} needs texts; dataset {cell.dataset.name} has none"
        if lacking := set(modalities) - cell.hasher.modalities:
            return f"task {cell.task}: hasher {cell.hasher.name} does not encode {' and '.join(sorted(lacking))}"
        if modalities[0] == "text" and (names := [c.name for c in (cell.attack, *purifiers_of(cell)) if c]):
            return f"task {cell.task} has text queries; {' and '.join(names)} works on images"
        if (hardening := hardening_of(cell)) and hardening.needs_loss and not cell.hasher.supervised:
            return f"{hardening.name} trains with the supervised loss of the hasher; {cell.hasher.name} has none"
        if cell.surrogate and not cell.attack:
            return "a surrogate needs an attack: this cell has none"
        if len(votes := votes_of(cell)) > 1:
            return f"purifiers with copies must have the same vote: got {' and '.join(votes)}"
        reasons = (self.unsupported(component, facts) for component in components_of(cell))
        return next((reason for reason in reasons if reason), None) or _adaptive_skip_reason(cell)

    def caveats(self, cell: Cell, facts: Facts) -> tuple[str, ...]:
        """Return the caveats of a cell's dataset and components, each once and prefixed by the component."""
        components = (cell.dataset, *components_of(cell))
        caveats = [caveat for each in components for caveat in self.component_caveats(each, facts)]
        if (hardening := hardening_of(cell)) and (schedule := call_declared(hardening, hardening.shortened, facts)):
            caveats.append(f"{hardening}: it trained for {schedule}, and may harden more with all of them")
        return tuple(dict.fromkeys((*self.inspect(cell.dataset).caveats, *caveats)))

    def details(self, cell: Cell, facts: Facts) -> dict[str, Json]:
        """Return the values derived from options that the components of a cell record, by component."""
        found = ((str(component), self.component_details(component, facts)) for component in components_of(cell))
        return {name: dict(details) for name, details in found if details}

    def downloads(self, cell: Cell, facts: Facts) -> dict[Weights, str]:
        """Return the published weight files that a cell needs, each with the name of a component that needs it."""
        pieces = ((name, piece) for component in components_of(cell) for name, piece in _with_parts(component, facts))
        return {weights: name for name, piece in pieces for weights in piece.downloads(facts)}

    @cached_method
    def unsupported(self, component: Component, facts: Facts) -> str | None:
        """Return the reason that a component, or one of its parts, cannot work with these facts, or None."""
        reasons = ((name, _unsupported_reason(piece, facts)) for name, piece in _with_parts(component, facts))
        return next((f"{name}: {reason}" for name, reason in reasons if reason), None)

    @cached_method
    def component_caveats(self, component: Component, facts: Facts) -> tuple[str, ...]:
        """Return the caveats of a component and its parts."""
        pieces = _with_parts(component, facts)
        return tuple(
            f"{name}: {caveat}" for name, piece in pieces for caveat in call_declared(piece, piece.caveats, facts)
        )

    @cached_method
    def component_details(self, component: Component, facts: Facts) -> Mapping[str, Json]:
        """Return the values derived from options that a component records, which must be JSON."""
        return cast(
            dict[str, Json], check_json(dict(call_declared(component, component.details, facts)), component, "details")
        )


def components_of(cell: Cell) -> Iterator[Component]:
    """Yield the components of a cell, except its dataset."""
    components = (cell.hasher, cell.surrogate, cell.attack, *cell.defenses)
    yield from (component for component in components if component is not None)


def hardening_of(cell: Cell) -> Hardening | None:
    """Return the hardening of a cell, or None."""
    return next((defense for defense in cell.defenses if isinstance(defense, Hardening)), None)


def purifiers_of(cell: Cell) -> tuple[Purifier, ...]:
    """Return the purifiers of a cell, in order."""
    return tuple(defense for defense in cell.defenses if isinstance(defense, Purifier))


def votes_of(cell: Cell) -> tuple[Vote, ...]:
    """Return the distinct votes of the cell's purifiers that make copies."""
    return tuple(dict.fromkeys(purifier.vote for purifier in purifiers_of(cell) if purifier.copies > 1))


def _with_parts(component: Component, facts: Facts) -> Iterator[tuple[str, Component]]:
    """Yield a component and its parts, each with its name in messages."""
    yield str(component), component
    yield from ((f"{part} of {component}", part) for part in parts_of(component, facts).values())


def _unsupported_reason(component: Component, facts: Facts) -> str | None:
    """Return the reason that a component cannot work: an unreadable weight file, or its own reason."""
    for weights in call_declared(component, component.downloads, facts):
        if problem := weights.problem():
            remedy = "get them with `retbench weights prepare SUITE`" if weights.sha256 else weights.manual_steps
            return f"its weights are {problem}; {remedy}"
    return call_declared(component, component.supports, facts)


def _adaptive_skip_reason(cell: Cell) -> str | None:
    """Return the reason that an adaptive attacker cannot use the cell's purifiers, or None.

    An attacker without access to gradients queries the purifiers, and does not differentiate them.
    """
    if not cell.attack or cell.threat != "adaptive":
        return None
    purifiers = purifiers_of(cell)
    if purifiers and not cell.attack.adaptive:
        return f"threat adaptive: {cell.attack.name} uses the hasher only in its training, without purifiers"
    if cell.attack.access != "gradient":
        return None
    opaque = [purifier.name for purifier in purifiers if not purifier.differentiable]
    return f"threat adaptive needs gradients; {', '.join(opaque)} is not differentiable" if opaque else None
